package token_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/token"
)

// TestOutageIsShared: checks that waited for a question of their own rank do not ask the
// server again, one after the other, when it gave no answer.
func TestOutageIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: func(ctx context.Context, _ token.Token, _ token.Priority) (token.Introspection, error) {
			_ = wait(ctx, time.Second)
			return token.Introspection{}, token.Unavailablef("down")
		}}
		v := verifier(t, s, nil, time.Now)
		began := time.Now()
		var checks sync.WaitGroup
		for range 10 {
			checks.Go(func() {
				fact, err := v.Verify(t.Context(), parsed(t, canary), within(time.Minute))
				mustFail(t, fact, err, token.Unavailable)
				if took := time.Since(began); took != time.Second {
					t.Errorf("a check took %s", took)
				}
			})
		}
		checks.Wait()
		s.mustBeAsked(t, 1)
	})
}
