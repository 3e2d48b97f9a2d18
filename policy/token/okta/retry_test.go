package okta_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// TestRetries: once more after a 5xx or a cut connection, never after anything else.
func TestRetries(t *testing.T) {
	t.Parallel()
	const inactive = `{"active":false}`
	cut := func(w http.ResponseWriter) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}
	cutBody := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "100")
		writeJSON(w, 200, inactive)
	}
	status := func(code int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { writeJSON(w, code, `{"error":"server_error"}`) }
	}
	fine := func(w http.ResponseWriter) { writeJSON(w, 200, inactive) }
	cases := []struct {
		name    string
		answers []func(http.ResponseWriter) // the last one repeats
		calls   int
		want    token.Failure // empty: an answer
	}{
		{"200", []func(http.ResponseWriter){fine}, 1, ""},
		{"500 then 200", []func(http.ResponseWriter){status(500), fine}, 2, ""},
		{"503 for ever", []func(http.ResponseWriter){status(503)}, 2, token.Unavailable},
		{"502, then 429", []func(http.ResponseWriter){status(502), status(429)}, 2, token.RateLimited},
		{"cut then 200", []func(http.ResponseWriter){cut, fine}, 2, ""},
		{"cut for ever", []func(http.ResponseWriter){cut}, 2, token.Unavailable},
		{"cut body then 200", []func(http.ResponseWriter){cutBody, fine}, 2, ""},
		{"cut then 500", []func(http.ResponseWriter){cut, status(500)}, 2, token.Unavailable},
		{"400", []func(http.ResponseWriter){status(400), fine}, 1, token.Unavailable},
		{"401", []func(http.ResponseWriter){status(401), fine}, 1, token.Unavailable},
		{"404", []func(http.ResponseWriter){status(404), fine}, 1, token.Unavailable},
		{"408", []func(http.ResponseWriter){status(408), fine}, 1, token.Unavailable},
		{"429", []func(http.ResponseWriter){status(429), fine}, 1, token.RateLimited},
		{"302", []func(http.ResponseWriter){status(302), fine}, 1, token.Unavailable},
		{"204", []func(http.ResponseWriter){func(w http.ResponseWriter) { w.WriteHeader(204) }, fine}, 1, token.Unavailable},
		{"not JSON", []func(http.ResponseWriter){func(w http.ResponseWriter) { writeJSON(w, 200, "<") }, fine}, 1, token.Unavailable},
		{"too large", []func(http.ResponseWriter){func(w http.ResponseWriter) { writeJSON(w, 200, strings.Repeat(" ", 1<<17)) }, fine}, 1, token.Unavailable},
		{"too large 500", []func(http.ResponseWriter){func(w http.ResponseWriter) { writeJSON(w, 500, strings.Repeat(" ", 1<<17)) }, fine}, 1, token.Unavailable},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			calls := 0
			cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				mu.Lock()
				answer := c.answers[min(calls, len(c.answers)-1)]
				calls++
				mu.Unlock()
				answer(w)
			})
			got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
			mu.Lock()
			defer mu.Unlock()
			if calls != c.calls {
				t.Errorf("%d calls, want %d", calls, c.calls)
			}
			if c.want == "" {
				if err != nil || got.Active {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			mustFail(t, got, err, c.want)
		})
	}
}

func TestDeadServer(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(nil)
	srv.Close()
	got, err := client(t, srv.URL).Introspect(t.Context(), parsed(t, canary), token.Known)
	mustFail(t, got, err, token.Unavailable)
}

// TestDeadlines: neither a silent server nor a retry outlives the deadlines.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	t.Run("attempt", func(t *testing.T) {
		t.Parallel()
		calls := make(chan struct{}, 10)
		cl := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			calls <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, timeout(100*time.Millisecond))
		start := time.Now()
		got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		mustFail(t, got, err, token.Unavailable)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("took %s", took)
		}
		if len(calls) != 1 {
			t.Errorf("%d calls to a silent server", len(calls))
		}
	})
	t.Run("caller", func(t *testing.T) {
		t.Parallel()
		cl := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		got, err := cl.Introspect(ctx, parsed(t, canary), token.Known)
		mustFail(t, got, err, token.Unavailable)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("took %s", took)
		}
	})
	t.Run("retry", func(t *testing.T) {
		t.Parallel()
		calls := make(chan struct{}, 10)
		cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
			calls <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body)
			if len(calls) > 1 {
				<-r.Context().Done()
				return
			}
			time.Sleep(50 * time.Millisecond)
			writeJSON(w, 500, `{}`)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		start := time.Now()
		got, err := cl.Introspect(ctx, parsed(t, canary), token.Known)
		mustFail(t, got, err, token.Unavailable)
		if took := time.Since(start); took > 2*time.Second || len(calls) != 2 {
			t.Errorf("took %s and %d calls", took, len(calls))
		}
	})
	t.Run("over", func(t *testing.T) {
		t.Parallel()
		cl := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked after the deadline") })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		got, err := cl.Introspect(ctx, parsed(t, canary), token.Known)
		mustFail(t, got, err, token.Unavailable)
	})
}

// TestAttemptTimeout: without a network the bound is exact.
func TestAttemptTimeout(t *testing.T) {
	t.Parallel()
	for configured, want := range map[time.Duration]time.Duration{0: time.Second, -1: time.Second, 300 * time.Millisecond: 300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			cl := client(t, "https://example.okta.com", timeout(configured), func(c *okta.Config) {
				c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					<-r.Context().Done()
					return nil, r.Context().Err()
				})
			})
			start := time.Now()
			got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
			mustFail(t, got, err, token.Unavailable)
			if took := time.Since(start); took != want {
				t.Errorf("an attempt of %s took %s", want, took)
			}
			start = time.Now()
			if err := cl.Probe(t.Context()); err == nil || time.Since(start) != want {
				t.Errorf("the probe took %s: %v", time.Since(start), err)
			}
		})
	}
}
