package okta_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// TestAnswerBound: 64 KiB are read, one byte more is no answer.
func TestAnswerBound(t *testing.T) {
	t.Parallel()
	const body = `{"active":false}`
	for more, good := range map[int]bool{0: true, 1: false} {
		cl := client(t, "https://example.okta.com", func(c *okta.Config) {
			c.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				return plain(200, "application/json", body+strings.Repeat(" ", 64<<10-len(body)+more))
			})
		})
		got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		if good && err != nil {
			t.Errorf("an answer of 64 KiB: %v", err)
		}
		if !good {
			mustFail(t, got, err, token.Unavailable)
		}
	}
}

// TestFileBounds: a secret of 64 KiB and a bundle of 1 MiB are read, no more.
func TestFileBounds(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, keys().p256).pem
	for more, good := range map[int]bool{0: true, 1: false} {
		for name, change := range map[string]func(*okta.Config){
			"secret": func(c *okta.Config) { c.ClientSecret, c.SecretFile = "", file(t, strings.Repeat("s", 64<<10+more)) },
			"CAs":    func(c *okta.Config) { c.CAFile = file(t, ca+strings.Repeat("\n", 1<<20-len(ca)+more)) },
		} {
			c := okta.Config{Issuer: "https://example.okta.com/oauth2/default", ClientID: "0oaGATEWAY", ClientSecret: "s3cret", Auth: okta.SecretBasic}
			change(&c)
			cl, err := okta.NewClient(c)
			if (err == nil) != good {
				t.Errorf("%s, %d bytes over: %v", name, more, err)
			}
			if err == nil {
				cl.Close()
			}
		}
	}
}

func TestBudgetBounds(t *testing.T) {
	t.Parallel()
	for _, c := range []okta.BudgetConfig{{Limit: 1}, {Limit: 1_000_000}, {Share: 1}, {Share: 1e-9}} {
		if _, err := okta.NewBudget(c); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
