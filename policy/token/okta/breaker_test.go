package okta_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// plain is an answer without headers beyond its type.
func plain(status int, contentType, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// flaky counts calls and answers as it is told to at the time.
type flaky struct {
	mu     sync.Mutex
	answer func(*http.Request) (*http.Response, error)
	calls  int
}

func (f *flaky) become(answer func(*http.Request) (*http.Response, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.calls++
	answer := f.answer
	f.mu.Unlock()
	return answer(r)
}

func (f *flaky) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func fine(*http.Request) (*http.Response, error) {
	return plain(200, "application/json", `{"active":false}`)
}
func dead(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }
func silent(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// flakyClient has a budget that does not matter here.
func flakyClient(t *testing.T, f *flaky) *okta.Client {
	t.Helper()
	b := unlimited(t)
	return client(t, "https://example.okta.com", timeout(0), func(c *okta.Config) { c.Transport, c.Budget = f, b })
}

// TestBreaker: what breaks it, and what must not, though it comes a thousand times.
func TestBreaker(t *testing.T) {
	t.Parallel()
	answer := func(status int, contentType, body string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return plain(status, contentType, body) }
	}
	for name, c := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		breaks bool
	}{
		"F01 refused":         {dead, true},
		"F02 silent":          {silent, true},
		"F05 500":             {answer(500, "application/json", `{}`), true},
		"F05 503":             {answer(503, "text/html", `<html>`), true},
		"F05 HTML":            {answer(200, "text/html", `<html>`), true},
		"F05 truncated":       {answer(200, "application/json", `{"active":tr`), true},
		"F05 active a string": {answer(200, "application/json", `{"active":"true"}`), true},
		"F05 cut in the body": {func(*http.Request) (*http.Response, error) {
			res, err := plain(200, "application/json", "")
			res.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"act`), errorReader{}))
			return res, err
		}, true},
		"inactive":               {fine, false},
		"400":                    {answer(400, "application/json", `{"error":"invalid_request"}`), false},
		"T44 401":                {answer(401, "application/json", `{"error":"invalid_client"}`), false},
		"T44 403":                {answer(403, "application/json", `{"error":"access_denied"}`), false},
		"404":                    {answer(404, "application/json", `{}`), false},
		"T43 redirect":           {answer(302, "text/html", ``), false},
		"T28 contradicts itself": {answer(200, "application/json", `{"active":true,"client_id":"a","cid":"b"}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &flaky{answer: c.answer}
				cl := flakyClient(t, f)
				for range 1000 {
					if f.count() > 60 {
						break
					}
					got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
					if got.Active {
						t.Fatalf("active: %v", err)
					}
				}
				f.become(fine)
				before := f.count()
				start := time.Now()
				_, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
				if c.breaks {
					known, ok := errors.AsType[*token.Error](err)
					if !ok || known.Failure != token.Unavailable || known.RetryAfter < time.Second || f.count() != before || time.Since(start) != 0 {
						t.Errorf("%v, %d calls in %s", err, f.count()-before, time.Since(start))
					}
				} else if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, syscall.ECONNRESET }

// TestBreakerTriesAgain: an open breaker costs nobody's time, sends one or two probes
// after a delay that differs from breaker to breaker, and closes when they succeed.
func TestBreakerTriesAgain(t *testing.T) {
	t.Parallel()
	delays := make(map[time.Duration]bool)
	for range 5 {
		synctest.Test(t, func(t *testing.T) {
			f := &flaky{answer: dead}
			cl := flakyClient(t, f)
			ask := func() error {
				_, err := cl.Introspect(t.Context(), parsed(t, canary), token.Unseen)
				return err
			}
			for range 5 {
				_ = ask()
			}
			opened, calls := time.Now(), f.count()
			for f.count() == calls && time.Since(opened) < 10*time.Second {
				time.Sleep(10 * time.Millisecond)
				_ = ask()
			}
			if delay := time.Since(opened); delay < time.Second || delay > 3100*time.Millisecond {
				t.Errorf("tried again after %s", delay)
			} else {
				delays[delay] = true
			}
			if n := f.count() - calls; n != 1 {
				t.Errorf("%d calls, the first of which failed", n)
			}
			time.Sleep(4 * time.Second)
			f.become(fine)
			for range 20 {
				if err := ask(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if len(delays) < 3 {
		t.Errorf("delays without jitter: %v", delays)
	}
}

// TestBreakerProbes: while a probe is under way no herd follows it.
func TestBreakerProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{answer: dead}
		b := budget(t, okta.BudgetConfig{Share: 1, Limit: 1_000_000, Now: newClock().now})
		cl := client(t, "https://example.okta.com", timeout(0), func(c *okta.Config) { c.Transport, c.Budget = f, b })
		for range 5 {
			_, _ = cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		}
		time.Sleep(4 * time.Second)
		release := make(chan struct{})
		f.become(func(r *http.Request) (*http.Response, error) { <-release; return fine(r) })
		calls := f.count()
		var failed atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known); err != nil {
					failed.Add(1)
				}
			})
		}
		synctest.Wait()
		if n := f.count() - calls; n != 2 {
			t.Errorf("%d probes", n)
		}
		close(release)
		wg.Wait()
		if r := b.Rate(); r.Remaining != r.Limit-f.count() {
			t.Errorf("%+v after %d calls", r, f.count())
		}
		if n := failed.Load(); n != 48 {
			t.Errorf("%d of 50 failed", n)
		}
		if _, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known); err != nil {
			t.Error(err)
		}
	})
}

// TestCancelledCalls: callers that go away say nothing of the server, and a probe of
// theirs does not leave the breaker waiting for it for ever.
func TestCancelledCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{answer: silent}
		cl := flakyClient(t, f)
		leave := func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			got, err := cl.Introspect(ctx, parsed(t, canary), token.Known)
			mustFail(t, got, err, token.Unavailable)
		}
		for range 100 {
			leave()
		}
		f.become(fine)
		if _, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known); err != nil {
			t.Fatalf("after calls that were given up: %v", err)
		}
		time.Sleep(time.Minute)
		f.become(dead)
		for range 10 {
			_, _ = cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		}
		time.Sleep(4 * time.Second)
		f.become(silent)
		for range 5 {
			leave()
		}
		f.become(fine)
		time.Sleep(4 * time.Second)
		if _, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known); err != nil {
			t.Errorf("after a probe that was given up: %v", err)
		}
	})
}

// TestStaleResults: calls that were sent before the breaker opened do not close it.
func TestStaleResults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{}
		b := unlimited(t)
		cl := client(t, "https://example.okta.com", timeout(time.Minute), func(c *okta.Config) { c.Transport, c.Budget = f, b })
		release := make(chan struct{})
		f.become(func(r *http.Request) (*http.Response, error) { <-release; return fine(r) })
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { _, _ = cl.Introspect(t.Context(), parsed(t, canary), token.Known) })
		}
		synctest.Wait()
		f.become(dead)
		for range 5 {
			_, _ = cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		}
		time.Sleep(4 * time.Second)
		calls := f.count()
		ended := make(chan struct{})
		f.become(func(r *http.Request) (*http.Response, error) { <-ended; return fine(r) })
		var probes sync.WaitGroup
		for range 2 {
			probes.Go(func() { _, _ = cl.Introspect(t.Context(), parsed(t, canary), token.Known) })
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		_, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		if n := f.count() - calls; n != 2 || err == nil {
			t.Errorf("%d calls, %v", n, err)
		}
		close(ended)
		probes.Wait()
	})
}
