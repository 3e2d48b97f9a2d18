package okta_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// said is what an answer says of the rate limit; reset is in seconds from its Date.
type said struct {
	limit, left, reset string
	status             int
}

func (s said) response(date time.Time) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}, "Date": {date.UTC().Format(http.TimeFormat)}}
	for name, value := range map[string]string{"X-Rate-Limit-Limit": s.limit, "X-Rate-Limit-Remaining": s.left} {
		if value != "" {
			h.Set(name, value)
		}
	}
	if n, err := strconv.Atoi(s.reset); err == nil {
		h.Set("X-Rate-Limit-Reset", strconv.FormatInt(date.Unix()+int64(n), 10))
	}
	return &http.Response{StatusCode: max(s.status, 200), Header: h, Body: io.NopCloser(strings.NewReader(`{"active":false}`))}
}

// TestRate: what answers teach, in the order in which they arrive.
func TestRate(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for name, c := range map[string]struct {
		answers []said
		want    okta.Rate
	}{
		"nothing":                    {[]said{{}}, okta.Rate{Limit: 300, Remaining: 239}},
		"limit alone":                {[]said{{limit: "1000"}}, okta.Rate{Limit: 1000, Remaining: 799}},
		"limit in words":             {[]said{{limit: "much", left: "5", reset: "9"}}, okta.Rate{Limit: 300, Remaining: 239}},
		"negative limit":             {[]said{{limit: "-1", left: "5", reset: "9"}}, okta.Rate{Limit: 300, Remaining: 239}},
		"limit without end":          {[]said{{limit: "9223372036854775807"}}, okta.Rate{Limit: 1e6, Remaining: 799999}},
		"all":                        {[]said{{limit: "1000", left: "600", reset: "40"}}, okta.Rate{Limit: 1000, Remaining: 400, Reset: 41 * s}},
		"more left than there is":    {[]said{{limit: "1000", left: "5000", reset: "40"}}, okta.Rate{Limit: 1000, Remaining: 799, Reset: 41 * s}},
		"less than nothing left":     {[]said{{limit: "1000", left: "-5000", reset: "40"}}, okta.Rate{Limit: 1000, Reset: 41 * s}},
		"the least number left":      {[]said{{limit: "1000", left: "-9223372036854775808", reset: "40"}}, okta.Rate{Limit: 1000, Reset: 41 * s}},
		"reset over":                 {[]said{{limit: "1000", left: "0", reset: "-1"}}, okta.Rate{Limit: 1000, Remaining: 799}},
		"reset far":                  {[]said{{limit: "1000", left: "600", reset: "86400"}}, okta.Rate{Limit: 1000, Remaining: 400, Reset: 61 * s}},
		"left in words":              {[]said{{limit: "1000", left: "some", reset: "40"}}, okta.Rate{Limit: 1000, Remaining: 799}},
		"an earlier answer, late":    {[]said{{limit: "1000", left: "600", reset: "40"}, {limit: "1000", left: "700", reset: "40"}}, okta.Rate{Limit: 1000, Remaining: 399, Reset: 41 * s}},
		"a later answer":             {[]said{{limit: "1000", left: "600", reset: "40"}, {limit: "1000", left: "500", reset: "40"}}, okta.Rate{Limit: 1000, Remaining: 300, Reset: 41 * s}},
		"the window before, late":    {[]said{{limit: "1000", left: "600", reset: "40"}, {limit: "1000", left: "1", reset: "5"}}, okta.Rate{Limit: 1000, Remaining: 399, Reset: 41 * s}},
		"the next window":            {[]said{{limit: "1000", left: "300", reset: "4"}, {limit: "1000", left: "990", reset: "60"}}, okta.Rate{Limit: 1000, Remaining: 790, Reset: 61 * s}},
		"a 429":                      {[]said{{limit: "1000", left: "0", reset: "40", status: 429}}, okta.Rate{Limit: 1000, Reset: 41 * s}},
		"a 429 that says nothing":    {[]said{{status: 429}}, okta.Rate{Limit: 300, Reset: 60 * s}},
		"a 429 of calls at once":     {[]said{{limit: "0", left: "0", reset: "7", status: 429}}, okta.Rate{Limit: 300, Reset: 8 * s}},
		"a 429 until the end of all": {[]said{{reset: "86400", status: 429}}, okta.Rate{Limit: 300, Reset: 300 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			b := budget(t, okta.BudgetConfig{Now: clock.now})
			var n atomic.Int32
			cl := client(t, "https://example.okta.com", func(cfg *okta.Config) {
				cfg.Budget = b
				cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
					return c.answers[n.Add(1)-1].response(time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)), nil
				})
			})
			for range c.answers {
				_, _ = cl.Introspect(t.Context(), parsed(t, canary), token.Known)
			}
			if diff := cmp.Diff(c.want, b.Rate()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// held is a server that answers the first call at once, and others one by one when told.
type held struct {
	answer  said
	release chan struct{}
	calls   atomic.Int32
}

func (h *held) RoundTrip(*http.Request) (*http.Response, error) {
	if h.calls.Add(1) > 1 {
		<-h.release
	}
	return h.answer.response(time.Now()), nil
}

// ask sends n questions and returns where their errors come.
func (h *held) ask(t *testing.T, cl *okta.Client, n int) <-chan error {
	t.Helper()
	ends := make(chan error, n)
	for range n {
		go func() {
			_, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
			ends <- err
		}()
	}
	synctest.Wait()
	return ends
}

// TestUnderWay: calls that were not answered yet are spent already.
func TestUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &held{answer: said{limit: "1000", left: "210", reset: "5"}, release: make(chan struct{})}
		cl := client(t, "https://example.okta.com", func(c *okta.Config) { c.Transport, c.Timeout = h, time.Hour })
		h.ask(t, cl, 1)
		ends := h.ask(t, cl, 50)
		if n := h.calls.Load() - 1; n != 10 {
			t.Errorf("%d calls are under way where 10 were left", n)
		}
		for range 40 {
			if known, ok := errors.AsType[*token.Error](<-ends); !ok || known.Failure != token.RateLimited || known.RetryAfter != 6*time.Second {
				t.Errorf("%v", known)
			}
		}
		close(h.release)
		for range 10 {
			if err := <-ends; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestUnderWayAtReset: a new window may or may not count the calls under way.
func TestUnderWayAtReset(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := budget(t, okta.BudgetConfig{})
		h := &held{answer: said{limit: "1000", left: "999", reset: "5"}, release: make(chan struct{})}
		cl := client(t, "https://example.okta.com", func(c *okta.Config) { c.Transport, c.Timeout, c.Budget = h, time.Hour, b })
		h.ask(t, cl, 1)
		ends := h.ask(t, cl, 9)
		time.Sleep(10 * time.Second)
		h.answer = said{limit: "1000", left: "500", reset: "60"}
		h.release <- struct{}{}
		if err := <-ends; err != nil {
			t.Error(err)
		}
		if r := b.Rate(); r.Remaining != 300-8 {
			t.Errorf("%+v with 8 calls under way", r)
		}
		close(h.release)
		for range 8 {
			if err := <-ends; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestStopOfWaiting: what waited for a slot when the server said stop is not sent, and
// does not make room for others.
func TestStopOfWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &held{answer: said{limit: "1000", left: "1000", reset: "50"}, release: make(chan struct{})}
		cl := client(t, "https://example.okta.com", func(c *okta.Config) { c.Transport, c.Timeout = h, time.Hour })
		h.ask(t, cl, 1)
		ends := h.ask(t, cl, 80)
		h.answer.status = 429
		close(h.release)
		for range 80 {
			if known, ok := errors.AsType[*token.Error](<-ends); !ok || known.Failure != token.RateLimited {
				t.Errorf("%v", known)
			}
		}
		if err := <-h.ask(t, cl, 1); err == nil || h.calls.Load() != 65 {
			t.Errorf("%d calls, %v", h.calls.Load(), err)
		}
	})
}
