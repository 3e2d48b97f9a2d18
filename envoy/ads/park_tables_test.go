package ads_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/genproto/googleapis/rpc/status"

	"github.com/durward/durward/envoy"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// TestRefusalOverManyTables has three of sixty changed APIs refused, each in a table of its
// own, all of which come in one response: one that moves to a new table and scope, one
// that is new, and one that changes where it is.
func TestRefusalOverManyTables(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	var before, after []*durwardv1.API
	var want []string
	for i := range 60 {
		name := fmt.Sprintf("a%02d", i)
		old, now := api(name, "/old-"+name, "http://one"), api(name, "/new-"+name, "http://one")
		switch i {
		case 7:
			want = append(want, "a07 /old-a07 http://one:80")
		case 30:
			old = nil
		case 52:
			now = api(name, "/old-"+name+"/more", "http://one")
			want = append(want, "a52 /old-a52 http://one:80")
		default:
			want = append(want, name+" /new-"+name+" http://one:80")
		}
		if old != nil {
			before = append(before, old)
		}
		after = append(after, now)
	}
	envoy := newRobot("envoy-1", mentioning("/new-a07", "/new-a30", "/old-a52/more"))
	c.publishAll(t, quick(plain(t, before...)))
	envoy.start(t, c.addr)
	c.current(t, 1)
	c.publishAll(t, quick(plain(t, after...)))
	eventually(t, "all others are served", func() bool { return slices.Equal(want, envoy.routes()) })
	same(t, "parked", []string{"a07", "a30", "a52"}, c.parkedOnce(t))
	same(t, "routes", want, envoy.routes())
	if n := sum(t, c.registry, "durward_xds_nacks_total"); n > 24 {
		t.Errorf("%v refusals to find three of sixty", n)
	}
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Error(err)
	}
	same(t, "sent again", nil, envoy.sentAgain())
	eventually(t, "no scope is left of what is not there", func() bool {
		envoy.mu.Lock()
		defer envoy.mu.Unlock()
		return len(envoy.held[resourcev3.RouteType]) == 60 // and the empty one
	})
}

// TestRefusalInEveryTable: an API of all hosts and paths is in a thousand tables, and at
// fault once.
func TestRefusalInEveryTable(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	with := func(backend string) []*durwardv1.API {
		return []*durwardv1.API{api("all", "/", backend), api("orders", "/orders", "http://one"), api("own", "/own", "http://one", "a.example.com")}
	}
	envoy := newRobot("envoy-1", mentioning("/bad"))
	c.publishAll(t, quick(plain(t, with("http://one/good")...)))
	envoy.start(t, c.addr)
	c.current(t, 1)
	routes := envoy.routes()
	c.publishAll(t, quick(plain(t, with("http://one/bad")...)))
	same(t, "parked", []string{"all"}, c.parkedOnce(t))
	same(t, "routes", routes, envoy.routes())
	if n := sum(t, c.registry, "durward_xds_nacks_total"); n != 1 {
		t.Errorf("%v refusals", n)
	}
	same(t, "sent again", nil, envoy.sentAgain())
}

// sharing returns another host whose orders share a table with those of the host.
func sharing(t *testing.T, host string) (other, table string) {
	t.Helper()
	apis := []*durwardv1.API{api("one", "/orders", "http://one", host)}
	for i := range 200 {
		a := api(fmt.Sprint("many-", i), "/orders", "http://one", "a.example.com")
		a.Frontend.Hosts = nil
		for j := range 60 {
			a.Frontend.Hosts = append(a.Frontend.Hosts, fmt.Sprintf("a%d-%d.example.com", i, j))
		}
		apis = append(apis, a)
	}
	res, err := envoy.Translate(plain(t, apis...), "edge")
	if err != nil {
		t.Fatal(err)
	}
	tables := make(map[string]string)
	for _, s := range res.Scopes {
		tables[s.GetName()] = s.GetRouteConfigurationName()
	}
	table = tables[host+"/orders"]
	for _, a := range apis[1:] {
		for _, other := range a.GetFrontend().GetHosts() {
			if tables[other+"/orders"] == table {
				return other, table
			}
		}
	}
	t.Fatalf("no host shares table %q", table)
	return "", ""
}

// TestRefusalOfScope parks the one API that a scope is for, of those in its table.
func TestRefusalOfScope(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	scope := "b.example.com/orders"
	envoy := newRobot("envoy-1", func(res *discoveryv3.DeltaDiscoveryResponse) string {
		for _, one := range res.GetResources() {
			if res.GetTypeUrl() == resourcev3.ScopedRouteType && one.GetName() == scope {
				return "no such scope"
			}
		}
		return ""
	})
	host, table := sharing(t, "b.example.com")
	orders, more := api("orders", "/orders", "http://one", host), api("more", "/more", "http://one", host)
	c.publishAll(t, quick(plain(t, orders, more)))
	envoy.start(t, c.addr)
	c.current(t, 1)
	envoy.mu.Lock()
	if envoy.held[resourcev3.RouteType][table] == nil {
		t.Error("the scopes do not share a table")
	}
	envoy.mu.Unlock()
	c.publishAll(t, quick(plain(t, orders, more, api("bad", "/orders", "http://one", "b.example.com"), api("good", "/good", "http://one", "b.example.com"))))
	same(t, "parked", []string{"bad"}, c.parkedOnce(t))
	same(t, "routes", []string{"good /good http://one:80", "more /more http://one:80", "orders /orders http://one:80"}, envoy.routes())
	same(t, "sent again", nil, envoy.sentAgain())
	if text := c.log.String(); strings.Contains(text, "one or more of several apis") {
		t.Errorf("others were suspected:\n%s", text)
	}
}

// TestRefusalOutrun: what is offered again is not sent once there is something newer.
func TestRefusalOutrun(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	envoy := c.connect(t)
	envoy.begin("http://one:80")
	paths := map[string]string{"orders": "/orders/2", "x": "/x"}
	apis := func() (list []*durwardv1.API) {
		for name, path := range paths {
			list = append(list, api(name, path, "http://one"))
		}
		return list
	}
	c.publish(t, apis()...)
	envoy.next()
	refused := envoy.last[resourcev3.RouteType]
	if n := len(refused.GetResources()); n != 2 {
		t.Fatalf("%d tables changed", n)
	}
	envoy.next() // the scope of x
	envoy.ack(resourcev3.ScopedRouteType)
	envoy.send(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: resourcev3.RouteType, ResponseNonce: refused.GetNonce(), ErrorDetail: &status.Status{Code: 13, Message: "no"},
	})
	envoy.next()
	half := envoy.last[resourcev3.RouteType]
	if n := len(half.GetResources()); n != 1 {
		t.Fatalf("%d tables are offered again at once", n)
	}
	other := "orders"
	if half.GetResources()[0].GetName() == ordersTable {
		other = "x"
	}
	paths[other] += "/newer"
	c.publish(t, apis()...)
	envoy.next()
	newer := envoy.last[resourcev3.RouteType]
	for _, res := range []*discoveryv3.DeltaDiscoveryResponse{half, newer} {
		envoy.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.RouteType, ResponseNonce: res.GetNonce()})
	}
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	delete(paths, "x")
	paths["orders"] = "/orders/3"
	c.publish(t, apis()...)
	envoy.next()
	last := envoy.last[resourcev3.RouteType]
	if len(last.GetRemovedResources()) != 1 || len(last.GetResources()) != 1 || last.GetResources()[0].GetName() != ordersTable {
		t.Errorf("sent after all was acknowledged: %v", last)
	}
}
