package ads_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// many are APIs on a few backends.
func many(n int) (all []*durwardv1.API) {
	for i := range n {
		all = append(all, api(fmt.Sprintf("api-%03d", i), fmt.Sprintf("/api-%03d", i), fmt.Sprintf("http://backend-%d", i%10)))
	}
	return all
}

// current waits until n Envoys have all that is published, and returns how long that took.
func (c *controlPlane) current(t testing.TB, n int) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, fmt.Sprintf("%d envoys are current", n), func() bool {
		all := c.Status().Envoys
		for _, e := range all {
			if !e.Current {
				return false
			}
		}
		return len(all) == n
	})
	return time.Since(began)
}

// TestFault holds the rows of the catalogue of faults that are about the control plane.
func TestFault(t *testing.T) {
	t.Parallel()
	t.Run("F19", testReconnectStorm)
	t.Run("F20", testCutsRefusalsRestarts)
}

// testReconnectStorm lets 200 Envoys come at once, again at once after a restart with all
// they have, and one of them start 50 times.
func testReconnectStorm(t *testing.T) {
	const envoys, within = 200, time.Minute // most of it is the race detector's
	first := startControlPlane(t)
	first.publish(t, many(300)...)
	robots, stops := make([]*robot, envoys), make([]func(), envoys)
	start := func(c *controlPlane) {
		for i, r := range robots {
			stops[i] = r.start(t, c.addr)
		}
	}
	for i := range robots {
		robots[i] = newRobot(fmt.Sprintf("envoy-%d", i), nil)
	}
	alone := newRobot("envoy-0", nil)
	stop := alone.start(t, first.addr)
	one := first.current(t, 1)
	stop()
	eventually(t, "it is gone", func() bool { return len(first.Status().Envoys) == 0 })
	sent := sum(t, first.registry, "durward_xds_resources_sent_total")
	start(first)
	fresh := first.current(t, envoys)
	perEnvoy := robots[0].total()
	for _, r := range robots {
		if n := r.total(); n != perEnvoy {
			t.Errorf("%s was sent %d resources, another %d", r.node.GetId(), n, perEnvoy)
		}
	}
	if n := sum(t, first.registry, "durward_xds_resources_sent_total") - sent; n != float64(envoys*perEnvoy) {
		t.Errorf("%v resources sent in place of %d", n, envoys*perEnvoy)
	}
	for _, stop := range stops {
		stop()
	}
	eventually(t, "nothing is kept of who left", func() bool {
		return len(first.Status().Envoys) == 0 && sum(t, first.registry, "durward_xds_streams") == 0
	})

	second := startControlPlane(t)
	second.publish(t, many(300)...)
	stop = alone.start(t, second.addr)
	oneAgain := second.current(t, 1)
	stop()
	eventually(t, "it is gone", func() bool { return len(second.Status().Envoys) == 0 })
	start(second)
	again := second.current(t, envoys)
	if n := sum(t, second.registry, "durward_xds_resources_sent_total"); n != 0 {
		t.Errorf("%v resources sent to Envoys that had all", n)
	}
	if fresh > within || again > within {
		t.Errorf("%d new Envoys took %v, coming back %v", envoys, fresh, again)
	}
	t.Logf("%d new Envoys took %v (one: %v), coming back %v (one: %v)", envoys, fresh, one, again, oneAgain)
	for _, stop := range stops[1:] {
		stop()
	}
	for range 50 {
		stops[0]()
		eventually(t, "it is gone", func() bool { return len(second.Status().Envoys) == 0 })
		robots[0] = newRobot("envoy-0", nil)
		stops[0] = robots[0].start(t, second.addr)
		if took := second.current(t, 1); took > time.Second {
			t.Errorf("a new Envoy took %v", took)
		}
		if n := robots[0].total(); n != perEnvoy {
			t.Errorf("a new Envoy was sent %d resources, others %d", n, perEnvoy)
		}
	}
}

func testCutsRefusalsRestarts(t *testing.T) {
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"), api("other", "/other", "http://one"))
	envoy := newRobot("envoy-1", mentioning("/bad"))
	stop := envoy.start(t, c.addr)
	c.current(t, 1)
	sent := func(want int, what string) {
		t.Helper()
		if n := envoy.total(); n != want {
			t.Errorf("%s: %d resources sent until now, want %d", what, n, want)
		}
	}
	whole := envoy.total()

	stop()
	c.publish(t, api("orders", "/orders", "http://one"), api("other", "/other/2", "http://one"))
	stop = envoy.start(t, c.addr)
	c.current(t, 1)
	sent(whole+1, "after a cut during which one changed")

	c.publish(t, api("orders", "/bad", "http://one"), api("other", "/other/2", "http://one"))
	same(t, "parked", []string{"orders"}, c.parkedOnce(t))
	eventually(t, "it has what it had", func() bool {
		return slices.Equal(envoy.routes(), []string{"orders /orders http://one:80", "other /other/2 http://one:80"})
	})
	time.Sleep(50 * time.Millisecond) // what it had may still come once more
	whole = envoy.total()
	for range 5 {
		stop()
		stop = envoy.start(t, c.addr)
		c.current(t, 1)
	}
	sent(whole, "after cuts that followed a refusal")
	same(t, "sent again", nil, envoy.sentAgain())

	stop()
	good := []*durwardv1.API{api("orders", "/orders", "http://one"), api("other", "/other/2", "http://one")}
	replica, restarted := startControlPlane(t), startControlPlane(t)
	slices.Reverse(good)
	replica.publish(t, good...)
	restarted.publish(t, good...)
	for _, other := range []*controlPlane{replica, restarted, replica} {
		stop = envoy.start(t, other.addr)
		other.current(t, 1)
		sent(whole, "after a change of replicas")
		stop()
	}
}

// TestAttack holds the rows of the catalogue of attacks that are about the control plane.
func TestAttack(t *testing.T) {
	t.Parallel()
	t.Run("C16", testNoRouteWithoutCluster)
}

// testNoRouteWithoutCluster changes backends, each time when the last change has arrived
// and often before its clusters are removed: no Envoy has, at any moment, a route that
// leads to a cluster which it has not.
func testNoRouteWithoutCluster(t *testing.T) {
	c := startControlPlane(t)
	random := rand.New(rand.NewPCG(1, 2))
	publish := func() {
		var apis []*durwardv1.API
		for i := range 1 + random.IntN(8) {
			apis = append(apis, api(fmt.Sprintf("api-%d", i), fmt.Sprintf("/%d", i), fmt.Sprintf("http://backend-%d", random.IntN(20))))
		}
		c.publishAll(t, quick(plain(t, apis...)))
	}
	c.publishAll(t, quick(plain(t, api("api-0", "/0", "http://backend-0"))))
	robots := []*robot{newRobot("envoy-1", nil), newRobot("envoy-2", nil)}
	for _, r := range robots {
		r.careful = true
		r.start(t, c.addr)
	}
	c.current(t, 2)
	for range 60 {
		publish()
		if err := c.waitAcked(t, 20*time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
	}
	c.parked(t)
	for _, r := range robots {
		same(t, "routes to no cluster", nil, r.gaps)
	}
	eventually(t, "no cluster stays that nothing needs", func() bool {
		robots[0].mu.Lock()
		defer robots[0].mu.Unlock()
		used := map[string]bool{"authz": true}
		for _, line := range routesOf(robots[0].held[resourcev3.RouteType]) {
			var name, path, cluster string
			if _, err := fmt.Sscan(line, &name, &path, &cluster); err != nil {
				t.Fatal(err)
			}
			used[cluster] = true
		}
		for name := range robots[0].held[resourcev3.ClusterType] {
			if !used[name] {
				return false
			}
		}
		return true
	})
}
