package token_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/token"
)

// revocable is a server whose tokens are active until it is revoked. Each answer says
// what was true when it was asked for, and comes after latency.
type revocable struct {
	server
	revoked atomic.Bool
	latency atomic.Int64
}

func newRevocable(c token.Claims, latency time.Duration) *revocable {
	s := &revocable{}
	s.latency.Store(int64(latency))
	s.answer = func(ctx context.Context, _ token.Token, _ token.Priority) (token.Introspection, error) {
		gone, latency := s.revoked.Load(), time.Duration(s.latency.Load())
		if err := wait(ctx, latency); err != nil || gone {
			return token.Introspection{}, err
		}
		return active(c), nil
	}
	return s
}

func TestEachPolicyComparesItsOwnAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := answers(active(fresh()), nil)
		v := verifier(t, s, nil, time.Now)
		tok := parsed(t, canary)
		steps := []struct {
			after, maxAge, age time.Duration
			calls              int
		}{
			{0, 30 * time.Second, 0, 1},
			{2 * time.Second, 2 * time.Second, 2 * time.Second, 1},
			{1, 30 * time.Second, 2*time.Second + 1, 1},
			{0, 2 * time.Second, 0, 2},
			{time.Second, 30 * time.Second, time.Second, 2},
			{0, 0, 0, 3},
			{0, 0, 0, 4},
			{0, -time.Second, 0, 5},
			{20 * time.Second, 30 * time.Second, 20 * time.Second, 5},
			{11 * time.Second, 30 * time.Second, 0, 6},
		}
		for i, step := range steps {
			time.Sleep(step.after)
			fact, err := v.Verify(t.Context(), tok, within(step.maxAge))
			mustBelieve(t, fact, err)
			if fact.Age != step.age || len(s.asked()) != step.calls {
				t.Errorf("step %d: age %s, %d calls", i, fact.Age, len(s.asked()))
			}
		}
	})
}

// TestJoinedAnswerMayBeTooOld: young enough when joined, too old when it came.
func TestJoinedAnswerMayBeTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slow(3*time.Second, fresh())
		v := verifier(t, s, nil, time.Now)
		var first sync.WaitGroup
		first.Go(func() { _, _ = v.Verify(t.Context(), parsed(t, canary), within(time.Minute)) })
		time.Sleep(1500 * time.Millisecond)
		fact, err := v.Verify(t.Context(), parsed(t, canary), within(2*time.Second))
		mustBelieve(t, fact, err)
		first.Wait()
		s.mustBeAsked(t, 2)
		if fact.Age != 3*time.Second {
			t.Errorf("the age is %s", fact.Age)
		}
	})
}

// TestOrdersDemo is the demo's step: reads at 2 s, writes at 0 s.
func TestOrdersDemo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newRevocable(fresh(), 0)
		v := verifier(t, s, nil, time.Now)
		bob := parsed(t, "bob")
		fact, err := v.Verify(t.Context(), bob, within(0))
		mustBelieve(t, fact, err)
		time.Sleep(500 * time.Millisecond)
		s.revoked.Store(true)

		fact, err = v.Verify(t.Context(), bob, within(2*time.Second))
		mustBelieve(t, fact, err)
		if fact.Age != 500*time.Millisecond {
			t.Errorf("the read's age is %s", fact.Age)
		}
		s.mustBeAsked(t, 1)
		fact, err = v.Verify(t.Context(), bob, within(0))
		mustFail(t, fact, err, token.Inactive)
		fact, err = v.Verify(t.Context(), bob, within(2*time.Second))
		mustFail(t, fact, err, token.Inactive)
		s.mustBeAsked(t, 2)

		alice := parsed(t, "alice")
		s.revoked.Store(false)
		fact, err = v.Verify(t.Context(), alice, within(2*time.Second))
		mustBelieve(t, fact, err)
		s.revoked.Store(true)
		for start := time.Now(); err == nil; time.Sleep(10 * time.Millisecond) {
			if _, err = v.Verify(t.Context(), alice, within(2*time.Second)); time.Since(start) > 2*time.Second+20*time.Millisecond {
				t.Fatal("alice still reads after two seconds")
			}
		}
	})
}

// TestRefusalDropsEveryMode, ByJWT included, for as long as refusals last.
func TestRefusalDropsEveryMode(t *testing.T) {
	t.Parallel()
	for _, by := range asking {
		t.Run(string(by), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, r := newRevocable(fresh(), 0), reads(fresh())
				v := verifier(t, s, r, time.Now)
				tok := parsed(t, canary)
				for _, m := range modes {
					fact, err := v.Verify(t.Context(), tok, token.Demand{Mode: m, MaxAge: time.Minute})
					mustBelieve(t, fact, err)
				}
				s.revoked.Store(true)
				for _, m := range modes {
					fact, err := v.Verify(t.Context(), tok, token.Demand{Mode: m, MaxAge: time.Minute})
					mustBelieve(t, fact, err)
				}
				s.mustBeAsked(t, 2)
				fact, err := v.Verify(t.Context(), tok, token.Demand{Mode: by})
				mustFail(t, fact, err, token.Inactive)
				proofs := r.proofs.Load()
				for range 2 {
					for _, m := range modes {
						fact, err := v.Verify(t.Context(), tok, token.Demand{Mode: m, MaxAge: time.Minute})
						mustFail(t, fact, err, token.Inactive)
						if _, kept := v.Kept(tok, m); kept {
							t.Errorf("%s is still kept", m)
						}
					}
					time.Sleep(token.RefusedFor - 1)
				}
				s.mustBeAsked(t, 3)
				time.Sleep(time.Millisecond)
				fact, err = v.Verify(t.Context(), tok, token.Demand{Mode: token.ByJWT})
				mustBelieve(t, fact, err) // a signature knows of no revocation
				if r.proofs.Load() != proofs+1 {
					t.Error("the token was not proven again")
				}
				fact, err = v.Verify(t.Context(), tok, token.Demand{Mode: token.ByIntrospection, MaxAge: time.Minute})
				mustFail(t, fact, err, token.Inactive)
				s.mustBeAsked(t, 4)
			})
		})
	}
}

// TestSlowerOlderAnswer does not raise what a later question found dead, even where it
// comes when the refusal is forgotten.
func TestSlowerOlderAnswer(t *testing.T) {
	t.Parallel()
	for _, late := range []time.Duration{2 * time.Second, 9 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newRevocable(fresh(), late)
			v := verifier(t, s, reads(fresh()), time.Now)
			tok := parsed(t, canary)
			var slow sync.WaitGroup
			slow.Go(func() {
				fact, err := v.Verify(t.Context(), tok, within(30*time.Second))
				mustFail(t, fact, err, token.Inactive)
			})
			time.Sleep(time.Second)
			s.mustBeAsked(t, 1)
			s.revoked.Store(true)
			s.latency.Store(int64(100 * time.Millisecond))
			fact, err := v.Verify(t.Context(), tok, token.Demand{Mode: token.ByBoth})
			mustFail(t, fact, err, token.Inactive)
			time.Sleep(6 * time.Second) // where late is 9 s: the refusal is over, the old question is not
			fact, err = v.Verify(t.Context(), tok, within(30*time.Second))
			mustFail(t, fact, err, token.Inactive)
			s.mustBeAsked(t, 3)
			slow.Wait()
			fact, err = v.Verify(t.Context(), tok, within(30*time.Second))
			mustFail(t, fact, err, token.Inactive)
			if _, kept := v.Kept(tok, token.ByIntrospection); kept {
				t.Error("the older answer is kept")
			}
		})
	}
}

// TestNewerActiveAnswerStays: the older of two questions in different modes comes last.
func TestNewerActiveAnswerStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newRevocable(fresh(), 3*time.Second)
		v := verifier(t, s, nil, time.Now)
		tok := parsed(t, canary)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = v.Verify(ctx, tok, within(0))
		fact, err := v.Verify(t.Context(), tok, within(0)) // waits for the first, then asks
		mustBelieve(t, fact, err)
		if fact.Age != 3*time.Second {
			t.Errorf("the age is %s", fact.Age)
		}
		fact, err = v.Verify(t.Context(), tok, within(time.Minute))
		mustBelieve(t, fact, err)
		if fact.Age != 3*time.Second {
			t.Errorf("kept is an answer of %s ago", fact.Age)
		}
		s.mustBeAsked(t, 2)
	})
}

// TestOrderDoesNotHangOnTheClock: order is kept by turns where time stands or steps back.
func TestOrderDoesNotHangOnTheClock(t *testing.T) {
	t.Parallel()
	for _, bare := range []bool{true, false} {
		c, claims := newClock(), good()
		c.bare, claims.NotBefore, claims.IssuedAt = bare, time.Time{}, time.Time{}
		s := &server{}
		s.answer = func(context.Context, token.Token, token.Priority) (token.Introspection, error) {
			c.step(-time.Minute, 0)
			return active(claims), nil
		}
		v := verifier(t, s, nil, c.now)
		for i := range 10 {
			fact, err := v.Verify(t.Context(), parsed(t, canary), within(0))
			mustBelieve(t, fact, err)
			s.mustBeAsked(t, i+1)
		}
	}
}

func TestRefusalsAreShortAndOutagesNotKept(t *testing.T) {
	t.Parallel()
	other := good()
	other.Audience = []string{"api://other"}
	cases := []struct {
		name   string
		answer token.Introspection
		err    error
		want   token.Failure
		kept   bool
	}{
		{"inactive", token.Introspection{}, nil, token.Inactive, true},
		{"audience", active(other), nil, token.AudienceMismatch, true},
		{"no exp", active(token.Claims{}), nil, token.WrongType, true},
		{"contradiction", token.Introspection{}, &token.Error{Failure: token.Malformed}, token.Malformed, true},
		{"unavailable", token.Introspection{}, token.Unavailablef("down"), token.Unavailable, false},
		{"rate limited", token.Introspection{}, &token.Error{Failure: token.RateLimited}, token.RateLimited, false},
		{"overloaded", token.Introspection{}, &token.Error{Failure: token.Overloaded}, token.Overloaded, false},
		{"plain", token.Introspection{}, context.Canceled, token.Unavailable, false},
		{"no known failure", token.Introspection{}, &token.Error{}, "", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if !c.answer.Claims.ExpiresAt.IsZero() {
					c.answer.Claims.ExpiresAt = fresh().ExpiresAt
				}
				s := answers(c.answer, c.err)
				v := verifier(t, s, nil, time.Now)
				calls := func(after time.Duration) int {
					time.Sleep(after)
					before := len(s.asked())
					fact, err := v.Verify(t.Context(), parsed(t, canary), within(time.Minute))
					mustFail(t, fact, err, c.want)
					return len(s.asked()) - before
				}
				again := 1
				if c.kept {
					again = 0
				}
				if calls(0) != 1 || calls(0) != again || calls(token.RefusedFor-1) != again || calls(1) != 1 {
					t.Errorf("asked %d times", len(s.asked()))
				}
			})
		})
	}
}

// TestNoAllowAfterRevocation races answers with refusals of the other mode, and with
// invalidations. What the server knew when it was asked decides.
func TestNoAllowAfterRevocation(t *testing.T) {
	t.Parallel()
	for range 1000 {
		raceOnce(t, newRevocable(good(), 0))
	}
}

func raceOnce(t *testing.T, s *revocable) {
	t.Helper()
	v, err := token.NewVerifier(config(), token.Parts{Server: s, Reader: reads(good()), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	tok := parsed(t, canary)
	var race sync.WaitGroup
	for _, m := range asking {
		race.Go(func() { _, _ = v.Verify(t.Context(), tok, token.Demand{Mode: m, MaxAge: time.Minute}) })
	}
	race.Go(func() {
		s.revoked.Store(true)
		v.Invalidate(token.Invalidation{UserID: good().UserID})
		for _, m := range asking {
			if _, err := v.Verify(t.Context(), tok, token.Demand{Mode: m, MaxAge: time.Minute}); err == nil {
				t.Errorf("%s: allowed after the invalidation", m)
			}
		}
	})
	race.Wait()
	for _, m := range asking {
		if _, err := v.Verify(t.Context(), tok, token.Demand{Mode: m, MaxAge: time.Minute}); err == nil {
			t.Errorf("%s: allowed after all", m)
		}
	}
}
