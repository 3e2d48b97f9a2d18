package authz_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
)

// silent answers only when it is told that nobody waits any more.
func silent(ctx context.Context, _ token.Token, _ token.Priority) (token.Introspection, error) {
	<-ctx.Done()
	return token.Introspection{}, token.Unavailablef("introspect: %w", ctx.Err())
}

// TestDeadlines: the answer comes 20 ms before the caller stops waiting, and after 5 s
// where the caller waits longer or for ever.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ limit, want time.Duration }{
		"none":      {0, 5 * time.Second},
		"long":      {time.Hour, 5 * time.Second},
		"2 s":       {2 * time.Second, 1980 * time.Millisecond},
		"30 ms":     {30 * time.Millisecond, 10 * time.Millisecond},
		"too short": {time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newServer(t, io.Discard, prometheus.NewRegistry(), silent)
				ctx, cancel := context.WithCancel(context.Background())
				if c.limit > 0 {
					ctx, cancel = context.WithTimeout(context.Background(), c.limit)
				}
				defer cancel()
				start := time.Now()
				res, err := srv.Check(ctx, get().request())
				if err != nil {
					t.Fatal(err)
				}
				mustDeny(t, res, 503, contract.OktaUnavailable)
				if took := time.Since(start); took != c.want {
					t.Errorf("took %s, want %s", took, c.want)
				}
			})
		})
	}
}

// TestCancelledCaller (G09): its check ends at once.
func TestCancelledCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, io.Discard, prometheus.NewRegistry(), silent)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		res, err := srv.Check(ctx, get().request())
		if err != nil || time.Since(start) != time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		mustDeny(t, res, 503, contract.OktaUnavailable)
	})
}
