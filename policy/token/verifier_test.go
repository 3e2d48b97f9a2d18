package token_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
)

var now = time.Unix(1_800_000_000, 0)

const issuer = "https://example.okta.com/oauth2/default"

func config() token.Config {
	return token.Config{Issuers: []string{issuer, "https://login.example.com/oauth2/default"}, Audience: "api://default", Leeway: token.DefaultLeeway}
}

func good() token.Claims {
	return token.Claims{
		Issuer: issuer, Subject: "alice@example.com", UserID: "00uALICE", ClientID: "0oaMOBILE",
		Audience: []string{"api://default"}, Scopes: []string{"orders.read"}, TokenID: "AT.1",
		ExpiresAt: now.Add(time.Hour), NotBefore: now, IssuedAt: now,
	}
}

// verify checks one opaque token at a fixed time.
func verify(t *testing.T, c token.Config, at time.Time, s *server) (token.Fact, error) {
	t.Helper()
	c.Opaque = true
	v, err := token.NewVerifier(c, token.Parts{Server: s, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v.Verify(t.Context(), parsed(t, canary), within(0))
}

func TestVerifierBelieves(t *testing.T) {
	t.Parallel()
	const second = time.Second
	cases := []struct {
		name   string
		change func(*token.Claims)
		want   token.Failure // empty: believed
	}{
		{"good", func(*token.Claims) {}, ""},
		{"second issuer", func(c *token.Claims) { c.Issuer = "https://login.example.com/oauth2/default" }, ""},
		{"audience in a list", func(c *token.Claims) { c.Audience = []string{"api://other", "api://default"} }, ""},
		{"no nbf, no iat", func(c *token.Claims) { c.NotBefore, c.IssuedAt = time.Time{}, time.Time{} }, ""},
		{"a machine", func(c *token.Claims) { c.UserID = "" }, ""},

		{"T23 exp in a second", func(c *token.Claims) { c.ExpiresAt = now.Add(second) }, ""},
		{"T23 exp in less than a second", func(c *token.Claims) { c.ExpiresAt = now.Add(second - 1) }, token.Expired},
		{"T23 exp now", func(c *token.Claims) { c.ExpiresAt = now }, token.Expired},
		{"T23 exp a second ago", func(c *token.Claims) { c.ExpiresAt = now.Add(-second) }, token.Expired},
		{"T22 exp 1970", func(c *token.Claims) { c.ExpiresAt = time.Unix(0, 0) }, token.Expired},
		{"T40 exp absent", func(c *token.Claims) { c.ExpiresAt = time.Time{} }, token.WrongType},
		{"T23 nbf within leeway", func(c *token.Claims) { c.NotBefore = now.Add(30 * second) }, ""},
		{"T23 nbf past leeway", func(c *token.Claims) { c.NotBefore = now.Add(31 * second) }, token.NotYetValid},
		{"T23 iat within leeway", func(c *token.Claims) { c.IssuedAt = now.Add(30 * second) }, ""},
		{"T23 iat past leeway", func(c *token.Claims) { c.IssuedAt = now.Add(31 * second) }, token.NotYetValid},
		{"T23 iat tomorrow", func(c *token.Claims) { c.IssuedAt = now.Add(24 * time.Hour) }, token.NotYetValid},

		{"T24 slash", func(c *token.Claims) { c.Issuer += "/" }, token.IssuerMismatch},
		{"T24 suffix", func(c *token.Claims) { c.Issuer += ".evil" }, token.IssuerMismatch},
		{"T24 prefix", func(c *token.Claims) { c.Issuer = "x" + c.Issuer }, token.IssuerMismatch},
		{"T24 case", func(c *token.Claims) { c.Issuer = strings.ToUpper(c.Issuer) }, token.IssuerMismatch},
		{"T24 user", func(c *token.Claims) { c.Issuer = "https://a@example.okta.com/oauth2/default" }, token.IssuerMismatch},
		{"T24 http", func(c *token.Claims) { c.Issuer = "http://example.okta.com/oauth2/default" }, token.IssuerMismatch},
		{"T24 port", func(c *token.Claims) { c.Issuer = "https://example.okta.com:443/oauth2/default" }, token.IssuerMismatch},
		{"T24 absent", func(c *token.Claims) { c.Issuer = "" }, token.IssuerMismatch},
		{"T25 other server", func(c *token.Claims) { c.Issuer = "https://example.okta.com/oauth2/ausOTHER" }, token.IssuerMismatch},
		{"T25 org server", func(c *token.Claims) {
			c.Issuer, c.Audience = "https://example.okta.com", []string{"https://example.okta.com"}
		}, token.IssuerMismatch},

		{"T26 absent", func(c *token.Claims) { c.Audience = nil }, token.AudienceMismatch},
		{"T26 empty", func(c *token.Claims) { c.Audience = []string{""} }, token.AudienceMismatch},
		{"T26 prefix", func(c *token.Claims) { c.Audience = []string{"api://def"} }, token.AudienceMismatch},
		{"T26 longer", func(c *token.Claims) { c.Audience = []string{"api://default/"} }, token.AudienceMismatch},
		{"T26 star", func(c *token.Claims) { c.Audience = []string{"*"} }, token.AudienceMismatch},
		{"T26 other", func(c *token.Claims) { c.Audience = []string{"api://other"} }, token.AudienceMismatch},
		{"T26 case", func(c *token.Claims) { c.Audience = []string{"API://DEFAULT"} }, token.AudienceMismatch},

		{"T29 ID token", func(c *token.Claims) { c.TokenID, c.Audience, c.ClientID = "ID.1", []string{"0oaMOBILE"}, "0oaMOBILE" }, token.WrongType},
		{"T29 aud is the client too", func(c *token.Claims) { c.Audience = []string{"api://default", "0oaMOBILE"} }, token.WrongType},
		{"T29 no client", func(c *token.Claims) { c.ClientID = "" }, token.WrongType},
		{"T30 refresh token", func(c *token.Claims) { c.TokenID = "" }, token.WrongType},
		{"T30 jti of another kind", func(c *token.Claims) { c.TokenID = "oarAT.1" }, token.WrongType},
		{"T30 jti in another case", func(c *token.Claims) { c.TokenID = "at.1" }, token.WrongType},

		{"nothing", func(c *token.Claims) { *c = token.Claims{} }, token.WrongType},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			claims := good()
			c.change(&claims)
			fact, err := verify(t, config(), now, answers(active(claims), nil))
			if c.want == "" {
				want := token.Fact{Claims: claims, Mode: token.ByIntrospection, Took: time.Millisecond}
				if diff := cmp.Diff(want, fact); err != nil || diff != "" {
					t.Errorf("%v: %s", err, diff)
				}
				return
			}
			mustFail(t, fact, err, c.want)
		})
	}
}

func TestVerifierWithoutLeeway(t *testing.T) {
	t.Parallel()
	c, claims := config(), good()
	c.Leeway = 0
	claims.NotBefore = now.Add(1)
	fact, err := verify(t, c, now, answers(active(claims), nil))
	mustFail(t, fact, err, token.NotYetValid)
}

// TestVerifierTellsTimeAfterTheAnswer: a token that dies while Okta answers is dead.
func TestVerifierTellsTimeAfterTheAnswer(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := &server{answer: func(context.Context, token.Token, token.Priority) (token.Introspection, error) {
		c.step(2*time.Hour, 2*time.Hour)
		return active(good()), nil
	}}
	fact, err := verifier(t, s, nil, c.now).Verify(t.Context(), parsed(t, canary), within(0))
	mustFail(t, fact, err, token.Expired)
}

func TestVerifierWithoutAnswer(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		answer token.Introspection
		err    error
		want   token.Failure
	}{
		{"zero answer", token.Introspection{}, nil, token.Inactive},
		{"inactive with claims", token.Introspection{Claims: good()}, nil, token.Inactive}, // T40
		{"unavailable", token.Introspection{}, token.Unavailablef("down"), token.Unavailable},
		{"rate limited", token.Introspection{}, &token.Error{Failure: token.RateLimited, RetryAfter: time.Minute}, token.RateLimited},
		{"overloaded", token.Introspection{}, &token.Error{Failure: token.Overloaded}, token.Overloaded},
		{"no known failure", token.Introspection{}, &token.Error{}, ""},
		{"contradiction", token.Introspection{}, &token.Error{Failure: token.Malformed}, token.Malformed},
		{"wrapped", token.Introspection{}, fmt.Errorf("x: %w", &token.Error{Failure: token.RateLimited}), token.RateLimited},
		{"plain error", token.Introspection{}, errors.New("boom"), token.Unavailable},
		{"cancelled", token.Introspection{}, context.Canceled, token.Unavailable},
		{"active beside an error", token.Introspection{Active: true, Claims: good()}, errors.New("boom"), token.Unavailable},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fact, err := verify(t, config(), now, answers(c.answer, c.err))
			mustFail(t, fact, err, c.want)
			var given, got *token.Error
			if errors.As(c.err, &given) && errors.As(err, &got) && got.RetryAfter != given.RetryAfter {
				t.Errorf("the wait is %s", got.RetryAfter)
			}
		})
	}
}

// TestErrorsNeverRepeatTheToken: the server's answer may.
func TestErrorsNeverRepeatTheToken(t *testing.T) {
	t.Parallel()
	echoes := map[string]*server{
		"iss":   answers(active(func() token.Claims { c := good(); c.Issuer = canary; return c }()), nil),
		"aud":   answers(active(func() token.Claims { c := good(); c.Audience = []string{"x", "x" + canary}; return c }()), nil),
		"error": answers(token.Introspection{}, errors.New(canary)),
		"known": answers(token.Introspection{}, token.Unavailablef("said %q", "<"+canary+">")),
		"panic": {answer: func(context.Context, token.Token, token.Priority) (token.Introspection, error) { panic(canary) }},
	}
	for name, server := range echoes {
		_, err := verify(t, config(), now, server)
		for e := err; e != nil; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), canary) {
				t.Errorf("%s: %v", name, e)
			}
		}
		if err == nil {
			t.Errorf("%s: believed", name)
		}
	}
}

func TestVerifierAsksAboutNoToken(t *testing.T) {
	t.Parallel()
	s := answers(active(good()), nil)
	for _, m := range modes {
		fact, err := verifier(t, s, reads(good()), func() time.Time { return now }).Verify(t.Context(), token.Token{}, token.Demand{Mode: m})
		mustFail(t, fact, err, token.Malformed)
		fact, err = (*token.Verifier)(nil).Verify(t.Context(), parsed(t, canary), token.Demand{Mode: m})
		mustFail(t, fact, err, token.Malformed)
	}
	s.mustBeAsked(t, 0)
}

func TestVerifierRefusesUnknownModes(t *testing.T) {
	t.Parallel()
	s := answers(active(good()), nil)
	v := verifier(t, s, reads(good()), func() time.Time { return now })
	for _, m := range []token.Mode{"", "JWT", "none", "introspection "} {
		fact, err := v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: m, MaxAge: time.Minute})
		mustFail(t, fact, err, token.Unavailable)
	}
	s.mustBeAsked(t, 0)
}

func TestNewVerifierRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*token.Config, *token.Parts){
		"no issuer":       func(c *token.Config, _ *token.Parts) { c.Issuers = nil },
		"empty issuer":    func(c *token.Config, _ *token.Parts) { c.Issuers = []string{issuer, ""} },
		"no audience":     func(c *token.Config, _ *token.Parts) { c.Audience = "" },
		"negative leeway": func(c *token.Config, _ *token.Parts) { c.Leeway = -1 },
		"long leeway":     func(c *token.Config, _ *token.Parts) { c.Leeway = 5*time.Minute + 1 },
		"zero":            func(c *token.Config, _ *token.Parts) { *c = token.Config{} },
		"no server":       func(_ *token.Config, p *token.Parts) { p.Server = nil },
		"no clock":        func(_ *token.Config, p *token.Parts) { p.Now = nil },
		"no reader":       func(_ *token.Config, p *token.Parts) { p.Reader = nil },
	}
	for name, change := range cases {
		c, p := config(), token.Parts{Server: answers(active(good()), nil), Reader: reads(good()), Now: time.Now}
		change(&c, &p)
		if v, err := token.NewVerifier(c, p); err == nil || v != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
