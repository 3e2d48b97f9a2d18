package token_test

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
)

// stuffed is a verifier whose cache of 1 MiB is full of facts of some 1.3 KiB.
func stuffed(t *testing.T) (*token.Verifier, *server, *token.Metrics) {
	t.Helper()
	s := &server{answer: func(_ context.Context, text token.Token, _ token.Priority) (token.Introspection, error) {
		c := fresh()
		c.Subject = text.Reveal() + strings.Repeat("s", 1000)
		return active(c), nil
	}}
	c, m := config(), new(token.Metrics)
	c.Opaque, c.MaxBytes = true, 1<<20
	v, err := token.NewVerifier(c, token.Parts{Server: s, Now: time.Now, Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	stuff(t, v)
	return v, s, m
}

func stuff(t *testing.T, v *token.Verifier) {
	t.Helper()
	for n := range 2000 {
		fact, err := v.Verify(t.Context(), parsed(t, "token-"+strconv.Itoa(n)), within(time.Minute))
		mustBelieve(t, fact, err)
	}
}

// TestYield (F24): the cache gives way step by step, refuses nobody for it, and gets its
// room back.
func TestYield(t *testing.T) {
	t.Parallel()
	v, s, m := stuffed(t)
	const limit = 100
	_, full, _ := v.Sizes()
	if full < 900<<10 || v.Bound() != 1<<20 || m.Bound() != 1<<20 {
		t.Fatalf("%d bytes at first, bounds %d and %d", full, v.Bound(), m.Bound())
	}
	for _, live := range []uint64{0, 39, 40, 50, 60} { // plenty, or neither
		if v.Yield(live, limit); v.Bound() != 1<<20 {
			t.Errorf("%d of %d in use: bound %d", live, limit, v.Bound())
		}
	}
	was := full
	for range 3 {
		v.Yield(61, limit)
		_, now, _ := v.Sizes()
		if now > was*2/3 || now < was/2 || v.Bound() > was*2/3 || m.Bound() != int64(v.Bound()) {
			t.Errorf("from %d to %d bytes, bounds %d and %d", was, now, v.Bound(), m.Bound())
		}
		was = now
	}
	stuff(t, v) // more than fits: everybody is served
	if _, now, _ := v.Sizes(); now > v.Bound() {
		t.Errorf("%d bytes in %d", now, v.Bound())
	}
	for range 50 {
		v.Yield(math.MaxInt64, limit)
	}
	if v.Bound() != 1<<20/64 {
		t.Errorf("a bound of %d, want a 64th", v.Bound())
	}
	asked := len(s.asked())
	fact, err := v.Verify(t.Context(), parsed(t, "token-0"), within(time.Minute))
	mustBelieve(t, fact, err)
	s.mustBeAsked(t, asked+1)
	for range 10 {
		v.Yield(50, limit)
	}
	if v.Bound() != 1<<20/64 {
		t.Errorf("a bound of %d while memory is neither short nor plenty", v.Bound())
	}
	last := v.Bound()
	for range 20 {
		v.Yield(39, limit)
		if v.Bound() < last || v.Bound() > last*3/2 {
			t.Errorf("from a bound of %d to %d", last, v.Bound())
		}
		last = v.Bound()
	}
	if v.Bound() != 1<<20 || m.Bound() != 1<<20 {
		t.Errorf("bounds %d and %d, want all back", v.Bound(), m.Bound())
	}
	stuff(t, v)
	if _, now, _ := v.Sizes(); now < 900<<10 {
		t.Errorf("%d bytes in the end", now)
	}
	v.Yield(61, limit)
	v.Yield(math.MaxInt64-1, math.MaxInt64) // no limit
	if v.Bound() < 900<<10 {
		t.Errorf("a bound of %d without a limit", v.Bound())
	}
	v.Close()
	v.Close()
	if v.Yield(61, limit); m.Bound() != 0 {
		t.Errorf("%d bytes for a verifier that is closed", m.Bound())
	}
}

// TestRun gives way by the limit of the process, and ends with its context. It is alone
// while the limit is low.
func TestRun(t *testing.T) {
	v, _, _ := stuffed(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	becomes := func(what string, holds func(bound uint64) bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !holds(v.Bound()); {
			if time.Now().After(end) {
				t.Fatalf("%s: a bound of %d", what, v.Bound())
			}
			runtime.GC()
			time.Sleep(10 * time.Millisecond)
		}
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := debug.SetMemoryLimit(int64(m.HeapAlloc))
	defer debug.SetMemoryLimit(before)
	becomes("short of memory", func(bound uint64) bool { return bound < 1<<19 })
	debug.SetMemoryLimit(before)
	becomes("memory is plenty", func(bound uint64) bool { return bound == 1<<20 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
