package token_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/token"
)

// TestHotTokenNeverWaits: after the first check none waits for the server.
func TestHotTokenNeverWaits(t *testing.T) {
	t.Parallel()
	for _, m := range asking {
		synctest.Test(t, func(t *testing.T) {
			s := slow(100*time.Millisecond, fresh())
			v := verifier(t, s, reads(fresh()), time.Now)
			demand := token.Demand{Mode: m, MaxAge: 2 * time.Second}
			for i := range 6000 {
				start := time.Now()
				fact, err := v.Verify(t.Context(), parsed(t, canary), demand)
				mustBelieve(t, fact, err)
				if took := time.Since(start); i > 0 && took != 0 {
					t.Fatalf("check %d waited %s", i, took)
				}
				if fact.Age > 2*time.Second {
					t.Fatalf("the age is %s", fact.Age)
				}
				time.Sleep(10 * time.Millisecond)
			}
			calls := s.asked()
			if n := len(calls); n < 30 || n > 41 { // every 1.5 to 1.88 s in 60 s
				t.Errorf("%d questions", n)
			}
			for i, c := range calls {
				if want := min(i, 1) == 1; want != (c.priority == token.Ahead) {
					t.Errorf("question %d has priority %d", i, c.priority)
				}
			}
		})
	}
}

// TestRefreshIsSpread over a fifth of the age, for tokens that came together.
func TestRefreshIsSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := answers(active(fresh()), nil)
		v := verifier(t, s, nil, time.Now)
		start := time.Now()
		for time.Since(start) < 99*time.Second {
			for i := range 200 {
				fact, err := v.Verify(t.Context(), parsed(t, strconv.Itoa(i)), within(100*time.Second))
				mustBelieve(t, fact, err)
			}
			synctest.Wait()
			time.Sleep(time.Second)
		}
		at := map[time.Duration]int{}
		for _, c := range s.asked()[200:] {
			at[c.at.Sub(start)]++
		}
		for when, n := range at {
			if when < 75*time.Second || when > 94*time.Second || n > 30 {
				t.Errorf("%d questions after %s", n, when)
			}
		}
		if len(at) < 15 {
			t.Errorf("questions at %d points", len(at))
		}
		s.mustBeAsked(t, 400)
	})
}

// TestColdTokenIsNotRefreshed: one more check is no habit.
func TestColdTokenIsNotRefreshed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := answers(active(fresh()), nil)
		v := verifier(t, s, nil, time.Now)
		for range 10 {
			for _, age := range []time.Duration{0, 1990 * time.Millisecond} {
				time.Sleep(age)
				fact, err := v.Verify(t.Context(), parsed(t, canary), within(2*time.Second))
				mustBelieve(t, fact, err)
				synctest.Wait()
			}
			time.Sleep(time.Minute)
		}
		s.mustBeAsked(t, 10)
	})
}

// TestNoRefreshAtTheEnd of a token's life, nor a fact after it.
func TestNoRefreshAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		claims := fresh()
		s := &server{answer: func(context.Context, token.Token, token.Priority) (token.Introspection, error) {
			return active(claims), nil
		}}
		v := verifier(t, s, nil, time.Now)
		for i := range 20 { // lives of 3 to 5 seconds
			tok := parsed(t, strconv.Itoa(i))
			claims.ExpiresAt = time.Now().Truncate(time.Second).Add(5 * time.Second)
			time.Sleep(time.Duration(i) * 100 * time.Millisecond)
			for time.Now().Before(claims.ExpiresAt) {
				fact, err := v.Verify(t.Context(), tok, within(2*time.Second))
				mustBelieve(t, fact, err)
				time.Sleep(10 * time.Millisecond)
			}
			fact, err := v.Verify(t.Context(), tok, within(2*time.Second))
			mustFail(t, fact, err, token.Expired)
			for _, c := range s.asked() {
				if c.token == tok.Reveal() && c.priority == token.Ahead && claims.ExpiresAt.Sub(c.at) <= time.Second {
					t.Errorf("refreshed %s before exp", claims.ExpiresAt.Sub(c.at))
				}
			}
		}
	})
}

// TestZeroAgeIsNeverRefreshed: every check asks anyway.
func TestZeroAgeIsNeverRefreshed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slow(time.Millisecond, fresh())
		v := verifier(t, s, nil, time.Now)
		var checks sync.WaitGroup
		for i := range 1000 {
			checks.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Microsecond)
				fact, err := v.Verify(t.Context(), parsed(t, canary), within(0))
				mustBelieve(t, fact, err)
			})
		}
		checks.Wait()
		for _, c := range s.asked() {
			if c.priority == token.Ahead {
				t.Fatal("refreshed ahead")
			}
		}
	})
}

// TestRefusedRefreshHarmsNobody: what is known serves until it is too old, and the check
// that finds it so asks for itself.
func TestRefusedRefreshHarmsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		s.answer = func(_ context.Context, _ token.Token, p token.Priority) (token.Introspection, error) {
			if p == token.Ahead {
				return token.Introspection{}, &token.Error{Failure: token.RateLimited, RetryAfter: time.Minute}
			}
			return active(fresh()), nil
		}
		v := verifier(t, s, nil, time.Now)
		for range 1000 {
			fact, err := v.Verify(t.Context(), parsed(t, canary), within(2*time.Second))
			mustBelieve(t, fact, err)
			time.Sleep(10 * time.Millisecond)
		}
		ahead := 0
		for _, c := range s.asked() {
			if c.priority == token.Ahead {
				ahead++
			}
		}
		if all := len(s.asked()); all != 10 || ahead != 5 {
			t.Errorf("%d questions, %d of them ahead", all, ahead)
		}
	})
}

// TestCheckThatJoinedARefusedRefresh asks for itself, and one call serves all of them.
func TestCheckThatJoinedARefusedRefresh(t *testing.T) {
	t.Parallel()
	for _, refusal := range []error{&token.Error{Failure: token.RateLimited}, token.Unavailablef("busy"), &token.Error{Failure: token.Overloaded}} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{}
			s.answer = func(ctx context.Context, _ token.Token, p token.Priority) (token.Introspection, error) {
				if p == token.Ahead {
					_ = wait(ctx, 300*time.Millisecond)
					return token.Introspection{}, refusal
				}
				return active(fresh()), nil
			}
			v := verifier(t, s, nil, time.Now)
			for _, after := range []time.Duration{0, time.Second, 18 * time.Second} {
				time.Sleep(after)
				fact, err := v.Verify(t.Context(), parsed(t, canary), within(20*time.Second))
				mustBelieve(t, fact, err)
			}
			synctest.Wait()
			n := len(s.asked())
			if s.asked()[n-1].priority != token.Ahead || v.UnderWay() != 1 {
				t.Fatalf("no refresh is under way: %v", s.asked())
			}
			time.Sleep(100 * time.Millisecond)
			var checks sync.WaitGroup
			for range 100 {
				checks.Go(func() {
					fact, err := v.Verify(t.Context(), parsed(t, canary), within(time.Second))
					mustBelieve(t, fact, err)
					if fact.Age != 0 {
						t.Errorf("the age is %s", fact.Age)
					}
				})
			}
			checks.Wait()
			calls := s.asked()
			if len(calls) != n+1 || calls[n].priority != token.Known {
				t.Errorf("questions are %v", calls)
			}
		})
	}
}

// TestRefreshThatFindsTheTokenDead ends the fact before it is too old.
func TestRefreshThatFindsTheTokenDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newRevocable(fresh(), 0)
		v := verifier(t, s, nil, time.Now)
		var err error
		for i := 0; err == nil; i++ {
			if i == 50 {
				s.revoked.Store(true)
			}
			if _, err = v.Verify(t.Context(), parsed(t, canary), within(2*time.Second)); i > 190 {
				t.Fatal("still allowed")
			}
			time.Sleep(10 * time.Millisecond)
		}
		mustFail(t, token.Fact{}, err, token.Inactive)
		s.mustBeAsked(t, 2)
	})
}

// TestRanks: a token is unseen until it was active, and again once it is refused.
func TestRanks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newRevocable(fresh(), 0)
		v := verifier(t, s, reads(fresh()), time.Now)
		for i := range 5 {
			s.revoked.Store(i == 2)
			_, _ = v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: asking[i%2]})
			time.Sleep(token.RefusedFor + 1)
		}
		_, _ = v.Verify(t.Context(), parsed(t, canary+"x"), within(0))
		want := []token.Priority{token.Unseen, token.Known, token.Known, token.Unseen, token.Known, token.Unseen}
		for i, c := range s.asked() {
			if c.priority != want[i] {
				t.Errorf("question %d has priority %d, want %d", i, c.priority, want[i])
			}
		}
	})
}
