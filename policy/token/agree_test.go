package token_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
)

// TestT41AnswerAboutAnotherToken is our server's fault, whatever the mode.
func TestT41AnswerAboutAnotherToken(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		change func(*token.Claims)
		want   token.Failure // empty: believed
	}{
		{"same", func(*token.Claims) {}, ""},
		{"iss", func(c *token.Claims) { c.Issuer = config().Issuers[1] }, token.Unavailable},
		{"iss of nobody", func(c *token.Claims) { c.Issuer = "https://evil.example" }, token.Unavailable},
		{"sub", func(c *token.Claims) { c.Subject = "bob@example.com" }, token.Unavailable},
		{"sub in another case", func(c *token.Claims) { c.Subject = "Alice@example.com" }, token.Unavailable},
		{"client_id", func(c *token.Claims) { c.ClientID = "0oaOTHER" }, token.Unavailable},
		{"jti", func(c *token.Claims) { c.TokenID = "AT.2" }, token.Unavailable},
		{"exp later", func(c *token.Claims) { c.ExpiresAt = c.ExpiresAt.Add(time.Second) }, token.Unavailable},
		{"exp sooner", func(c *token.Claims) { c.ExpiresAt = c.ExpiresAt.Add(-time.Second) }, token.Unavailable},
		{"exp past", func(c *token.Claims) { c.ExpiresAt = now }, token.Unavailable},
		{"sub absent", func(c *token.Claims) { c.Subject = "" }, ""},
		{"other scopes", func(c *token.Claims) { c.Scopes = []string{"orders.write"} }, ""},
		// Absent claims contradict nothing, but the answer must do without the JWT.
		{"iss absent", func(c *token.Claims) { c.Issuer = "" }, token.IssuerMismatch},
		{"client_id absent", func(c *token.Claims) { c.ClientID = "" }, token.WrongType},
		{"jti absent", func(c *token.Claims) { c.TokenID = "" }, token.WrongType},
		{"exp absent", func(c *token.Claims) { c.ExpiresAt = time.Time{} }, token.WrongType},
	}
	for _, m := range asking {
		for _, c := range cases {
			t.Run(string(m)+" "+c.name, func(t *testing.T) {
				t.Parallel()
				answer := good()
				c.change(&answer)
				s := answers(active(answer), nil)
				v := verifier(t, s, reads(good()), func() time.Time { return now })
				for range 2 {
					fact, err := v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: m, MaxAge: time.Minute})
					if c.want != "" {
						mustFail(t, fact, err, c.want)
					} else if diff := cmp.Diff(answer, fact.Claims); err != nil || diff != "" {
						t.Errorf("%v: %s", err, diff)
					}
				}
				calls := 1
				if c.want == token.Unavailable {
					calls = 2 // an outage is never kept
				}
				s.mustBeAsked(t, calls)
			})
		}
	}
}

// TestT41JWTWithoutTheClaim: what the JWT leaves out cannot be compared.
func TestT41JWTWithoutTheClaim(t *testing.T) {
	t.Parallel()
	said := good()
	said.Subject = ""
	v := verifier(t, answers(active(good()), nil), reads(said), func() time.Time { return now })
	fact, err := v.Verify(t.Context(), parsed(t, canary), within(0))
	mustBelieve(t, fact, err)
}

// TestT41Refresh compares with the JWT, not with the last answer.
func TestT41Refresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		s.answer = func(_ context.Context, _ token.Token, p token.Priority) (token.Introspection, error) {
			c := fresh()
			c.ExpiresAt = c.IssuedAt.Truncate(time.Hour).Add(time.Hour)
			if p != token.Ahead {
				c.Subject = ""
			} else {
				c.Subject = "bob@example.com"
			}
			return active(c), nil
		}
		said := fresh()
		said.ExpiresAt = said.IssuedAt.Truncate(time.Hour).Add(time.Hour)
		v := verifier(t, s, reads(said), time.Now)
		for range 400 {
			fact, err := v.Verify(t.Context(), parsed(t, canary), within(2*time.Second))
			mustBelieve(t, fact, err)
			if fact.Claims.Subject != "" {
				t.Fatalf("the subject is %s", fact.Claims.Subject)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

func TestKeysUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := slow(50*time.Millisecond, fresh()), reads(fresh())
		r.prove = func(ctx context.Context, _ string) error { return wait(ctx, time.Hour) }
		v := verifier(t, s, r, time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		start := time.Now()
		fact, err := v.Verify(ctx, parsed(t, canary), token.Demand{Mode: token.ByBoth, MaxAge: time.Minute})
		mustBelieve(t, fact, err)
		if took := time.Since(start); took != 150*time.Millisecond {
			t.Errorf("the check took %s", took)
		}
		fact, err = v.Verify(ctx, parsed(t, canary), token.Demand{Mode: token.ByJWT})
		mustFail(t, fact, err, token.Unavailable)
		s.mustBeAsked(t, 1)

		start = time.Now()
		fact, err = v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: token.ByBoth})
		mustBelieve(t, fact, err)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("without a deadline the check took %s", took)
		}
	})
}

// TestT13KeyWithdrawn: what a key proved is proven again once keys are gone.
func TestT13KeyWithdrawn(t *testing.T) {
	t.Parallel()
	s, r := answers(active(good()), nil), reads(good())
	v := verifier(t, s, r, func() time.Time { return now })
	jwt := token.Demand{Mode: token.ByJWT, MaxAge: 0}
	check := func(proofs int64) {
		t.Helper()
		fact, err := v.Verify(t.Context(), parsed(t, canary), jwt)
		mustBelieve(t, fact, err)
		if fact.Age != 0 || fact.Mode != token.ByJWT || r.proofs.Load() != proofs {
			t.Errorf("age %s, mode %s, %d proofs, want %d", fact.Age, fact.Mode, r.proofs.Load(), proofs)
		}
	}
	check(1)
	check(1)
	r.generation.Add(1)
	check(2)
	check(2)
	r.prove = func(context.Context, string) error { r.generation.Add(1); return nil } // gone while we look
	r.generation.Add(1)
	check(3)
	r.prove = nil
	check(4)
	check(4)
	r.generation.Add(1)
	r.prove = func(context.Context, string) error { return &token.Error{Failure: token.SignatureInvalid} }
	for range 2 {
		fact, err := v.Verify(t.Context(), parsed(t, canary), jwt)
		mustFail(t, fact, err, token.SignatureInvalid)
	}
	s.mustBeAsked(t, 0)
}

// TestProofBesideARefusal: the signature was looked at while the server said no.
func TestProofBesideARefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := answers(token.Introspection{}, nil), reads(fresh())
		v := verifier(t, s, r, time.Now)
		r.prove = func(ctx context.Context, _ string) error {
			_, err := v.Verify(ctx, parsed(t, canary), within(0))
			mustFail(t, token.Fact{}, err, token.Inactive)
			return nil
		}
		fact, err := v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: token.ByJWT})
		mustFail(t, fact, err, token.Inactive)
		if _, kept := v.Kept(parsed(t, canary), token.ByJWT); kept {
			t.Error("a refused token is kept")
		}
	})
}

func TestOpaqueTokens(t *testing.T) {
	t.Parallel()
	s := answers(active(good()), nil)
	v := verifier(t, s, nil, func() time.Time { return now })
	for _, m := range []token.Mode{token.ByJWT, token.ByBoth} {
		fact, err := v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: m, MaxAge: time.Minute})
		mustFail(t, fact, err, token.Unavailable)
	}
	s.mustBeAsked(t, 0)
	fact, err := v.Verify(t.Context(), parsed(t, "a.b.c.d.e"), within(time.Minute))
	mustBelieve(t, fact, err)
	s.mustBeAsked(t, 1)
}

// connected counts how often its connections are dropped.
type connected struct {
	*server
	drops atomic.Int32
}

func (c *connected) DropConnections() { c.drops.Add(1) }

// TestT41ConnectionsAreDropped: only an answer about another token is a reason to.
func TestT41ConnectionsAreDropped(t *testing.T) {
	t.Parallel()
	other, revoked := good(), good()
	other.TokenID = "AT.2"
	for name, c := range map[string]struct {
		answer token.Introspection
		drops  int32
	}{
		"same":         {token.Introspection{Active: true, Claims: good()}, 0},
		"inactive":     {token.Introspection{Claims: revoked}, 0},
		"another's":    {token.Introspection{Active: true, Claims: other}, 1},
		"zero, active": {token.Introspection{Active: true}, 0},
	} {
		s := &connected{server: &server{answer: func(context.Context, token.Token, token.Priority) (token.Introspection, error) { return c.answer, nil }}}
		v, err := token.NewVerifier(config(), token.Parts{Server: s, Reader: reads(good()), Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: token.ByIntrospection})
		v.Close()
		if got := s.drops.Load(); got != c.drops {
			t.Errorf("%s: dropped %d times, want %d", name, got, c.drops)
		}
	}
}
