package token_test

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/token"
)

// TestZeroAgeUsesAnAnswerThatCameMeanwhile: it was asked for after the check arrived.
func TestZeroAgeUsesAnAnswerThatCameMeanwhile(t *testing.T) {
	t.Parallel()
	s, r := answers(active(good()), nil), reads(good())
	v := verifier(t, s, r, func() time.Time { return now })
	inner := false
	r.said = func(string) (token.Claims, error) {
		if !inner {
			inner = true
			fact, err := v.Verify(t.Context(), parsed(t, canary), within(0))
			mustBelieve(t, fact, err)
		}
		return good(), nil
	}
	fact, err := v.Verify(t.Context(), parsed(t, canary), within(0))
	mustBelieve(t, fact, err)
	if fact.Took != 0 {
		t.Errorf("the check asked itself: %s", fact.Took)
	}
	s.mustBeAsked(t, 1)
}

// TestSlowProofReplacesNoNewerOne: newer keys know better.
func TestSlowProofReplacesNoNewerOne(t *testing.T) {
	t.Parallel()
	r := reads(good())
	v := verifier(t, answers(active(good()), nil), r, func() time.Time { return now })
	jwt := token.Demand{Mode: token.ByJWT}
	r.prove = func(context.Context, string) error {
		r.prove = nil
		r.generation.Add(1)
		fact, err := v.Verify(t.Context(), parsed(t, canary), jwt)
		mustBelieve(t, fact, err)
		return nil
	}
	for range 3 {
		fact, err := v.Verify(t.Context(), parsed(t, canary), jwt)
		mustBelieve(t, fact, err)
	}
	if n := r.proofs.Load(); n != 2 {
		t.Errorf("%d proofs", n)
	}
}

// TestCeiling holds for any demand, and a JWT's fact has no age.
func TestCeiling(t *testing.T) {
	t.Parallel()
	c, claims := newClock(), untimed()
	claims.ExpiresAt = now.Add(24 * time.Hour)
	s, r := answers(active(claims), nil), reads(claims)
	v := verifier(t, s, r, c.now)
	jwt := token.Demand{Mode: token.ByJWT, MaxAge: math.MaxInt64}
	for i, step := range []time.Duration{0, token.Ceiling, 1, time.Minute} {
		c.step(step, step)
		fact, err := v.Verify(t.Context(), parsed(t, canary), within(math.MaxInt64))
		mustBelieve(t, fact, err)
		for v.UnderWay() > 0 {
			time.Sleep(time.Millisecond)
		}
		s.mustBeAsked(t, 1+i/2)
		fact, err = v.Verify(t.Context(), parsed(t, canary), jwt)
		mustBelieve(t, fact, err)
		if fact.Age != 0 {
			t.Errorf("a JWT's fact is %s old", fact.Age)
		}
	}
	if n := r.proofs.Load(); n != 1 {
		t.Errorf("%d proofs", n)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	metrics := &token.Metrics{}
	said := active(good())
	s := &server{}
	s.answer = func(_ context.Context, tok token.Token, _ token.Priority) (token.Introspection, error) {
		if tok.Reveal() == "junk" {
			return token.Introspection{}, nil
		}
		return said, nil
	}
	c := newClock()
	v, err := token.NewVerifier(config(), token.Parts{Server: s, Reader: reads(good()), Now: c.now, Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	check := func(name string, d token.Demand) { _, _ = v.Verify(t.Context(), parsed(t, name), d) }
	for range 3 {
		check(canary, within(time.Minute)) // a miss and two hits
	}
	for range 4 {
		check("junk", within(time.Minute)) // a miss and three refusals
	}
	check(canary, token.Demand{Mode: token.ByJWT}) // a miss and two hits
	check(canary, token.Demand{Mode: token.ByJWT})
	check(canary, token.Demand{Mode: token.ByJWT})
	c.step(59*time.Second, 59*time.Second)
	check(canary, within(time.Minute)) // a hit, and refreshed
	got := map[string]float64{}
	for name, read := range metrics.Lookups() {
		got[name] = float64(read())
	}
	want := map[string]float64{"hit": 5, "miss": 3, "coalesced": 0, "refreshed": 1, "refused": 3}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s is %v, want %v", name, got[name], n)
		}
	}
}

// TestZeroAgeJoinsAQuestionSentMeanwhile: after the check arrived, before it asked.
func TestZeroAgeJoinsAQuestionSentMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := slow(300*time.Millisecond, fresh()), reads(fresh())
		v := verifier(t, s, r, time.Now)
		var other sync.WaitGroup
		first := true
		r.said = func(string) (token.Claims, error) {
			if first {
				first = false
				other.Go(func() { _, _ = v.Verify(t.Context(), parsed(t, canary), within(0)) })
				time.Sleep(100 * time.Millisecond)
			}
			return fresh(), nil
		}
		fact, err := v.Verify(t.Context(), parsed(t, canary), within(0))
		mustBelieve(t, fact, err)
		other.Wait()
		s.mustBeAsked(t, 1)
	})
}

// TestWaitingQuestionRises to the rank of the best check that waits for it.
func TestWaitingQuestionRises(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slow(time.Second, fresh())
		v := verifier(t, s, reads(fresh()), time.Now)
		var checks sync.WaitGroup
		for i, m := range []token.Mode{token.ByBoth, token.ByIntrospection, token.ByIntrospection, token.ByIntrospection} {
			checks.Go(func() {
				time.Sleep([]time.Duration{0, 500 * time.Millisecond, 600 * time.Millisecond, 1100 * time.Millisecond}[i])
				fact, err := v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: m})
				mustBelieve(t, fact, err)
			})
		}
		checks.Wait()
		want := []token.Priority{token.Unseen, token.Unseen, token.Known}
		for i, c := range s.asked() {
			if c.priority != want[i] {
				t.Errorf("question %d has priority %d, want %d", i, c.priority, want[i])
			}
		}
		s.mustBeAsked(t, len(want))
	})
}

// TestNoRefreshBesideAQuestion: what is asked already need not be asked early.
func TestNoRefreshBesideAQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := slow(time.Second, fresh())
		v := verifier(t, s, nil, time.Now)
		for range 2 {
			fact, err := v.Verify(t.Context(), parsed(t, canary), within(30*time.Second))
			mustBelieve(t, fact, err)
		}
		time.Sleep(28 * time.Second)
		var checks sync.WaitGroup
		checks.Go(func() { _, _ = v.Verify(t.Context(), parsed(t, canary), within(0)) })
		time.Sleep(time.Millisecond)
		fact, err := v.Verify(t.Context(), parsed(t, canary), within(30*time.Second))
		mustBelieve(t, fact, err)
		synctest.Wait()
		s.mustBeAsked(t, 2)
		checks.Wait()
	})
}

// TestRefusalAgesByTheVerifiersClock, on whichever reading runs further.
func TestRefusalAgesByTheVerifiersClock(t *testing.T) {
	t.Parallel()
	for _, step := range []struct{ wall, mono time.Duration }{{token.RefusedFor, 0}, {0, token.RefusedFor}, {-time.Hour, token.RefusedFor}} {
		c := newClock()
		s := answers(token.Introspection{}, nil)
		v := verifier(t, s, nil, c.now)
		for _, calls := range []int{1, 1, 2} {
			if calls == 2 {
				c.step(1, 1)
			}
			fact, err := v.Verify(t.Context(), parsed(t, canary), within(time.Minute))
			mustFail(t, fact, err, token.Inactive)
			s.mustBeAsked(t, calls)
			if calls == 1 && len(s.asked()) == 1 {
				c.step(step.wall, step.mono)
				step.wall, step.mono = 0, 0
			}
		}
	}
}

// TestInvalidateWhileTheAnswerIsKept: at every look at the clock, the last of which comes
// just before the answer is put away.
func TestInvalidateWhileTheAnswerIsKept(t *testing.T) {
	t.Parallel()
	for at := range 8 {
		var v *token.Verifier
		var looks atomic.Int64
		invalidated := make(chan struct{})
		clock := func() time.Time {
			if looks.Add(1) == int64(at) {
				go func() {
					v.Invalidate(token.Invalidation{UserID: good().UserID})
					close(invalidated)
				}()
				select {
				case <-invalidated:
				case <-time.After(50 * time.Millisecond): // it waits for us
				}
			}
			return now
		}
		v = verifier(t, answers(active(good()), nil), nil, clock)
		fact, err := v.Verify(t.Context(), parsed(t, canary), within(time.Minute))
		mustBelieve(t, fact, err)
		if looks.Load() < int64(at) || at == 0 {
			continue
		}
		<-invalidated
		// Before the question is sent, which is at the third look, nothing is known.
		if _, kept := v.Kept(parsed(t, canary), token.ByIntrospection); kept && at > 3 {
			t.Errorf("look %d: the answer to a question sent before is kept", at)
		}
	}
}

// TestNewerAnswerEndsARefusal: the question was sent while the server said no.
func TestNewerAnswerEndsARefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, claims := &server{}, fresh()
		s.answer = func(ctx context.Context, _ token.Token, _ token.Priority) (token.Introspection, error) {
			first := len(s.asked()) == 1
			if err := wait(ctx, time.Second); err != nil || first {
				return token.Introspection{}, err
			}
			return active(claims), nil
		}
		v := verifier(t, s, reads(claims), time.Now)
		var checks sync.WaitGroup
		checks.Go(func() {
			fact, err := v.Verify(t.Context(), parsed(t, canary), within(0))
			mustFail(t, fact, err, token.Inactive)
		})
		time.Sleep(500 * time.Millisecond)
		both := token.Demand{Mode: token.ByBoth, MaxAge: time.Minute}
		fact, err := v.Verify(t.Context(), parsed(t, canary), both)
		mustBelieve(t, fact, err)
		checks.Wait()
		fact, err = v.Verify(t.Context(), parsed(t, canary), both)
		mustBelieve(t, fact, err)
		s.mustBeAsked(t, 2)
		fact, err = v.Verify(t.Context(), parsed(t, canary), within(0))
		mustBelieve(t, fact, err)
		s.mustBeAsked(t, 3)
	})
}
