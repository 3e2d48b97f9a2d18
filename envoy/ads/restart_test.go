package ads_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// TestRestartMakesBeforeItBreaks: Envoy comes back with clusters that the catalogue does
// not have any more, and with routes that lead to them.
func TestRestartMakesBeforeItBreaks(t *testing.T) {
	t.Parallel()
	first := startControlPlane(t)
	first.publishAll(t, quick(plain(t, api("orders", "/orders", "http://one"), api("other", "/other", "http://gone"))))
	envoy := newRobot("envoy-1", nil)
	envoy.careful = true
	stop := envoy.start(t, first.addr)
	first.current(t, 1)
	stop()

	second := startControlPlane(t)
	second.publishAll(t, quick(plain(t, api("orders", "/orders", "http://two"))))
	envoy.start(t, second.addr)
	second.current(t, 1)
	same(t, "routes", []string{"orders /orders http://two:80"}, envoy.routes())
	eventually(t, "the clusters are gone in the end", func() bool {
		envoy.mu.Lock()
		defer envoy.mu.Unlock()
		return len(envoy.held[resourcev3.ClusterType]) == 2
	})
	second.current(t, 1)
	same(t, "routes to no cluster", nil, envoy.gaps)
}

// TestRestartWaitsBeforeItRemoves counts from the last acknowledgement.
func TestRestartWaitsBeforeItRemoves(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	cat := plain(t, api("orders", "/orders", "http://one"))
	cat.CheckTimeout = 200 * time.Millisecond
	c.publishAll(t, cat)
	envoy := c.connect(t)
	ask := func(typeURL string, held map[string]string) {
		envoy.send(&discoveryv3.DeltaDiscoveryRequest{Node: newRobot("envoy-1", nil).node, TypeUrl: typeURL, InitialResourceVersions: held})
	}
	ask(resourcev3.ClusterType, map[string]string{"http://gone:80": "former"})
	envoy.want("Cluster +authz +http://one:80")
	envoy.ack(resourcev3.ClusterType)
	ask(resourcev3.ListenerType, nil)
	envoy.want("Listener +edge")
	envoy.ack(resourcev3.ListenerType)
	ask(resourcev3.ScopedRouteType, nil)
	envoy.next()
	envoy.ack(resourcev3.ScopedRouteType)
	ask(resourcev3.RouteType, map[string]string{ordersTable: "former"})
	envoy.want("RouteConfiguration +edge/* +" + ordersTable)
	acked := time.Now()
	envoy.ack(resourcev3.RouteType)
	envoy.want("Cluster -http://gone:80")
	if waited := time.Since(acked); waited < cat.CheckTimeout {
		t.Errorf("the cluster is removed after %v", waited)
	}
	if err := c.waitAcked(t, 50*time.Millisecond); err != nil {
		t.Errorf("before the removal is acknowledged: %v", err)
	}
	// It is back before Envoy could say so.
	c.publish(t, api("orders", "/orders", "http://gone"))
	envoy.want("Cluster +http://gone:80")
}

// TestRestartRefusedAgain: what was parked before a restart is in the catalogue still, and
// Envoys have it as it was. One at least is told, and loses nothing else.
func TestRestartRefusedAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		// share says that all APIs share a table.
		share  bool
		robots int
	}{
		"tables of their own": {false, 1},
		"one table":           {true, 1},
		"a fleet":             {true, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := func(i int) string {
				if tt.share {
					return fmt.Sprintf("/x/%d", i)
				}
				return fmt.Sprintf("/x%d", i)
			}
			cat := func(bad string) (apis []*durwardv1.API) {
				for i := range 8 {
					apis = append(apis, api(fmt.Sprintf("a%d", i), path(i), "http://one"))
				}
				return append(apis, api("orders", "/x"+bad, "http://one"))
			}
			var want []string
			for i := range 8 {
				want = append(want, fmt.Sprintf("a%d %s http://one:80", i, path(i)))
			}
			first := startControlPlane(t)
			first.publish(t, cat("/good")...)
			var robots []*robot
			var stops []func()
			for i := range tt.robots {
				r := newRobot(fmt.Sprintf("envoy-%d", i), mentioning("/bad"))
				r.least = len(want)
				robots, stops = append(robots, r), append(stops, r.start(t, first.addr))
			}
			first.current(t, tt.robots)
			first.publish(t, cat("/bad")...)
			same(t, "parked", []string{"orders"}, first.parkedOnce(t))
			first.current(t, tt.robots)
			for _, stop := range stops {
				stop()
			}

			second := startControlPlane(t)
			second.publish(t, cat("/bad")...)
			for _, r := range robots {
				r.forget()
				r.start(t, second.addr)
			}
			eventually(t, "all are there", func() bool { return len(second.Status().Envoys) == tt.robots })
			same(t, "parked after a restart", []string{"orders"}, second.parkedOnce(t))
			second.current(t, tt.robots)
			for _, r := range robots {
				eventually(t, "it has all else", func() bool { return slices.Equal(want, r.routes()) })
				same(t, "sent again", nil, r.sentAgain())
				r.mu.Lock()
				if r.lost > 0 {
					t.Errorf("%s had fewer than %d APIs %d times", r.node.GetId(), r.least, r.lost)
				}
				r.mu.Unlock()
			}
			if !strings.Contains(second.log.String(), "api=orders") {
				t.Errorf("it is not said:\n%s", second.log.String())
			}
			refusals := sum(t, second.registry, "durward_xds_nacks_total")
			t.Logf("%v refusals", refusals)
			second.publish(t, append(cat("/bad"), api("more", "/more", "http://one"))...)
			second.current(t, tt.robots)
			if n := sum(t, second.registry, "durward_xds_nacks_total"); n != refusals || refusals > float64(10*tt.robots) {
				t.Errorf("%v refusals, and %v more for another API", refusals, n-refusals)
			}
		})
	}
}

// TestRestartSendsNothingAgain has ten thousand APIs, after a restart and on a replica, in
// another order.
func TestRestartSendsNothingAgain(t *testing.T) {
	t.Parallel()
	apis := crowd(10_000, false, "http://one")
	first := startControlPlane(t)
	first.publish(t, apis...)
	envoy := newRobot("envoy-1", nil)
	stop := envoy.start(t, first.addr)
	first.current(t, 1)
	stop()
	whole := envoy.total()
	slices.Reverse(apis)
	for _, what := range []string{"a restart", "a replica"} {
		other := startControlPlane(t)
		other.publish(t, apis...)
		stop := envoy.start(t, other.addr)
		took := other.current(t, 1)
		time.Sleep(100 * time.Millisecond) // more may come
		stop()
		if n := sum(t, other.registry, "durward_xds_resources_sent_total"); n != 0 || envoy.total() != whole {
			t.Errorf("%s: %v resources are sent to an Envoy that has all %d, and %d came", what, n, whole, envoy.total()-whole)
		}
		t.Logf("%s: current after %v", what, took)
	}
}

// BenchmarkPublishReconnects lets Envoys come back, all at once, to ten thousand APIs that
// they have, and shows what that takes of a process that is them, too.
func BenchmarkPublishReconnects(b *testing.B) {
	for _, envoys := range []int{1, 200} {
		b.Run(fmt.Sprint(envoys), func(b *testing.B) {
			c := startControlPlane(b)
			cat := compile(b, "127.0.0.1:9001", "127.0.0.1:18000", crowd(10_000, false, "http://one")...)
			if err := publish(b.Context(), c.Server, cat); err != nil {
				b.Fatal(err)
			}
			first := newRobot("envoy-0", nil)
			stop := first.start(b, c.addr)
			c.current(b, 1)
			stop()
			robots, stops := make([]*robot, envoys), make([]func(), envoys)
			for i := range robots {
				robots[i] = newRobot(fmt.Sprintf("envoy-%d", i), nil)
				robots[i].held = first.held // nothing changes there
			}
			var before, during runtime.MemStats
			b.ResetTimer()
			for range b.N {
				eventually(b, "all are gone", func() bool { return len(c.Status().Envoys) == 0 })
				runtime.GC()
				runtime.ReadMemStats(&before)
				for i, r := range robots {
					stops[i] = r.start(b, c.addr)
				}
				c.current(b, envoys)
				runtime.GC()
				runtime.ReadMemStats(&during)
				for _, stop := range stops {
					stop()
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*envoys), "ms/envoy")
			b.ReportMetric((float64(during.HeapAlloc)-float64(before.HeapAlloc))/float64(envoys)/(1<<20), "MB/envoy")
			if got := sum(b, c.registry, "durward_xds_resources_sent_total"); got != float64(first.total()) {
				b.Errorf("%v resources are sent again", got-float64(first.total()))
			}
		})
	}
}
