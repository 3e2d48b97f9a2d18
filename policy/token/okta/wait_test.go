package okta_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// TestWaitForTheMeter: a refusal of our own says when the meter will have run out by one
// call, at 15 calls a minute above a burst of 5.
func TestWaitForTheMeter(t *testing.T) {
	t.Parallel()
	for p, want := range map[token.Priority]time.Duration{token.Known: 4 * time.Second, token.Ahead: 2 * time.Second} {
		b := budget(t, okta.BudgetConfig{Now: newClock().now, Share: 1, Limit: 20})
		cl := client(t, "https://example.okta.com", func(c *okta.Config) {
			c.Budget = b
			c.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return plain(200, "application/json", `{"active":false}`) })
		})
		var err error
		for i := 0; err == nil && i < 20; i++ {
			_, err = cl.Introspect(t.Context(), parsed(t, canary), p)
		}
		if known, ok := errors.AsType[*token.Error](err); !ok || known.Failure != token.RateLimited || known.RetryAfter != want {
			t.Errorf("priority %d: %v, want a wait of %s", p, err, want)
		}
	}
}
