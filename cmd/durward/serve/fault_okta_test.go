package serve

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// F01: the server refuses connections.
func faultDown(t *testing.T) {
	i, _, conn := single(t)
	cached, untouched := i.mint(t, 4*time.Second), i.mint(t, time.Hour)
	expect(t, conn, "main-long", cached, "allow")
	expect(t, conn, "main-jwt", untouched, "allow")
	ends, _ := i.ends(cached)
	i.down()
	fresh := make([]string, 20)
	for n := range fresh {
		fresh[n] = i.mint(t, time.Hour)
		expect(t, conn, "main-long", fresh[n], "503 okta_unavailable") // opens the breaker
	}
	within(t, conn, "an unseen token while the breaker is open", expect(t, conn, "main-long", fresh[0], "503 okta_unavailable"), 50*time.Millisecond)
	expect(t, conn, "main-jwt", fresh[1], "allow")
	allowed, late := 0, 0
	for time.Now().Before(ends.Add(time.Second)) {
		began := time.Now()
		got, _ := tell(t.Context(), conn, "main-long", cached, time.Second)
		switch {
		case got == "allow" && !began.Before(ends):
			late++
		case got == "allow":
			allowed++
		case got != "401 token_inactive" && began.Before(ends.Add(-50*time.Millisecond)):
			t.Fatalf("a cached token was denied: %s", got)
		}
		time.Sleep(time.Millisecond)
	}
	if allowed == 0 || late > 0 {
		t.Errorf("%d allows before the token expired and %d after", allowed, late)
	}
	i.up(t)
	start := time.Now()
	eventually(t, "the server is asked again", func() bool {
		got, _ := tell(t.Context(), conn, "main-long", fresh[0], time.Second)
		return got == "allow"
	})
	within(t, conn, "recovery", time.Since(start), 3*time.Second)
	t.Logf("%d allows while down, %d past exp", allowed, late)
}

// F02: the server takes the question and never answers.
func faultBlackHole(t *testing.T) {
	i, _, conn := single(t)
	known := i.mint(t, time.Hour)
	expect(t, conn, "main-long", known, "allow")
	i.answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	const patience, n = 1500 * time.Millisecond, 150
	texts := make([]string, n)
	for k := range texts {
		texts[k] = i.mint(t, time.Hour)
	}
	got, times := crowd(t, conn, n, n, patience, func(k int) (string, string) { return "main-long", texts[k] })
	if got["503 okta_unavailable"]+got["503 overloaded"] != n {
		t.Errorf("outcomes %v, want 503 for all", got)
	}
	if peak := i.peak.Load(); peak > 64 {
		t.Errorf("%d questions at a time, more than 64", peak)
	}
	t.Logf("%d checks: median %s, slowest %s of %s; at most %d questions at a time", n, ms(percentile(times, 50)), ms(times[n-1]), patience, i.peak.Load())
	expect(t, conn, "main-long", known, "allow")
}

// F03: answers come drop by drop.
func faultSlow(t *testing.T) {
	i, _, conn := single(t)
	known := i.mint(t, time.Hour)
	expect(t, conn, "main-long", known, "allow")
	i.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	})
	slow := make(chan map[string]int)
	texts := make([]string, 60)
	for k := range texts {
		texts[k] = i.mint(t, time.Hour)
	}
	go func() {
		got, _ := crowd(t, conn, len(texts), len(texts), 1500*time.Millisecond, func(k int) (string, string) { return "main-long", texts[k] })
		slow <- got
	}()
	got, times := crowd(t, conn, 200, 2, time.Second, func(int) (string, string) { return "main-long", known })
	if got["allow"] != 200 {
		t.Errorf("cached: %v", got)
	}
	within(t, conn, "a cached token meanwhile, median", percentile(times, 50), 2*time.Millisecond)
	if got := <-slow; got["503 okta_unavailable"]+got["503 overloaded"] != len(texts) {
		t.Errorf("unseen tokens: %v", got)
	}
	if n := i.asked.Load(); n > 1+int64(len(texts)) {
		t.Errorf("%d questions about %d tokens", n, len(texts))
	}
}

// F04: the organization's limit is spent.
func faultRateLimited(t *testing.T) {
	i, other := newIdp(t), newIdp(t, func(i *idp) { i.name = "other" })
	s, conn := newEdge(t, i, other).launch(t)
	tried(t, s)
	known, unseen := i.mint(t, time.Hour), i.mint(t, time.Hour)
	expect(t, conn, "main-long", known, "allow")
	reset := time.Now().Add(4 * time.Second).Truncate(time.Second)
	i.answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Rate-Limit-Reset", strconv.FormatInt(reset.Unix(), 10))
		w.Header().Set("X-Rate-Limit-Remaining", "0")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	before := i.asked.Load()
	for time.Now().Before(reset.Add(-500 * time.Millisecond)) {
		expect(t, conn, "main-long", unseen, "503 okta_rate_limited")
		expect(t, conn, "main-fresh", known, "503 okta_rate_limited")
		expect(t, conn, "main-long", known, "allow")
		expect(t, conn, "main-jwt", unseen, "allow")
		expect(t, conn, "other-long", other.mint(t, time.Hour), "allow")
		time.Sleep(20 * time.Millisecond)
	}
	if n := i.asked.Load() - before; n != 1 {
		t.Errorf("%d questions after the limit was spent, want the one that learned of it", n)
	}
	i.answer(nil)
	eventually(t, "the server is asked after the reset", func() bool {
		got, _ := tell(t.Context(), conn, "main-fresh", known, time.Second)
		return got == "allow"
	})
	within(t, conn, "allowed after the reset", time.Since(reset), 2*time.Second)
}

// F05: answers that are none.
func faultBadAnswers(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"500": answering(500), "502": answering(502), "503": answering(503),
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>maintenance</html>")
		},
		"reset in the body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"active":true,`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"wrong length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "4000")
			_, _ = io.WriteString(w, `{"active":true}`)
		},
		"empty": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "application/json") },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, map[string]any{"active": false, "pad": strings.Repeat("x", 100<<10)})
		},
		"trailing": func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, map[string]any{"active": false})
			_, _ = io.WriteString(w, "{}")
		},
		"not a boolean": func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, map[string]any{"active": "true"}) },
		"credentials":   answering(401),
	} {
		t.Run(name, func(t *testing.T) {
			i, _, conn := single(t)
			known := i.mint(t, time.Hour)
			expect(t, conn, "main-long", known, "allow")
			i.answer(h)
			before := i.asked.Load()
			took := expect(t, conn, "main-long", i.mint(t, time.Hour), "503 okta_unavailable")
			if n := i.asked.Load() - before; n < 1 || n > 2 {
				t.Errorf("%d questions for one check", n)
			}
			const storm = 40
			for range storm {
				expect(t, conn, "main-long", i.mint(t, time.Hour), "503 okta_unavailable")
			}
			n := i.asked.Load() - before
			if n > storm+1+storm/10 {
				t.Errorf("%d questions for %d checks: a storm", n, storm+1)
			}
			expect(t, conn, "main-long", known, "allow")
			t.Logf("503 in %s; %d questions for %d checks", ms(took), n, storm+1)
		})
	}
}

// F06: the server comes and goes.
func faultFlapping(t *testing.T) {
	i, _, conn := single(t)
	known := i.mint(t, time.Hour)
	expect(t, conn, "main-long", known, "allow")
	var bad atomic.Bool
	i.answer(func(w http.ResponseWriter, r *http.Request) {
		if bad.Load() {
			w.WriteHeader(503)
			return
		}
		i.introspect(w, r)
	})
	end, flips, got := time.Now().Add(4*time.Second), time.Now(), map[string]int{}
	checks := 0
	for time.Now().Before(end) {
		if time.Since(flips) > 250*time.Millisecond {
			bad.Store(!bad.Load())
			flips = time.Now()
		}
		expect(t, conn, "main-long", known, "allow")
		outcome, _ := tell(t.Context(), conn, "main-long", i.mint(t, time.Hour), time.Second)
		got[outcome]++
		checks++
		time.Sleep(5 * time.Millisecond)
	}
	if got["allow"]+got["503 okta_unavailable"] != checks || got["allow"] == 0 {
		t.Errorf("unseen tokens: %v", got)
	}
	bad.Store(false)
	start := time.Now()
	eventually(t, "the breaker closes", func() bool {
		got, _ := tell(t.Context(), conn, "main-long", i.mint(t, time.Hour), time.Second)
		return got == "allow"
	})
	within(t, conn, "recovery", time.Since(start), 3*time.Second)
	t.Logf("%d checks of a cached token, all allowed; of unseen ones %v; %d questions", checks, got, i.asked.Load())
}
