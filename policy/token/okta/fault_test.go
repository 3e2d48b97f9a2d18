package okta_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// brokenBody ends before it is complete.
type brokenBody struct {
	io.Reader
	err error
}

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

// TestP13 (P13): whatever goes wrong on whatever step, a token is active only if the
// last answer plainly said so, and inactive only if it plainly said that.
func TestP13(t *testing.T) {
	t.Parallel()
	tok := parsed(t, canary)
	active := activeJSON("x", "")
	rapid.Check(t, func(rt *rapid.T) {
		failures := []error{
			syscall.ECONNREFUSED, syscall.ECONNRESET, io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded,
			&net.DNSError{Err: "no such host"}, fmt.Errorf("malformed HTTP response %q", canary), errors.New(canary),
		}
		last := ""
		cl := client(t, "https://example.okta.com", func(c *okta.Config) {
			c.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				last = ""
				if rapid.Bool().Draw(rt, "fails") {
					return nil, rapid.SampledFrom(failures).Draw(rt, "failure")
				}
				status := rapid.SampledFrom([]int{200, 200, 200, 100, 201, 204, 301, 307, 400, 401, 403, 404, 429, 500, 503, 999}).Draw(rt, "status")
				kind := rapid.SampledFrom([]string{"application/json", "application/json", "text/html", "", "application/jwt"}).Draw(rt, "type")
				body := rapid.SampledFrom([]string{active, `{"active":false}`, `{"active":true`, `{"active":true,"active":true}`, ``, `null`, active + active}).Draw(rt, "body")
				cut := rapid.IntRange(-1, 2*len(body)).Draw(rt, "cut")
				res, err := plain(status, kind, body)
				whole := cut < 0 || cut >= len(body)
				if !whole {
					res.Body = io.NopCloser(brokenBody{strings.NewReader(body[:cut]), rapid.SampledFrom(failures).Draw(rt, "cut by")})
				}
				if status == 200 && kind == "application/json" && whole {
					last = body
				}
				return res, err
			})
		})
		for range rapid.IntRange(1, 12).Draw(rt, "asks") {
			last = ""
			p := rapid.SampledFrom([]token.Priority{token.Ahead, token.Unseen, token.Known}).Draw(rt, "priority")
			ctx, cancel := context.WithTimeout(t.Context(), rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(rt, "time"))
			got, err := cl.Introspect(ctx, tok, p)
			cancel()
			known, typed := errors.AsType[*token.Error](err)
			switch {
			case err != nil && (!typed || got.Active || known.Failure != token.Unavailable && known.Failure != token.RateLimited):
				rt.Fatalf("%+v, %v", got, err)
			case err != nil && strings.Contains(err.Error(), canary):
				rt.Fatalf("the error shows the token: %v", err)
			case got.Active && last != active:
				rt.Fatalf("active by %q", last)
			case err == nil && !got.Active && last != `{"active":false}`:
				rt.Fatalf("inactive by %q", last)
			}
		}
	})
}

// TestShortToken: a token that is part of every message does not change what failed.
func TestShortToken(t *testing.T) {
	t.Parallel()
	cl := client(t, "https://example.okta.com", func(c *okta.Config) {
		c.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return plain(429, "", "") })
	})
	_, err := cl.Introspect(t.Context(), parsed(t, "t"), token.Known)
	if known, ok := errors.AsType[*token.Error](err); !ok || known.Failure != token.RateLimited || known.RetryAfter != time.Minute {
		t.Errorf("%v", err)
	}
}

// TestF02 (F02): a black hole costs one attempt's time, and then none.
func TestF02(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }() // accepts by its queue, and never reads
	b := unlimited(t)
	cl := client(t, "http://"+listener.Addr().String(), timeout(100*time.Millisecond), func(c *okta.Config) { c.Budget = b })
	for range 10 {
		start := time.Now()
		got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		mustFail(t, got, err, token.Unavailable)
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %s", took)
		}
	}
	start := time.Now()
	const asks = 100
	for range asks {
		got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		mustFail(t, got, err, token.Unavailable)
	}
	if took := time.Since(start) / asks; took > time.Millisecond {
		t.Errorf("an open breaker takes %s", took)
	}
}

// TestRetriesAreFew (F05): of a server that fails now and then only a tenth of our share
// is asked twice.
func TestRetriesAreFew(t *testing.T) {
	t.Parallel()
	o := &org{clock: newClock(), limit: 1200, once: true}
	ask := o.ask(t, budget(t, okta.BudgetConfig{Now: o.clock.now}))
	ask(token.Known)
	retries, failed := 0, 0
	for i := range 540 { // 9 a second
		if i%5 < 2 {
			o.status = 503
		}
		before := len(o.calls)
		if ask(token.Known) != "" {
			failed++
		}
		retries += len(o.calls) - before - 1
		o.clock.pass(time.Second / 9)
	}
	if retries > 96 || retries < 80 || failed != 216-retries {
		t.Errorf("%d retries in a minute of 960 calls, %d failed", retries, failed)
	}
}

// TestF03 (F03): with a slow server no more than 64 calls are under way, of which
// strangers have at most half; the rest is shed after a moment.
func TestF03(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{answer: func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(5 * time.Second):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			return fine(r)
		}}
		b := budget(t, okta.BudgetConfig{Share: 1, Limit: 1_000_000, Now: newClock().now})
		cl := client(t, "https://example.okta.com", timeout(10*time.Second), func(c *okta.Config) { c.Transport, c.Budget = f, b })
		failures := make(chan error, 1000)
		var wg sync.WaitGroup
		ask := func(n int, p token.Priority) {
			for range n {
				wg.Go(func() {
					_, err := cl.Introspect(t.Context(), parsed(t, canary), p)
					failures <- err
				})
			}
			time.Sleep(time.Second)
		}
		ask(100, token.Unseen)
		if f.count() != 32 {
			t.Errorf("strangers have %d calls under way", f.count())
		}
		ask(100, token.Known)
		if f.count() != 64 {
			t.Errorf("%d calls under way", f.count())
		}
		wg.Wait()
		close(failures)
		shed := 0
		for err := range failures {
			if known, ok := errors.AsType[*token.Error](err); ok && known.Failure == token.Overloaded && known.RetryAfter > 0 {
				shed++
			} else if err != nil {
				t.Error(err)
			}
		}
		if shed != 136 {
			t.Errorf("%d of 200 shed", shed)
		}
		if r := b.Rate(); r.Remaining != r.Limit-64 {
			t.Errorf("what was shed is spent: %+v", r)
		}
	})
}
