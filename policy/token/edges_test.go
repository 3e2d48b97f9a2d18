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

// held is a server that answers when it is released.
func held(c token.Claims) (s *server, release chan struct{}) {
	release = make(chan struct{})
	return &server{answer: func(ctx context.Context, _ token.Token, _ token.Priority) (token.Introspection, error) {
		select {
		case <-release:
			return active(c), nil
		case <-ctx.Done():
			return token.Introspection{}, token.Unavailablef("%w", ctx.Err())
		}
	}}, release
}

// TestSameInstant: on a clock that stands still a question is as old as a check, but was
// sent before it.
func TestSameInstant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		maxAge time.Duration
		calls  int
	}{{0, 2}, {1, 1}} {
		synctest.Test(t, func(t *testing.T) {
			at := time.Now()
			s, release := held(fresh())
			v := verifier(t, s, nil, func() time.Time { return at })
			var checks sync.WaitGroup
			for range 2 {
				checks.Go(func() {
					fact, err := v.Verify(t.Context(), parsed(t, canary), within(c.maxAge))
					mustBelieve(t, fact, err)
				})
				synctest.Wait()
			}
			close(release)
			checks.Wait()
			s.mustBeAsked(t, c.calls)
		})
	}
}

// TestAgeIsInclusive: a fact, or a question under way, that is exactly max_age old will do.
func TestAgeIsInclusive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		past  time.Duration
		calls int
	}{{0, 1}, {1, 2}} {
		synctest.Test(t, func(t *testing.T) {
			clock := &clock{wall: time.Now(), mono: time.Hour}
			s, release := held(fresh())
			v := verifier(t, s, nil, clock.now)
			var checks sync.WaitGroup
			check := func() {
				checks.Go(func() {
					fact, err := v.Verify(t.Context(), parsed(t, canary), within(time.Minute))
					mustBelieve(t, fact, err)
				})
			}
			check()
			synctest.Wait()
			clock.step(time.Minute+c.past, time.Minute+c.past)
			check()
			synctest.Wait()
			close(release)
			checks.Wait()
			s.mustBeAsked(t, c.calls)
		})
	}
}

// TestRefreshNeedsMoreThanASecond of life.
func TestRefreshNeedsMoreThanASecond(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		left  time.Duration
		calls int
	}{{time.Second, 1}, {2 * time.Second, 2}} {
		synctest.Test(t, func(t *testing.T) {
			claims := fresh()
			claims.ExpiresAt = time.Now().Add(10*time.Second + c.left)
			s := answers(active(claims), nil)
			v := verifier(t, s, nil, time.Now)
			for _, after := range []time.Duration{0, 0, 10 * time.Second} {
				time.Sleep(after)
				fact, err := v.Verify(t.Context(), parsed(t, canary), within(10*time.Second))
				mustBelieve(t, fact, err)
				synctest.Wait()
			}
			s.mustBeAsked(t, c.calls)
		})
	}
}

// TestZeroAgeHitIsNotRefreshed: an answer to a later question was there, and in use.
func TestZeroAgeHitIsNotRefreshed(t *testing.T) {
	t.Parallel()
	s := answers(active(good()), nil)
	var v *token.Verifier
	readings := 0
	v = verifier(t, s, nil, func() time.Time {
		if readings++; readings == 1 { // the check has arrived
			for _, age := range []time.Duration{0, time.Minute, time.Minute} {
				fact, err := v.Verify(t.Context(), parsed(t, canary), within(age))
				mustBelieve(t, fact, err)
			}
		}
		return now
	})
	fact, err := v.Verify(t.Context(), parsed(t, canary), within(0))
	mustBelieve(t, fact, err)
	if v.UnderWay() != 0 {
		t.Error("a question is under way")
	}
	s.mustBeAsked(t, 1)
}

// TestWaitingQuestionsTakePlaces as those under way do.
func TestWaitingQuestionsTakePlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, release := held(fresh())
		v := verifier(t, s, nil, time.Now)
		var checks sync.WaitGroup
		for i := range token.MaxQuestions / 4 {
			for range 2 {
				checks.Go(func() {
					fact, err := v.Verify(t.Context(), parsed(t, "x"+strconv.Itoa(i)), within(0))
					mustBelieve(t, fact, err)
				})
				synctest.Wait()
			}
		}
		fact, err := v.Verify(t.Context(), parsed(t, canary), within(0))
		mustFail(t, fact, err, token.Overloaded)
		if n := v.UnderWay(); n != token.MaxQuestions/2 {
			t.Errorf("%d questions about unseen tokens", n)
		}
		close(release)
		checks.Wait()
	})
}
