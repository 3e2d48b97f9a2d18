package token_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/token"
)

// TestClose waits for the questions under way; those who wait for them, or for one that
// was not sent yet, get an error, and so does everybody after.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		s.answer = func(ctx context.Context, tok token.Token, _ token.Priority) (token.Introspection, error) {
			if tok.Reveal() == "known" {
				return active(fresh()), nil
			}
			<-ctx.Done()
			time.Sleep(time.Second) // one that does not stop at once
			return active(fresh()), ctx.Err()
		}
		r := reads(fresh())
		v := verifier(t, s, r, time.Now)
		for _, m := range modes {
			fact, err := v.Verify(t.Context(), parsed(t, "known"), token.Demand{Mode: m, MaxAge: time.Minute})
			mustBelieve(t, fact, err)
		}
		asked := len(s.asked())
		start := time.Now()
		var checks sync.WaitGroup
		for i := range 100 {
			checks.Go(func() {
				time.Sleep(time.Duration(i%2) * time.Millisecond)
				fact, err := v.Verify(t.Context(), parsed(t, canary), within(0))
				mustFail(t, fact, err, token.Unavailable)
			})
		}
		time.Sleep(10 * time.Millisecond)
		if n := v.UnderWay(); n != 2 {
			t.Errorf("%d questions under way", n)
		}
		v.Close()
		if took := time.Since(start); took != time.Second+10*time.Millisecond {
			t.Errorf("closed after %s", took)
		}
		checks.Wait()
		if n := len(s.asked()); n != asked+1 {
			t.Errorf("%d questions were sent", n-asked)
		}
		for _, m := range modes {
			fact, err := v.Verify(t.Context(), parsed(t, "known"), token.Demand{Mode: m, MaxAge: time.Minute})
			mustFail(t, fact, err, token.Unavailable)
		}
		v.Close()
		if n, _, _ := v.Sizes(); n != 0 || v.UnderWay() != 0 {
			t.Errorf("%d facts, %d questions left", n, v.UnderWay())
		}
	})
}

// TestCloseBesideChecks of all modes leaves no goroutine behind: TestMain looks.
func TestCloseBesideChecks(t *testing.T) {
	t.Parallel()
	for range 200 {
		v, err := token.NewVerifier(config(), token.Parts{Server: answers(active(good()), nil), Reader: reads(good()), Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		var checks sync.WaitGroup
		for i := range 9 {
			checks.Go(func() {
				for j := range 20 {
					_, _ = v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: modes[i%3], MaxAge: time.Duration(j % 2)})
				}
			})
		}
		v.Close()
		checks.Wait()
		if n, _, _ := v.Sizes(); n != 0 {
			t.Fatalf("%d facts were kept after the end", n)
		}
	}
}

// TestCloseDuringAProof: the fact of a check that was there before is not kept.
func TestCloseDuringAProof(t *testing.T) {
	t.Parallel()
	r := reads(good())
	v := verifier(t, answers(active(good()), nil), r, func() time.Time { return now })
	r.prove = func(context.Context, string) error { v.Close(); return nil }
	_, _ = v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: token.ByJWT})
	if n, _, _ := v.Sizes(); n != 0 {
		t.Errorf("%d facts are kept", n)
	}
}
