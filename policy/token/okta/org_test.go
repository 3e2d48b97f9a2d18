package okta_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// org counts like Okta does: so many calls per window of 60 s, which begins when it
// likes. Its own clock is far from ours.
type org struct {
	clock  *clock
	limit  int
	phase  time.Duration
	silent bool // sends no headers
	status int  // in place of 200
	once   bool // status is for the next call alone

	mu      sync.Mutex
	window  int64
	used    int
	calls   []time.Time
	refused int
}

// epoch is when the windows are counted from.
var epoch = time.Now().Add(-time.Hour)

const skew = -1000 * time.Hour

// at returns the window of an instant and when it ends.
func (o *org) at(now time.Time) (window int64, ends time.Time) {
	window = int64(now.Sub(epoch)+o.phase) / int64(time.Minute)
	return window, epoch.Add(time.Duration(window+1)*time.Minute - o.phase)
}

// spend is what others ask of the same organization.
func (o *org) spend(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count(n)
}

func (o *org) count(n int) (ends time.Time) {
	window, ends := o.at(o.clock.now())
	if window != o.window {
		o.window, o.used = window, 0
	}
	o.used += n
	return ends
}

func (o *org) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.clock.now()
	o.calls = append(o.calls, now)
	ends := o.count(1)
	h := http.Header{"Content-Type": {"application/json"}}
	if !o.silent {
		h.Set("Date", now.Add(skew).UTC().Format(http.TimeFormat))
		h.Set("X-Rate-Limit-Limit", strconv.Itoa(o.limit))
		h.Set("X-Rate-Limit-Remaining", strconv.Itoa(max(o.limit-o.used, 0)))
		h.Set("X-Rate-Limit-Reset", strconv.FormatInt(ends.Add(skew).Unix(), 10))
	}
	status := o.status
	if status == 0 {
		status = 200
	}
	if o.once {
		o.status = 0
	}
	if o.used > o.limit {
		o.refused++
		status = 429
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(`{"active":false}`))}, nil
}

// most is how many calls fell into the minute that had most of them.
func most(calls []time.Time) int {
	most, first := 0, 0
	for i := range calls {
		for calls[i].Sub(calls[first]) >= time.Minute {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func budget(t testing.TB, c okta.BudgetConfig) *okta.Budget {
	t.Helper()
	b, err := okta.NewBudget(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unlimited is a budget for tests of something else.
func unlimited(t testing.TB) *okta.Budget {
	t.Helper()
	passed := newClock()
	return budget(t, okta.BudgetConfig{Share: 1, Limit: 1_000_000, Now: func() time.Time {
		passed.pass(time.Second)
		return passed.now()
	}})
}

// ask returns a client of o and a function that asks and tells the failure, if any.
func (o *org) ask(t testing.TB, b *okta.Budget) func(token.Priority) token.Failure {
	t.Helper()
	cl := client(t, "https://example.okta.com", func(c *okta.Config) { c.Transport, c.Budget = o, b })
	tok := parsed(t, canary)
	return func(p token.Priority) token.Failure {
		_, err := cl.Introspect(t.Context(), tok, p)
		if err == nil {
			return ""
		}
		known, ok := errors.AsType[*token.Error](err)
		if !ok {
			t.Fatalf("%T: %v", err, err)
		}
		if known.Failure == token.RateLimited && (known.RetryAfter <= 0 || known.RetryAfter > 5*time.Minute) {
			t.Fatalf("wait %s", known.RetryAfter)
		}
		return known.Failure
	}
}
