package okta_test

import (
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// TestP17 (P17): whatever is asked and however the server answers, no minute has more
// calls than the share of the limit, tokens never seen have no more than 30 % of that,
// and a server that said stop is left alone.
func TestP17(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 2000).Draw(rt, "limit")
		share := rapid.Float64Range(0.05, 1).Draw(rt, "share")
		o := &org{clock: newClock(), limit: limit, phase: time.Duration(rapid.IntRange(0, 59_999).Draw(rt, "phase")) * time.Millisecond}
		ask := o.ask(t, budget(t, okta.BudgetConfig{Now: o.clock.now, Share: share, Limit: limit}))
		var unseen []time.Time
		var until time.Time
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			o.clock.pass(time.Duration(rapid.IntRange(0, 30_000).Draw(rt, "pass")) * time.Millisecond)
			o.status = rapid.SampledFrom([]int{200, 200, 400, 401, 500}).Draw(rt, "status")
			o.silent = rapid.Bool().Draw(rt, "silent")
			o.spend(rapid.IntRange(0, limit/3).Draw(rt, "others"))
			p := rapid.SampledFrom([]token.Priority{token.Ahead, token.Unseen, token.Known}).Draw(rt, "priority")
			for range rapid.IntRange(0, 600).Draw(rt, "asks") {
				before, refused := len(o.calls), o.refused
				ask(p)
				if len(o.calls) > before && o.clock.now().Before(until) {
					rt.Fatalf("asked %s before the reset", until.Sub(o.clock.now()))
				}
				if o.refused > refused && !o.silent {
					_, until = o.at(o.clock.now())
				}
				if p == token.Unseen {
					unseen = append(unseen, o.calls[before:]...)
				}
			}
		}
		if n, most := most(o.calls), math.Max(1, share*float64(limit)); float64(n) > most {
			rt.Errorf("%d calls in a minute, ours are %g", n, most)
		}
		// A retry of an unseen token is one more call about it.
		if n, most := most(unseen), math.Max(1, 0.3*share*float64(limit)); float64(n) > most {
			rt.Errorf("%d calls about unseen tokens in a minute, theirs are %g", n, most)
		}
	})
}

// TestJunk: a thousand unknown tokens per second for a minute leave the live users their
// share, though both ask at once.
func TestJunk(t *testing.T) {
	t.Parallel()
	o := &org{clock: newClock(), limit: 1200}
	b := budget(t, okta.BudgetConfig{Now: o.clock.now})
	ask := o.ask(t, b)
	junk, live := 0, 0
	for ms := range 60_000 {
		if ask(token.Unseen) == "" {
			junk++
		}
		if ms%100 == 0 {
			if failure := ask(token.Known); failure != "" {
				t.Fatalf("live user at %d ms: %s", ms, failure)
			}
			live++
		}
		o.clock.pass(time.Millisecond)
	}
	if o.refused > 0 || most(o.calls) > 960 {
		t.Errorf("%d refused, %d calls in a minute", o.refused, most(o.calls))
	}
	if junk > 288 || junk < 200 {
		t.Errorf("%d unknown tokens of 60,000 were asked about, want up to 288", junk)
	}
	t.Logf("%d live of %d, %d junk", live, live, junk)
}

// TestHerd: 100,000 tokens that expire together, and are asked about every second until
// they are known again, reach the server in turn, also behind a reset.
func TestHerd(t *testing.T) {
	t.Parallel()
	for _, p := range []token.Priority{token.Unseen, token.Known} {
		o := &org{clock: newClock(), limit: 1200, phase: 17 * time.Second}
		ask := o.ask(t, budget(t, okta.BudgetConfig{Now: o.clock.now}))
		perSecond := make([]int, 180)
		for s := range perSecond {
			before := len(o.calls)
			for range 100_000 / 50 {
				ask(p)
			}
			perSecond[s] = len(o.calls) - before
			o.clock.pass(time.Second)
		}
		if o.refused > 0 || most(o.calls) > 960 {
			t.Errorf("%v: %d refused, %d calls in a minute", p, o.refused, most(o.calls))
		}
		for s, n := range perSecond[1:] {
			if n > 20 {
				t.Errorf("%v: %d calls in second %d", p, n, s+1)
			}
		}
		if n := most(o.calls); p == token.Unseen && n > 288 {
			t.Errorf("%d calls about unknown tokens in a minute", n)
		}
		// All of it, or all that unknown tokens may have.
		if want := map[token.Priority]int{token.Unseen: 540, token.Known: 2250}[p]; len(o.calls) < want {
			t.Errorf("%v: %d calls in 3 minutes, want %d", p, len(o.calls), want)
		}
	}
}

// TestCold: before the server said anything a modest limit holds.
func TestCold(t *testing.T) {
	t.Parallel()
	o := &org{clock: newClock(), limit: 1 << 30, silent: true}
	ask := o.ask(t, budget(t, okta.BudgetConfig{Now: o.clock.now}))
	for range 120 {
		for range 100 {
			ask(token.Known)
		}
		o.clock.pass(time.Second)
	}
	if n := most(o.calls); n > 240 || n < 200 {
		t.Errorf("%d calls in a minute, want up to 240", n)
	}
}

// TestPriorities: near the limit refreshing ahead stops first, then unknown tokens, and
// what others spend counts.
func TestPriorities(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		others               int
		ahead, unseen, known bool
	}{
		{0, true, true, true},
		{470, true, true, true},
		{480, false, true, true},
		{660, false, true, true},
		{672, false, false, true},
		{950, false, false, true},
		{960, false, false, false},
		{1200, false, false, false},
	} {
		o := &org{clock: newClock(), limit: 1200}
		ask := o.ask(t, budget(t, okta.BudgetConfig{Now: o.clock.now}))
		o.spend(c.others)
		ask(token.Known) // learns, and is one more
		for p, want := range map[token.Priority]bool{token.Ahead: c.ahead, token.Unseen: c.unseen} {
			if got := ask(p) == ""; got != want {
				t.Errorf("%d spent by others, priority %d: asked %t", c.others, p, got)
			}
		}
		if got := ask(token.Known) == ""; got != c.known {
			t.Errorf("%d spent by others, known: asked %t", c.others, got)
		}
	}
}

// TestF04 (F04): a 429 stops all calls until the reset, and only those to that
// organization; then they begin again one by one.
func TestF04(t *testing.T) {
	t.Parallel()
	clock := newClock()
	o, other := &org{clock: clock, limit: 1200}, &org{clock: clock, limit: 1200}
	b := budget(t, okta.BudgetConfig{Now: clock.now})
	first, second := o.ask(t, b), o.ask(t, b)
	elsewhere := other.ask(t, budget(t, okta.BudgetConfig{Now: clock.now}))
	o.spend(1200)
	if failure := first(token.Known); failure != token.RateLimited {
		t.Fatalf("%q", failure)
	}
	_, ends := o.at(clock.now())
	for clock.now().Before(ends) {
		if first(token.Known) != token.RateLimited || second(token.Known) != token.RateLimited {
			t.Fatal("asked before the reset")
		}
		if failure := elsewhere(token.Known); failure != "" {
			t.Fatalf("the other organization: %s", failure)
		}
		clock.pass(time.Second)
	}
	if len(o.calls) != 1 {
		t.Errorf("%d calls", len(o.calls))
	}
	clock.pass(2 * time.Second)
	n := 0
	for range 1000 {
		if first(token.Known) == "" {
			n++
		}
	}
	if n == 0 || n > 30 {
		t.Errorf("%d calls at once after the reset", n)
	}
}

func TestConcurrencyLimit(t *testing.T) {
	t.Parallel()
	clock := newClock()
	b := budget(t, okta.BudgetConfig{Now: clock.now})
	cl := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		w.Header().Set("X-Rate-Limit-Limit", "0")
		w.Header().Set("X-Rate-Limit-Remaining", "0")
		w.Header().Set("X-Rate-Limit-Reset", fmt.Sprint(now.Unix()+3))
		writeJSON(w, 429, `{}`)
	}, func(c *okta.Config) { c.Budget = b })
	got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
	mustFail(t, got, err, token.RateLimited)
	r := b.Rate()
	if r.Limit != 300 || r.Remaining != 0 || r.Reset < 2*time.Second || r.Reset > 5*time.Second {
		t.Errorf("%+v", r)
	}
	clock.pass(6 * time.Second)
	if r := b.Rate(); r.Limit != 300 || r.Remaining < 100 || r.Reset != 0 {
		t.Errorf("after it: %+v", r)
	}
}

func TestNewBudgetRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []okta.BudgetConfig{{Share: -1}, {Share: 1.01}, {Share: math.NaN()}, {Share: math.Inf(1)}, {Limit: -1}, {Limit: 1_000_001}} {
		if b, err := okta.NewBudget(c); err == nil || b != nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	if r := budget(t, okta.BudgetConfig{}).Rate(); r != (okta.Rate{Limit: 300, Remaining: 240}) {
		t.Errorf("%+v", r)
	}
}
