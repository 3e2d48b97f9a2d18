package ads_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"github.com/durward/durward/envoy/ads"
	"github.com/durward/durward/policy/catalog"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// TestRefusalOutlivesItsGateway: a gateway goes while an Envoy goes without an API, is looked
// at meanwhile, and comes back.
func TestRefusalOutlivesItsGateway(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	older, newer := newRobot("older", mentioning("/bad")), newRobot("newer", nil)
	here := func() *catalog.Catalogue {
		return quick(plain(t, api("orders", "/bad", "http://one"), api("other", "/other", "http://one")))
	}
	elsewhere := here()
	elsewhere.Gateways[0].Name = "inner"
	c.publishAll(t, here())
	older.start(t, c.addr)
	newer.start(t, c.addr)
	done := make(chan struct{})
	looking := make(chan struct{})
	go func() {
		defer close(looking)
		for {
			select {
			case <-done:
				return
			default:
				c.Status()
			}
		}
	}()
	for range 5 {
		c.current(t, 2)
		same(t, "parked", []string{"orders"}, c.parkedOnce(t))
		c.publishAll(t, elsewhere)
		if all := c.Status(); len(all.Parked) > 0 {
			t.Errorf("parked where no gateway is: %+v", all.Parked)
		}
		eventually(t, "the routes are gone", func() bool { return len(older.routes())+len(newer.routes()) == 0 })
		c.publishAll(t, here())
		if err := c.waitAcked(t, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	<-looking
	same(t, "routes of the older", []string{"other /other http://one:80"}, older.routes())
	same(t, "routes of the newer", []string{"orders /bad http://one:80", "other /other http://one:80"}, newer.routes())
	same(t, "sent again", nil, older.sentAgain())
}

// TestRefusalNextToSilence: an Envoy that refuses once, and says nothing from then on, does
// not stop the search for what another refuses.
func TestRefusalNextToSilence(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	var apis []*durwardv1.API
	var want []string
	for i := range 8 {
		name := fmt.Sprintf("a%d", i)
		backend := "http://one"
		if i == 5 {
			backend = "http://bad"
		} else {
			want = append(want, name+" /x/"+name+" http://one:80")
		}
		apis = append(apis, api(name, "/x/"+name, backend))
	}
	c.publishAll(t, quick(plain(t, apis...)))
	silent := c.connect(t)
	silent.subscribe("edge", resourcev3.ClusterType)
	silent.next()
	silent.send(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: resourcev3.ClusterType, ResponseNonce: silent.last[resourcev3.ClusterType].GetNonce(),
		ErrorDetail: &status.Status{Code: 13, Message: "no"},
	})
	envoy := newRobot("envoy-2", func(res *discoveryv3.DeltaDiscoveryResponse) string {
		if res.GetTypeUrl() == resourcev3.RouteType {
			return mentioning("/x/a5")(res)
		}
		return ""
	})
	envoy.start(t, c.addr)
	eventually(t, "the guilty is known", func() bool {
		all := c.Status().Parked
		return len(all) == 1 && all[0].API == "a5" && all[0].Guilty
	})
	eventually(t, "the others are served", func() bool { return slices.Equal(want, envoy.routes()) })
	same(t, "sent again", nil, envoy.sentAgain())
	if n := len(c.Status().Envoys); n != 2 {
		t.Errorf("%d are connected: the silent one left before it was known", n)
	}
}

// TestRefusalBesideAnother: the verdict on a trial is that on the trial, whatever else the
// Envoy has refused and goes on refusing.
func TestRefusalBesideAnother(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	var before, after []*durwardv1.API
	var want []string
	for i := range 8 {
		name := fmt.Sprintf("a%d", i)
		before, after = append(before, api(name, "/x/"+name, "http://one")), append(after, api(name, "/x/"+name+"/after", "http://one"))
		if i == 5 {
			want = append(want, "a5 /x/a5 http://one:80")
		} else {
			want = append(want, name+" /x/"+name+"/after http://one:80")
		}
	}
	envoy := newRobot("envoy-1", func(res *discoveryv3.DeltaDiscoveryResponse) string {
		if res.GetTypeUrl() == resourcev3.ListenerType && len(res.GetResources()) > 0 {
			return "no listener"
		}
		if res.GetTypeUrl() == resourcev3.RouteType {
			time.Sleep(20 * time.Millisecond) // it takes Envoy a while
		}
		return mentioning("/x/a5/after")(res)
	})
	c.publishAll(t, quick(plain(t, before...)))
	envoy.start(t, c.addr)
	eventually(t, "it has all but the listener", func() bool { return len(envoy.routes()) == 8 })
	c.publishAll(t, quick(plain(t, after...)))
	eventually(t, "the search is over", func() bool {
		all := c.Status().Parked
		return len(all) > 0 && !slices.ContainsFunc(all, func(p ads.Parked) bool { return !p.Guilty })
	})
	eventually(t, "all but one are served", func() bool { return slices.Equal(want, envoy.routes()) })
	if all := c.Status().Parked; len(all) != 1 || all[0].API != "a5" || !all[0].Former {
		t.Errorf("parked %+v", all)
	}
	same(t, "sent again", nil, envoy.sentAgain())
}

// TestRefusalByNamesake: replicas that share a node id are told what each of them wants.
func TestRefusalByNamesake(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	old, bad := plain(t, api("orders", "/orders", "http://one")), plain(t, api("orders", "/bad", "http://one"))
	c.publishAll(t, quick(old))
	honest, other := newRobot("edge", nil), newRobot("edge", mentioning("/bad"))
	honest.start(t, c.addr)
	stop := other.start(t, c.addr)
	c.current(t, 2)
	c.publishAll(t, quick(bad))
	for range 2 {
		eventually(t, "each has its own", func() bool {
			return slices.Equal(honest.routes(), []string{"orders /bad http://one:80"}) &&
				slices.Equal(other.routes(), []string{"orders /orders http://one:80"})
		})
		same(t, "parked", []string{"orders"}, c.parkedOnce(t))
		stop()
		c.current(t, 1)
		other.forget() // nobody knows which of them came back
		stop = other.start(t, c.addr)
		c.current(t, 2)
	}
	same(t, "sent again", nil, other.sentAgain())
}

// TestRestartWithTheOldestFirst: what an old Envoy refuses of what others have is not taken
// from these because it came back first.
func TestRestartWithTheOldestFirst(t *testing.T) {
	t.Parallel()
	apis := []*durwardv1.API{api("orders", "/bad", "http://one"), api("other", "/other", "http://one")}
	both := []string{"orders /bad http://one:80", "other /other http://one:80"}
	first := startControlPlane(t)
	first.publish(t, apis...)
	newer, older := newRobot("newer", nil), newRobot("older", mentioning("/bad"))
	newer.least = 2
	stops := []func(){newer.start(t, first.addr), older.start(t, first.addr)}
	first.current(t, 2)
	for _, stop := range stops {
		stop()
	}
	second := startControlPlane(t)
	second.publish(t, apis...)
	older.start(t, second.addr)
	same(t, "parked", []string{"orders"}, second.parkedOnce(t))
	if all := second.Status().Parked; len(all[0].Only) > 0 {
		t.Errorf("no other is connected: %+v", all)
	}
	newer.start(t, second.addr)
	second.current(t, 2)
	same(t, "routes of the newer", both, newer.routes())
	same(t, "routes of the older", []string{"other /other http://one:80"}, older.routes())
	if newer.mu.Lock(); newer.lost > 0 {
		t.Errorf("the newer lost an API %d times", newer.lost)
	}
	newer.mu.Unlock()
	if all := second.Status().Parked; len(all) != 1 || !slices.Equal(all[0].Only, []string{"older"}) {
		t.Errorf("%+v", all)
	}
}

// TestRefusalOfClusterHoldsTheTable: a table comes after the clusters to which it leads, how
// late soever, and not at all if one is refused.
func TestRefusalOfClusterHoldsTheTable(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	envoy := c.connect(t)
	envoy.begin("http://one:80")
	c.publish(t, api("orders", "/orders", "http://two"))
	envoy.want("Cluster +http://two:80")
	two := envoy.last[resourcev3.ClusterType]
	c.publish(t, api("orders", "/orders/2", "http://two")) // which waits for an answer in vain
	envoy.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType, ResponseNonce: two.GetNonce()})
	envoy.want("RouteConfiguration +" + ordersTable)
	if got := routesOf(map[string]*discoveryv3.Resource{"": envoy.last[resourcev3.RouteType].GetResources()[0]}); !slices.Equal(got, []string{"orders /orders/2 http://two:80"}) {
		t.Errorf("routes %q", got)
	}
	envoy.ack(resourcev3.RouteType)
	c.publish(t, api("orders", "/orders/2", "http://bad"))
	envoy.want("Cluster +http://bad:80")
	envoy.send(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: resourcev3.ClusterType, ResponseNonce: envoy.last[resourcev3.ClusterType].GetNonce(),
		ErrorDetail: &status.Status{Code: 13, Message: "no"},
	})
	eventually(t, "it is parked", func() bool { all := c.Status().Parked; return len(all) == 1 && all[0].Former })
	if err := c.waitAcked(t, 10*time.Second); err == nil {
		return // it is sent the table that it has, or nothing
	}
	envoy.want("RouteConfiguration +" + ordersTable)
	envoy.ack(resourcev3.RouteType)
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Error(err)
	}
}

// TestStreamsAreBounded: what one client may make us keep, and how long it may say nothing.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("edge/%d", i)
	}
	envoy := c.connect(t)
	envoy.subscribe("edge", resourcev3.RouteType, many...) // as many as there were once
	envoy.subscribe("", resourcev3.ClusterType)
	envoy.want("Cluster +authz +http://one:80")
	for range 10 {
		_ = envoy.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.RouteType, ResourceNamesSubscribe: many})
	}
	envoy.ends(codes.ResourceExhausted)
	long := c.connect(t)
	long.subscribe("edge", resourcev3.RouteType, strings.Repeat("x", 1<<16))
	long.ends(codes.ResourceExhausted)
	unknown := c.connect(t)
	_ = unknown.Send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Cluster: strings.Repeat("x", 1<<20)}, TypeUrl: resourcev3.RouteType})
	unknown.ends(codes.NotFound)
	mute := c.connect(t)
	began := time.Now()
	if _, err := mute.Recv(); err == nil || time.Since(began) > 15*time.Second {
		t.Errorf("who says nothing stays: %v", err)
	}
}

// TestRefusalOfNothing: an answer to what was not asked is not worth a line of the log.
func TestRefusalOfNothing(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	envoy := c.connect(t)
	envoy.begin("http://one:80")
	for i := range 20 {
		envoy.send(&discoveryv3.DeltaDiscoveryRequest{
			TypeUrl: resourcev3.RouteType, ResponseNonce: fmt.Sprintf("unknown-%d", i), ErrorDetail: &status.Status{Code: 13, Message: "no such thing"},
		})
	}
	eventually(t, "all came", func() bool { return sum(t, c.registry, "durward_xds_nacks_total") == 20 })
	if text := c.log.String(); strings.Contains(text, "no such thing") {
		t.Errorf("the log:\n%s", text)
	}
	for _, e := range c.Status().Envoys {
		if !e.Current || e.Refusal != "" {
			t.Errorf("%+v", e)
		}
	}
}

// TestPublishWaitsForSilenceOnce: an Envoy that does not answer is waited for by one
// publication, and by others not before it has answered something.
func TestPublishWaitsForSilenceOnce(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	envoy := c.connect(t)
	envoy.begin("http://one:80")
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	n := 0
	took := func() time.Duration {
		n++
		next, err := c.Prepare(t.Context(), plain(t, api("orders", fmt.Sprintf("/orders/%d", n), "http://one")))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := next.Publish(); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	const wait = 500 * time.Millisecond
	took()
	if d := took(); d < wait {
		t.Errorf("it is waited for %v", d)
	}
	quickest := wait
	for range 5 {
		quickest = min(quickest, took())
	}
	if quickest >= wait {
		t.Errorf("it is waited for again: %v", quickest)
	}
	envoy.want("RouteConfiguration +" + ordersTable)
	envoy.ack(resourcev3.RouteType)
	envoy.want("RouteConfiguration +" + ordersTable)
	if d := took(); d < wait {
		t.Errorf("after an answer it is waited for %v", d)
	}
}
