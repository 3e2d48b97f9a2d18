package ads_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"pgregory.net/rapid"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// callsEach is how many requests each catalogue gets; rapid draws 100 catalogues.
const callsEach = 120

// answered is what became of a call.
type answered struct {
	call
	status int // 0 if the connection ended
	err    error
	checks []*authv3.AttributeContext
}

// crowdOfCallers are the connections to one gateway.
type crowdOfCallers struct {
	g       *gateway
	callers []*caller
	tags    int
}

func callersOf(t *testing.T, g *gateway) *crowdOfCallers {
	c := &crowdOfCallers{g: g}
	for i := range 12 {
		c.callers = append(c.callers, &caller{address: g.addr, h2: i%2 == 0})
	}
	t.Cleanup(func() {
		for _, one := range c.callers {
			one.close()
		}
	})
	return c
}

// ask sends all calls, the callers side by side, and tells for each one what Envoy
// answered and what it asked the checker.
func (c *crowdOfCallers) ask(calls []call) []answered {
	list := make([]answered, len(calls))
	first := c.tags
	c.tags += len(calls)
	queues := map[bool]chan int{false: make(chan int, len(calls)), true: make(chan int, len(calls))}
	for i, q := range calls {
		list[i].call = q
		queues[q.h2] <- i
	}
	var asking sync.WaitGroup
	for _, q := range queues {
		close(q)
	}
	for _, one := range c.callers {
		asking.Go(func() {
			for i := range queues[one.h2] {
				list[i].status, list[i].err = one.ask(calls[i], fmt.Sprintf("n/%d", first+i))
			}
		})
	}
	asking.Wait()
	for _, seen := range c.g.checker.take() {
		for _, h := range seen.GetRequest().GetHttp().GetHeaderMap().GetHeaders() {
			var n int
			if _, err := fmt.Sscanf(string(h.GetRawValue()), "n/%d", &n); h.GetKey() == "content-type" && err == nil && n >= first {
				list[n-first].checks = append(list[n-first].checks, seen)
			}
		}
	}
	return list
}

// routed is the API that the catalogue has at a canonical host and a path.
func routed(cat *catalog.Catalogue, host, path string) string {
	if api := cat.Route(host, path); api != nil {
		return api.Name
	}
	return contract.NoAPI
}

// tally counts what was seen, so that no kind of outcome can go missing unnoticed.
type tally struct{ calls, met, missed, unreadable, starred, alone, again int }

// judge says what is wrong with an answer; "" if nothing is.
func (n *tally) judge(cat *catalog.Catalogue, a answered) string {
	host, path, plain := a.plain()
	switch {
	case a.err != nil:
		return a.err.Error()
	case len(a.checks) > 1:
		return fmt.Sprintf("%d checks", len(a.checks))
	case len(a.checks) == 0 && plain:
		return fmt.Sprintf("no check, answer %d", a.status)
	case len(a.checks) == 0:
		n.alone++
		return a.alone()
	}
	asked := a.checks[0]
	http := asked.GetRequest().GetHttp()
	got := asked.GetContextExtensions()[contract.ContextExtensionAPI]
	if plain {
		if want := routed(cat, host, path); got != want {
			return fmt.Sprintf("Envoy chose %q, the catalogue has %q", got, want)
		}
		if http.GetPath() != a.target {
			return fmt.Sprintf("Envoy made %q of the path", http.GetPath())
		}
	}
	host, err := catalog.CanonicalHost(http.GetHost())
	if http.GetHost() == "*" { // denied for that, but by the API of all hosts
		host, err = "*", nil
		n.starred++
	}
	path, _, _ = strings.Cut(http.GetPath(), "?")
	if err != nil || catalog.CheckPath(path) != nil {
		n.unreadable++ // and denied for that, whatever the API
		return ""
	}
	want := routed(cat, host, path)
	if got != want {
		return fmt.Sprintf("asked about host %q, path %q, Envoy chose %q, the catalogue has %q", http.GetHost(), http.GetPath(), got, want)
	}
	if want == contract.NoAPI {
		n.missed++
	} else {
		n.met++
	}
	return ""
}

// alone says what is wrong with an answer that Envoy gave without asking.
func (a answered) alone() string {
	value := func(name string) string {
		for i := 0; i < len(a.headers); i += 2 {
			if a.headers[i] == name {
				return a.headers[i+1]
			}
		}
		return ""
	}
	switch a.status {
	case 0, 400:
		return ""
	case 404:
		if a.method == "CONNECT" || a.method == "OPTIONS" && a.target == "*" {
			return ""
		}
	case 403: // an upgrade, or a scheme that is not the connection's
		if value("upgrade") != "" || strings.HasPrefix(a.target, "https:") {
			return ""
		}
	case 200:
		if a.method == "OPTIONS" && value("origin") == pageOrigin && value("access-control-request-method") != "" {
			return ""
		}
	}
	return fmt.Sprintf("no check, answer %d", a.status)
}

// nobodies listen at n addresses, count who connects, and hang up.
func nobodies(t *testing.T, n int) (addresses []string, came *atomic.Int64) {
	t.Helper()
	came = new(atomic.Int64)
	var accepting sync.WaitGroup
	t.Cleanup(accepting.Wait)
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		addresses = append(addresses, l.Addr().String())
		accepting.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				came.Add(1)
				conn.Close()
			}
		})
	}
	return addresses, came
}

// TestRealEnvoyChoosesAsTheCatalogueDoes publishes drawn catalogues to one real Envoy,
// which accepts each, and draws requests of all kinds: Envoy's choice of the API is the
// catalogue's, and no backend sees a request that nobody allowed. More of both are drawn
// with -rapid.checks, the same again with -rapid.seed.
func TestRealEnvoyChoosesAsTheCatalogueDoes(t *testing.T) {
	t.Parallel()
	addresses, came := nobodies(t, 3)
	g := startGateway(t)
	callers := callersOf(t, g)
	var n tally
	rapid.Check(t, func(t *rapid.T) {
		all := drawCatalogue(t, g, addresses)
		cat := servedBy("edge", all)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := publish(ctx, g.server, all); err != nil {
			t.Fatal(err)
		}
		if err := g.server.WaitAcked(ctx, "edge"); err != nil {
			t.Fatalf("%v\n%s", err, listed(cat))
		}
		// Envoy's threads have it a moment later than its main thread, which says so.
		settled := time.Now().Add(5 * time.Second)
		fatal := once(t, 20, "fatal")
		calls := make([]call, callsEach)
		for i := range calls {
			calls[i] = drawCall(t, cat, fatal)
		}
		n.calls += len(calls)
		for round := 1; ; round++ {
			var wrong []call
			var faults []string
			for _, a := range callers.ask(calls) {
				if fault := n.judge(cat, a); fault != "" {
					wrong = append(wrong, a.call)
					faults = append(faults, fmt.Sprintf("%s: %s", a.call, fault))
				}
			}
			if len(wrong) == 0 {
				break
			}
			if round > 2 && time.Now().After(settled) {
				t.Fatalf("%s\n%s", strings.Join(faults, "\n"), listed(cat))
			}
			calls = wrong
			n.again += len(wrong)
		}
		if came.Load() > 0 {
			t.Fatalf("a backend was reached, although nobody allowed anything\n%s", listed(cat))
		}
	})
	g.noNACKs(t)
	t.Logf("%+v", n)
	if n.calls < 10_000 || n.met < 2000 || n.missed < 1000 || n.unreadable < 200 || n.starred < 50 || n.alone < 500 {
		t.Errorf("too few of a kind: %+v", n)
	}
}
