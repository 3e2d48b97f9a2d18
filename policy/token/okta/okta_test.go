package okta_test

import (
	"errors"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// TestAgainstOkta walks one token through what Okta can say about it.
func TestAgainstOkta(t *testing.T) {
	t.Parallel()
	for _, auth := range []okta.AuthMethod{okta.SecretBasic, okta.SecretPost, okta.Public} {
		t.Run(string(auth), func(t *testing.T) {
			t.Parallel()
			org := oktatest.New(t)
			cl := orgClient(t, org, auth, "")
			if err := cl.Probe(t.Context()); err != nil {
				t.Error(err)
			}
			text, err := org.Token(oktatest.TokenRequest{Client: "mobile", User: "alice@example.com", Scopes: []string{"openid", "orders.read"}})
			if err != nil {
				t.Fatal(err)
			}
			v := verifier(t, org.Issuer("default"), cl)
			tok := parsed(t, text)
			fact, err := v.Verify(t.Context(), tok, introspected)
			c := fact.Claims
			if err != nil || c.Subject != "alice@example.com" || c.UserID != org.User("alice@example.com").ID || c.ClientID != org.Client("mobile").ID || !c.HasScope("orders.read") {
				t.Errorf("%+v, %v", fact, err)
			}

			mustSay := func(want token.Failure) {
				t.Helper()
				_, err := v.Verify(t.Context(), tok, introspected)
				if known, ok := errors.AsType[*token.Error](err); !ok || known.Failure != want {
					t.Errorf("%v, want %q", err, want)
				}
			}
			org.Fail(500, 1)
			if _, err := v.Verify(t.Context(), tok, introspected); err != nil {
				t.Errorf("one 500: %v", err)
			}
			org.Fail(500, 2)
			mustSay(token.Unavailable)
			org.Fail(400, 1)
			mustSay(token.Unavailable)
			if err := org.Down(); err != nil {
				t.Fatal(err)
			}
			mustSay(token.Unavailable)
			if err := org.Up(); err != nil {
				t.Fatal(err)
			}
			if err := org.Revoke(text); err != nil {
				t.Fatal(err)
			}
			mustSay(token.Inactive)
		})
	}
}

func TestWrongSecretAtOkta(t *testing.T) {
	t.Parallel()
	org := oktatest.New(t)
	for _, auth := range []okta.AuthMethod{okta.SecretBasic, okta.SecretPost} {
		got, err := orgClient(t, org, auth, "wrong").Introspect(t.Context(), parsed(t, canary), token.Known)
		mustFail(t, got, err, token.Unavailable)
	}
}

func TestRateLimitOfOkta(t *testing.T) {
	t.Parallel()
	org := oktatest.New(t)
	org.Advance(-24 * time.Hour) // Okta's clock, not ours, says how long
	org.Fail(429, 1)
	cl := orgClient(t, org, okta.SecretBasic, "")
	got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
	mustFail(t, got, err, token.RateLimited)
	if known, ok := errors.AsType[*token.Error](err); ok && (known.RetryAfter <= 0 || known.RetryAfter > 2*time.Minute) {
		t.Errorf("wait %s", known.RetryAfter)
	}
	calls := org.Calls(oktatest.Introspect)
	for range 10 {
		got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		mustFail(t, got, err, token.RateLimited)
	}
	if n := org.Calls(oktatest.Introspect) - calls; n != 0 {
		t.Errorf("%d calls after a 429", n)
	}
}

// introspected asks for every check.
var introspected = token.Demand{Mode: token.ByIntrospection}

// verifier reads nothing from tokens: what the server says decides.
func verifier(t *testing.T, issuer string, server token.Introspector) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(
		token.Config{Issuers: []string{issuer}, Audience: "api://default", Leeway: token.DefaultLeeway, Opaque: true},
		token.Parts{Server: server, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// orgClient uses the org's gateway client, or the public one where it needs no secret.
func orgClient(t *testing.T, org *oktatest.Server, auth okta.AuthMethod, secret string) *okta.Client {
	t.Helper()
	as := org.Client("gateway")
	if auth == okta.Public {
		as = org.Client("mobile")
	}
	if secret == "" {
		secret = as.Secret
	}
	cl, err := okta.NewClient(okta.Config{Issuer: org.Issuer("default"), ClientID: as.ID, ClientSecret: secret, Auth: auth, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}
