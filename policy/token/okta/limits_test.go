package okta_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// TestIntrospectURL is below the issuer of a custom server, and below /oauth2 for the
// organization's own.
func TestIntrospectURL(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		"https://example.okta.com":                "https://example.okta.com/oauth2/v1/introspect",
		"https://example.okta.com/oauth2/default": "https://example.okta.com/oauth2/default/v1/introspect",
	} {
		got := ""
		cl := client(t, "https://example.okta.com", func(c *okta.Config) {
			c.Issuer = issuer
			c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				got = r.URL.String()
				return plain(200, "application/json", `{"active":false}`)
			})
		})
		if _, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known); err != nil || got != want {
			t.Errorf("%s: asked at %s, want %s: %v", issuer, got, want, err)
		}
	}
}

// TestBurst: on a clock that stands still a quarter of the share may be spent, on tokens
// never seen half of theirs; neither one call more nor one less.
func TestBurst(t *testing.T) {
	t.Parallel()
	for p, want := range map[token.Priority]int{token.Known: 100, token.Unseen: 60, token.Ahead: 50} {
		o := &org{clock: newClock(), limit: 400, silent: true}
		ask := o.ask(t, budget(t, okta.BudgetConfig{Now: o.clock.now, Share: 1, Limit: 400}))
		for range 200 {
			ask(p)
		}
		if len(o.calls) != want {
			t.Errorf("priority %d: %d calls at once, want %d", p, len(o.calls), want)
		}
	}
}

// TestLeastHeaders: a limit of 1 is one, a Retry-After of 0 says nothing.
func TestLeastHeaders(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]okta.Rate{
		"X-Rate-Limit-Limit": {Limit: 1, Reset: time.Minute},
		"Retry-After":        {Limit: 300, Reset: time.Minute},
	} {
		value := map[string]string{"X-Rate-Limit-Limit": "1", "Retry-After": "0"}[name]
		b := budget(t, okta.BudgetConfig{Now: newClock().now})
		cl := client(t, "https://example.okta.com", func(c *okta.Config) {
			c.Budget = b
			c.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				res, err := plain(429, "application/json", `{}`)
				res.Header.Set(name, value)
				return res, err
			})
		})
		_, _ = cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		if got := b.Rate(); got != want {
			t.Errorf("%s %s: %+v, want %+v", name, value, got, want)
		}
	}
}
