package ads_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/catalog/source"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// crowd is n APIs, ten on each host or all on one.
func crowd(n int, oneHost bool, url string) []*durwardv1.API {
	apis := make([]*durwardv1.API, 0, n)
	for i := range n {
		host := fmt.Sprintf("team-%d.example.com", i%max(n/10, 1))
		if oneHost {
			host = "api.example.com"
		}
		name := fmt.Sprintf("api-%05d", i)
		apis = append(apis, api(name, "/"+name, url, host))
	}
	return apis
}

func hostOf(a *durwardv1.API) string { return "host: " + a.GetFrontend().GetHosts()[0] }

// cpu is what Envoy's threads have used since it started.
func (g *gateway) cpu(t testing.TB) time.Duration {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", g.process.PID()))
	if err != nil || len(files) == 0 {
		t.Skip("this system does not count what threads use")
	}
	var total time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread is gone
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		total += time.Duration(ns)
	}
	return total
}

// resident is Envoy's memory in MB.
func (g *gateway) resident(t testing.TB) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.process.PID()))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// shelf is a directory of n APIs, 100 to a file, ten on each host or all on one.
type shelf struct {
	dir, backend string
	n            int
	oneHost      bool
	reader       *source.Reader
}

func newShelf(b *testing.B, g *gateway, n int, oneHost bool) *shelf {
	s := &shelf{dir: b.TempDir(), backend: backend(b, "any"), n: n, oneHost: oneHost}
	s.reader = source.NewReader(s.dir)
	s.put(b, "durward.yaml", fmt.Sprintf(`version: 1
gateways: [ { name: edge, listen: "127.0.0.1:0", url: "http://127.0.0.1:10000" } ]
listeners: { check: { address: %q }, xds: { address: %q } }
`, g.check, g.xds))
	for file := range (n + 99) / 100 {
		s.put(b, fmt.Sprintf("apis-%04d.yaml", file), s.file(file, ""))
	}
	return s
}

// file is one of them, in which the first API is at another path, if one is given.
func (s *shelf) file(number int, path string) string {
	var text strings.Builder
	text.WriteString("version: 1\napis:\n")
	for i := number * 100; i < min(s.n, number*100+100); i++ {
		at := fmt.Sprintf("/api-%06d", i)
		if path != "" && i == number*100 {
			at = path
		}
		fmt.Fprintf(&text, `  - name: api-%06d
    frontend: { hosts: [%s], path: %s }
    backend: { url: %q }
    operations:
      - { methods: [GET], path: "/**", public: true }
`, i, s.host(i), at, s.backend)
	}
	return text.String()
}

func (s *shelf) host(i int) string {
	if s.oneHost {
		return "api.example.com"
	}
	return fmt.Sprintf("team-%d.example.com", i/10)
}

// put renames a file to its place.
func (s *shelf) put(b *testing.B, name, text string) {
	b.Helper()
	name = filepath.Join(s.dir, name)
	if err := os.WriteFile(name+".next", []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(name+".next", name); err != nil {
		b.Fatal(err)
	}
}

// laps are the parts of one publication, and what it cost until Envoy had it.
type laps struct{ read, compiled, prepared, published, served, acked time.Duration }

// publish does what Durward does when a file has changed, until Envoy answers 200 to
// a request for path on host.
func (s *shelf) publish(b *testing.B, g *gateway, host, path string) (l laps) {
	b.Helper()
	start := time.Now()
	text, err := s.reader.Read(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	l.read = time.Since(start)
	cat, findings := s.reader.Compile(text)
	if cat == nil {
		b.Fatal(findings)
	}
	l.compiled = time.Since(start)
	prepared, err := g.server.Prepare(b.Context(), cat)
	if err != nil {
		b.Fatal(err)
	}
	l.prepared = time.Since(start)
	if err := prepared.Publish(); err != nil {
		b.Fatal(err)
	}
	l.published = time.Since(start)
	for g.send(b, "GET", path, "host: "+host).status != 200 {
		time.Sleep(time.Millisecond)
	}
	l.served = time.Since(start)
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	if err := g.server.WaitAcked(ctx, "edge"); err != nil {
		b.Fatal(err)
	}
	l.acked = time.Since(start)
	return l
}

// heap is our memory in MB.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools kept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkPublish is what publishing costs on real Envoy, from files: "all" of so many
// APIs that were not there before, and "one" of them that moves to another path. Times
// of "one" are medians, from the rename of its file: read, compiled, prepared (translated,
// checked, versioned), published (handed to Envoy's stream) and the first 200 follow each
// other. Units that begin with x are ratios to the smallest catalogue.
func BenchmarkPublish(b *testing.B) {
	for _, layout := range []string{"hosts", "one-host"} {
		var all, one map[string]float64 // of the smallest
		for _, n := range []int{10, 1_000, 10_000, 100_000} {
			if n > 10_000 && testing.Short() {
				continue
			}
			b.Run(fmt.Sprintf("%s/%d", layout, n), func(b *testing.B) {
				g := startGateway(b)
				ours := heap()
				s := newShelf(b, g, n, layout == "one-host")
				b.Run("all", func(b *testing.B) { all = report(b, all, s.all(b, g, ours)) })
				b.Run("one", func(b *testing.B) { one = report(b, one, s.one(b, g)) })
				g.noNACKs(b)
			})
		}
	}
}

// report reports, and returns what later ones are compared with.
func report(b *testing.B, smallest, costs map[string]float64) map[string]float64 {
	b.ReportMetric(0, "ns/op") // which would count the wait for an Envoy
	for unit, cost := range costs {
		b.ReportMetric(cost, unit)
		if base := smallest[unit]; base > 0 {
			b.ReportMetric(cost/base, "x-"+unit)
		}
	}
	if smallest == nil {
		return costs
	}
	return smallest
}

func (s *shelf) all(b *testing.B, g *gateway, ours float64) map[string]float64 {
	used, wire, sent := g.cpu(b), g.wire.sent.Load(), g.metric(b, "durward_xds_resources_sent_total")
	l := s.publish(b, g, s.host(s.n-1), fmt.Sprintf("/api-%06d", s.n-1))
	for b.Loop() { // once is enough
	}
	return map[string]float64{
		"compiled-ms": ms(l.compiled), "prepared-ms": ms(l.prepared - l.compiled), "first-200-ms": ms(l.served), "acked-ms": ms(l.acked),
		"envoy-cpu-ms": ms(g.cpu(b) - used), "wire-kB": float64(g.wire.sent.Load()-wire) / 1000,
		"resources": g.metric(b, "durward_xds_resources_sent_total") - sent,
		"heap-MB":   heap() - ours, "envoy-MB": g.resident(b),
	}
}

func (s *shelf) one(b *testing.B, g *gateway) map[string]float64 {
	used, wire, sent := g.cpu(b), g.wire.sent.Load(), g.metric(b, "durward_xds_resources_sent_total")
	number, moves := s.n/300, 0
	var read, compiled, prepared, published, served []time.Duration
	for b.Loop() {
		moves++
		path := fmt.Sprintf("/moved-%d", moves)
		s.put(b, fmt.Sprintf("apis-%04d.yaml", number), s.file(number, path))
		l := s.publish(b, g, s.host(number*100), path)
		read, compiled = append(read, l.read), append(compiled, l.compiled-l.read)
		prepared, published = append(prepared, l.prepared-l.compiled), append(published, l.published-l.prepared)
		served = append(served, l.served)
	}
	each := float64(moves)
	return map[string]float64{
		"read-ms": ms(median(read)), "compiled-ms": ms(median(compiled)), "prepared-ms": ms(median(prepared)), "published-ms": ms(median(published)),
		"first-200-ms": ms(median(served)), "envoy-cpu-ms": ms(g.cpu(b)-used) / each,
		"wire-kB": float64(g.wire.sent.Load()-wire) / 1000 / each, "resources": (g.metric(b, "durward_xds_resources_sent_total") - sent) / each,
	}
}

// BenchmarkPublishedRouting is what a request for the first and for the last of ten
// thousand APIs costs, in turns.
func BenchmarkPublishedRouting(b *testing.B) {
	for _, layout := range []string{"hosts", "one-host"} {
		b.Run(layout, func(b *testing.B) {
			apis := crowd(10_000, layout == "one-host", backend(b, "any"))
			g := startGateway(b, apis...)
			ends := []*durwardv1.API{apis[0], apis[len(apis)-1]}
			var used [2]time.Duration
			for b.Loop() {
				for i, api := range ends {
					before := g.cpu(b)
					for range 200 {
						if a := g.send(b, "GET", api.GetFrontend().GetPath(), hostOf(api)); a.status != 200 {
							b.Fatalf("%s: %d", api.GetName(), a.status)
						}
					}
					used[i] += g.cpu(b) - before
				}
			}
			for i, unit := range []string{"first-envoy-us/request", "last-envoy-us/request"} {
				b.ReportMetric(float64(used[i].Microseconds())/float64(200*b.N), unit)
			}
		})
	}
}
