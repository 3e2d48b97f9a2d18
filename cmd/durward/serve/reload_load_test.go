package serve

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

var (
	reloads    = flag.Int("reloads", 0, "how many revisions F23 has accepted under load; 0 is 1,000, or 200 where the race detector takes its time")
	reloadAPIs = flag.Int("reload-apis", 400, "how many APIs the catalogue of F23 has beside its probes")
)

const (
	reloadRate    = 1000 // requests in a second
	reloadCallers = 32
)

// turn is the text of the i-th revision: what two probes say differs from the last one, and
// a third, whose every check waits for Okta; a fourth API, of another name each time, makes
// Envoy's routes differ.
func turn(backend string, i int) string {
	applications, scope := "mobile", "orders.read"
	if turnReason("probe-grant", i) != "" {
		applications = ""
	}
	if turnReason("probe-scope", i) != "" {
		scope = "orders.write"
	}
	var b strings.Builder
	b.WriteString("version: 1\ntoken_policies: [ { name: asking, authorization_server: default, verify: introspection, max_age: 0s } ]\napis:\n")
	for _, api := range [][4]string{
		{"probe-grant", "probe-grant", "okta-users", "orders.read"},
		{"probe-scope", "probe-scope", "okta-users", scope},
		{"probe-asking", "probe-asking", "asking", "orders.read"},
		{fmt.Sprintf("turn-%d", i), "turn", "okta-users", "orders.read"},
	} {
		fmt.Fprintf(&b, `  - name: %s
    frontend: { hosts: ["*"], path: /%s }
    backend: { url: %q }
    token_policy: %s
    operations: [ { methods: [GET], path: "/{id}", scopes: { all: [%s] } } ]
`, api[0], api[1], backend, api[2], api[3])
	}
	fmt.Fprintf(&b, `grants:
  - { api: probe-grant, organization: retail, applications: [%[1]s] }
  - { api: probe-asking, organization: retail, applications: [%[1]s] }
  - { api: probe-scope, organization: retail, applications: [mobile] }
  - { api: turn-%[2]d, organization: retail, applications: [mobile] }
`, applications, i)
	return b.String()
}

// turnReason is what revision i says of a good token at a probe; empty is an allow.
func turnReason(api string, i int) string {
	switch {
	case (api == "probe-grant" || api == "probe-asking") && i%2 == 1:
		return "grant_missing"
	case api == "probe-scope" && i%3 == 1:
		return "scope_missing"
	}
	return ""
}

// faultReloads (F23): under load through a real Envoy revisions come as fast as the watcher
// takes them. Each answer is that of exactly one, the one in its record; no caller sees an
// older one after a newer; nothing fails, no connection ends, nothing passes unguarded, and
// memory returns.
func faultReloads(t *testing.T) {
	url := ""
	w := newCrowded(t, *reloadAPIs, func(backend string) string { url = backend; return turn(url, 0) },
		// Envoy does not give up where the machine lets nobody run for seconds.
		strings.NewReplacer("version: 1\n", "version: 1\ncheck_timeout: 10s\n"))
	for _, fault := range []oktatest.Fault{
		{Endpoint: oktatest.Introspect, Kind: oktatest.Limit, Size: 1_000_000},
		// So that a revision comes while checks wait.
		{Endpoint: oktatest.Introspect, Kind: oktatest.Latency, Delay: 10 * time.Millisecond, Jitter: 20 * time.Millisecond},
	} {
		if err := w.okta.Inject(fault); err != nil {
			t.Fatal(err)
		}
	}
	place := map[string]int{w.Catalogue().Revision: 0}
	w.judge(t, place, w.loaded(t, func() { time.Sleep(5 * time.Second) }))
	before, envoyHeap := heapNow(), stat(w.envoy, "server.memory_allocated")

	revisions, last, start := reloadsHere(), w.Catalogue().Revision, time.Now()
	callers := w.loaded(t, func() {
		for i := 1; i <= revisions; i++ {
			save(t, w.probe(), turn(url, i))
			eventually(t, "the next revision serves", func() bool { return w.Catalogue().Revision != last })
			last = w.Catalogue().Revision
			place[last] = i
		}
	})
	t.Logf("%d revisions of %d APIs in %v", revisions, *reloadAPIs+4, time.Since(start).Round(time.Millisecond))
	w.acked(t)
	w.judge(t, place, callers)
	if len(place) != revisions+1 || w.ledger.changes != revisions+1 {
		t.Errorf("%d revisions, of which the log tells %d, want %d", len(place), w.ledger.changes, revisions+1)
	}
	var heap int64
	eventually(t, "memory returns", func() bool { heap = heapNow(); return heap < before*3/2 })
	t.Logf("heap %d KiB and then %d KiB; Envoy has %s and then %s bytes", before>>10, heap>>10, envoyHeap, stat(w.envoy, "server.memory_allocated"))
}

func reloadsHere() int {
	switch {
	case *reloads > 0:
		return *reloads
	case raced:
		return 200
	}
	return 1000
}

// loaded asks for the probes, by a good token or none, until during ends.
func (w *crowded) loaded(t *testing.T, during func()) []*caller {
	t.Helper()
	callers := make([]*caller, reloadCallers)
	for i := range callers {
		callers[i] = newCaller(w.gateway)
	}
	token, start := mint(t, w.okta), time.Now()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		load(callers, reloadRate, stop, func(c *caller, n int) answered {
			switch {
			case isAnonymous(n):
				return c.ask("", "probe-grant", "")
			case n%10 == 9:
				return c.ask("", "probe-asking", token)
			case n%2 == 0:
				return c.ask("", "probe-grant", token)
			}
			return c.ask("", "probe-scope", token)
		})
	}()
	func() {
		defer func() { close(stop); <-done }()
		during()
	}()
	all := times(callers)
	t.Logf("%d requests of known tokens, %.0f in a second; median %s, p99 %s, worst %s", len(all), float64(len(all))/time.Since(start).Seconds(),
		ms(percentile(all, 50)), ms(percentile(all, 99)), ms(percentile(all, 100)))
	return callers
}

// judge holds every answer against its record and the revision there, and forgets all.
func (w *crowded) judge(t *testing.T, place map[string]int, callers []*caller) {
	t.Helper()
	w.ledger.mu.Lock()
	judging, passed, wrong, asked, starved := map[string]bool{}, 0, 0, 0, 0
	for _, c := range callers {
		newest := 0
		for n, a := range c.got {
			complaint, now := w.compare(place, a, n)
			if now < newest {
				complaint += fmt.Sprintf("; revision %d after revision %d", now, newest)
			}
			if complaint != "" {
				if wrong++; wrong <= 20 {
					t.Errorf("%s: %d %s: %s", a.api, a.status, a.id, complaint)
				}
				continue
			}
			newest = now
			record := w.ledger.decisions[a.id][0]
			judging[record.Revision] = true
			switch {
			case a.status == 200:
				passed++
			case record.isStarved(a):
				starved++
			}
			if a.api == "probe-asking" {
				asked++
			}
		}
		c.got = nil
	}
	w.ledger.mu.Unlock()
	w.ledger.forget()
	if n := w.backend.requests(); n != passed || w.backend.unguarded != 0 {
		t.Errorf("the backend saw %d requests, %d passed; %d were unguarded", n, passed, w.backend.unguarded)
	}
	w.backend.seen = make(map[string]int)
	if passed == 0 || wrong > 0 || starved > asked/4 {
		t.Errorf("%d passed, %d wrong; %d of %d questions had no answer in time", passed, wrong, starved, asked)
	}
	if n := stat(w.envoy, "http.edge.downstream_cx_destroy_local"); n != "0" {
		t.Errorf("Envoy ended %q connections", n)
	}
	t.Logf("%d revisions judged; %d of %d questions had no answer in time", len(judging), starved, asked)
}

// compare says what is wrong with a caller's n-th answer, and the place of its revision.
func (w *crowded) compare(place map[string]int, a answered, n int) (complaint string, now int) {
	records := w.ledger.decisions[a.id]
	if len(records) != 1 {
		return fmt.Sprintf("%d records", len(records)), 0
	}
	now, known := place[records[0].Revision]
	reason, status := turnReason(a.api, now), 403
	if isAnonymous(n) {
		reason, status = "token_missing", 401
	} else if reason == "" {
		status = 200
	}
	switch {
	case !known:
		return "its revision was never saved", 0
	case records[0].isStarved(a):
		return "", now
	case records[0].Reason != reason || (records[0].Outcome == "allow") != (reason == "") || a.status != status:
		return fmt.Sprintf("revision %d says %d %s, the record %+v", now, status, reason, records[0]), now
	case status == 200 && w.backend.seen[a.id] != 1:
		return fmt.Sprintf("the backend saw it %d times", w.backend.seen[a.id]), now
	}
	return "", now
}

// isStarved reports whether a check that asked had no answer within the question's second,
// for Okta shares this process: where the machine gives it too little time, 503 is right.
func (e entry) isStarved(a answered) bool {
	return a.api == "probe-asking" && a.status == 503 && e.Outcome == "error" && e.Reason == "okta_unavailable"
}

// isAnonymous reports whether a caller's n-th request has no token.
func isAnonymous(n int) bool { return n%10 == 4 }

// TestTurnsDiffer holds that F23's revisions can be told apart by their verdicts.
func TestTurnsDiffer(t *testing.T) {
	t.Parallel()
	for i := range 12 {
		same := turnReason("probe-grant", i) == turnReason("probe-grant", i+1)
		if same || turn("http://x", i) == turn("http://x", i+1) {
			t.Errorf("revisions %d and %d say the same", i, i+1)
		}
	}
}
