package ads_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/durward/durward/envoy/ads"
	"github.com/durward/durward/policy/catalog"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// parked waits until the search is over, and shows what is parked then.
func (c *controlPlane) parked(t *testing.T) (list []string) {
	t.Helper()
	eventually(t, "all is acknowledged and the guilty are known", func() bool {
		all := c.Status()
		for _, e := range all.Envoys {
			if !e.Current {
				return false
			}
		}
		list = nil
		for _, p := range all.Parked {
			if !p.Guilty {
				return false
			}
			list = append(list, p.API)
		}
		return len(all.Envoys) > 0
	})
	return list
}

func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// quick makes clusters retire soon.
func quick(cat *catalog.Catalogue) *catalog.Catalogue {
	cat.CheckTimeout = 10 * time.Millisecond
	return cat
}

// TestRefusalParksWhatChanged has one of two changed APIs refused: the other is served,
// and the refused one is as it was, until it changes.
func TestRefusalParksWhatChanged(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	envoy := newRobot("envoy-1", mentioning("/bad"))
	envoy.careful = true
	c.publishAll(t, quick(plain(t, api("orders", "/orders", "http://one"), api("other", "/other", "http://two"), api("third", "/third", "http://two"))))
	envoy.start(t, c.addr)
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Fatal(err)
	}

	bad := quick(plain(t, api("orders", "/bad", "http://one"), api("other", "/other/2", "http://new"), api("third", "/third", "http://two")))
	bad.API("orders").At = catalog.Position{File: "apis/orders.yaml", Line: 7, Column: 5}
	c.publishAll(t, bad)
	same(t, "parked", []string{"orders"}, c.parked(t))
	same(t, "routes", []string{"orders /orders http://one:80", "other /other/2 http://new:80", "third /third http://two:80"}, envoy.routes())
	want := []ads.Parked{{
		Gateway: "edge", API: "orders", At: bad.API("orders").At, Guilty: true, Former: true,
		Reason: "this envoy does not like /bad",
	}}
	if diff := cmp.Diff(want, c.Status().Parked); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	for _, text := range []string{"at=apis/orders.yaml:7:5", "api=orders", "this envoy does not like /bad", `served="as before"`} {
		if !strings.Contains(c.log.String(), text) {
			t.Errorf("the log has no %s:\n%s", text, c.log.String())
		}
	}
	if n := sum(t, c.registry, "durward_xds_parked_apis"); n != 1 {
		t.Errorf("%v parked in the metrics", n)
	}

	// Others change, and the refused API does not.
	for i := range 3 {
		c.publishAll(t, quick(plain(t, api("orders", "/bad", "http://one"), api("other", fmt.Sprintf("/other/%d", 3+i), "http://new"))))
		same(t, "parked", []string{"orders"}, c.parked(t))
		same(t, "routes", []string{"orders /orders http://one:80", fmt.Sprintf("other /other/%d http://new:80", 3+i)}, envoy.routes())
	}
	// Its place is given away: it cannot be as it was.
	c.publishAll(t, quick(plain(t, api("orders", "/bad", "http://one"), api("heir", "/orders", "http://two"))))
	same(t, "parked", []string{"orders"}, c.parked(t))
	same(t, "routes", []string{"heir /orders http://two:80"}, envoy.routes())

	c.publishAll(t, quick(plain(t, api("orders", "/good", "http://one"))))
	same(t, "parked", nil, c.parked(t))
	same(t, "routes", []string{"orders /good http://one:80"}, envoy.routes())
	same(t, "sent again", nil, envoy.sentAgain())
	same(t, "routes to no cluster", nil, envoy.gaps)
}

// TestRefusalBackAgain publishes what was refused before, after something else.
func TestRefusalBackAgain(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	envoy := newRobot("envoy-1", mentioning("/bad"))
	good, bad := plain(t, api("orders", "/orders", "http://one")), plain(t, api("orders", "/bad", "http://one"))
	c.publishAll(t, good)
	envoy.start(t, c.addr)
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.publishAll(t, bad)
		same(t, "parked", []string{"orders"}, c.parkedOnce(t))
		c.publishAll(t, good)
		same(t, "parked", nil, c.parked(t))
	}
	same(t, "routes", []string{"orders /orders http://one:80"}, envoy.routes())
	same(t, "sent again", nil, envoy.sentAgain())
}

// parkedOnce waits until something is parked.
func (c *controlPlane) parkedOnce(t *testing.T) []string {
	t.Helper()
	eventually(t, "something is parked", func() bool { return len(c.Status().Parked) > 0 })
	return c.parked(t)
}

// TestRefusalOfManyIsBisected has three of forty changed APIs refused, two of them only
// together.
func TestRefusalOfManyIsBisected(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"changed": true, "all new": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startControlPlane(t)
			var before, after []*durwardv1.API
			var want []string
			for i := range 40 {
				name := fmt.Sprintf("a%02d", i)
				before = append(before, api(name, "/before/"+name, "http://one"))
				after = append(after, api(name, "/after/"+name, "http://one"))
				switch {
				case name != "a07" && name != "a31":
					want = append(want, name+" /after/"+name+" http://one:80")
				case known:
					want = append(want, name+" /before/"+name+" http://one:80")
				}
			}
			envoy := newRobot("envoy-1", mentioning("/after/a07", "/after/a31"))
			if known {
				c.publishAll(t, quick(plain(t, before...)))
			} else {
				c.publishAll(t, quick(plain(t, after...)))
			}
			envoy.start(t, c.addr)
			if known {
				if err := c.waitAcked(t, 10*time.Second); err != nil {
					t.Fatal(err)
				}
				c.publishAll(t, quick(plain(t, after...)))
			}
			same(t, "parked", []string{"a07", "a31"}, c.parkedOnce(t))
			same(t, "routes", want, envoy.routes())
			same(t, "sent again", nil, envoy.sentAgain())
			if n := sum(t, c.registry, "durward_xds_nacks_total"); n > 24 {
				t.Errorf("%v refusals to find two of forty", n)
			}
		})
	}
}

// TestRefusalOfCombination has two APIs refused only where both are new.
func TestRefusalOfCombination(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	both := mentioning("/after/b")
	envoy := newRobot("envoy-1", nil)
	envoy.refuses = func(res *discoveryv3.DeltaDiscoveryResponse) string {
		if mentioning("/after/a")(res) == "" {
			return ""
		}
		return both(res)
	}
	c.publishAll(t, plain(t, api("a", "/before/a", "http://one"), api("b", "/before/b", "http://one")))
	envoy.start(t, c.addr)
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	c.publishAll(t, plain(t, api("a", "/after/a", "http://one"), api("b", "/after/b", "http://one")))
	same(t, "parked", []string{"b"}, c.parkedOnce(t))
	eventually(t, "the guilty is as before", func() bool {
		return slices.Equal(envoy.routes(), []string{"a /after/a http://one:80", "b /before/b http://one:80"})
	})
	same(t, "sent again", nil, envoy.sentAgain())
}

// TestRefusalOfOneClusterOfMany: what came with the refused cluster, and was refused with
// it, comes again.
func TestRefusalOfOneClusterOfMany(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	envoy := newRobot("envoy-1", mentioning("http://bad:80"))
	envoy.careful = true
	c.publishAll(t, quick(plain(t, api("a", "/a", "http://one"), api("b", "/b", "http://one"))))
	envoy.start(t, c.addr)
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	c.publishAll(t, quick(plain(t, api("a", "/a", "http://new"), api("b", "/b", "http://bad"), api("c", "/c", "http://other"))))
	same(t, "parked", []string{"b"}, c.parkedOnce(t))
	want := []string{"a /a http://new:80", "b /b http://one:80", "c /c http://other:80"}
	eventually(t, "the others are served", func() bool { return slices.Equal(want, envoy.routes()) })
	same(t, "parked", []string{"b"}, c.parked(t))
	same(t, "sent again", nil, envoy.sentAgain())
	same(t, "routes to no cluster", nil, envoy.gaps)
}

// TestRefusalOfOneEnvoy: what an older Envoy refuses stays with those that accepted it,
// and the older one has all else, until what it refused is gone.
func TestRefusalOfOneEnvoy(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	cat := func(path string, more ...*durwardv1.API) *catalog.Catalogue {
		all := append(more, api("orders", path, "http://one"), api("other", "/other", "http://two"))
		cat := quick(plain(t, all...))
		cat.API("orders").At = catalog.Position{File: "apis/orders.yaml", Line: 7, Column: 5}
		return cat
	}
	c.publishAll(t, cat("/bad"))
	newer, older := newRobot("newer", nil), newRobot("older", mentioning("/bad"))
	newer.start(t, c.addr)
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	stop := older.start(t, c.addr)
	check := func(what string) {
		t.Helper()
		same(t, what+": parked", []string{"orders"}, c.parkedOnce(t))
		want := []ads.Parked{{
			Gateway: "edge", API: "orders", At: catalog.Position{File: "apis/orders.yaml", Line: 7, Column: 5}, Guilty: true,
			Reason: "this envoy does not like /bad", Only: []string{"older"},
		}}
		if diff := cmp.Diff(want, c.Status().Parked); diff != "" {
			t.Errorf("%s: status (-want +got):\n%s", what, diff)
		}
	}
	check("a newcomer")
	refusals := sum(t, c.registry, "durward_xds_nacks_total")
	same(t, "routes of the newer", []string{"orders /bad http://one:80", "other /other http://two:80"}, newer.routes())
	same(t, "routes of the older", []string{"other /other http://two:80"}, older.routes())
	for _, text := range []string{"at=apis/orders.yaml:7:5", "api=orders", "envoys=older", "this envoy does not like /bad"} {
		if !strings.Contains(c.log.String(), text) {
			t.Errorf("the log has no %s:\n%s", text, c.log.String())
		}
	}
	if n := sum(t, c.registry, "durward_xds_parked_apis"); n != 1 {
		t.Errorf("%v parked in the metrics", n)
	}

	// All else that is published reaches both, and a connection that ends changes nothing.
	c.publishAll(t, cat("/bad", api("third", "/third", "http://three")))
	check("another API")
	stop()
	c.current(t, 1)
	older.start(t, c.addr)
	c.current(t, 2)
	check("a new connection")
	same(t, "routes of the newer", []string{"orders /bad http://one:80", "other /other http://two:80", "third /third http://three:80"}, newer.routes())
	same(t, "routes of the older", []string{"other /other http://two:80", "third /third http://three:80"}, older.routes())

	c.publishAll(t, cat("/good"))
	same(t, "parked", nil, c.parked(t))
	for _, r := range []*robot{newer, older} {
		eventually(t, "both have the same", func() bool {
			return slices.Equal(r.routes(), []string{"orders /good http://one:80", "other /other http://two:80"})
		})
		same(t, "sent again", nil, r.sentAgain())
	}
	// What one refuses of a change that the other accepts is as it was there.
	c.publishAll(t, cat("/bad"))
	same(t, "parked", []string{"orders"}, c.parkedOnce(t))
	same(t, "routes of the newer", []string{"orders /bad http://one:80", "other /other http://two:80"}, newer.routes())
	same(t, "routes of the older", []string{"orders /good http://one:80", "other /other http://two:80"}, older.routes())
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Error(err)
	}
	same(t, "sent again", nil, older.sentAgain())
	if n := sum(t, c.registry, "durward_xds_nacks_total"); n != refusals {
		t.Errorf("%v more refusals of what was refused", n-refusals)
	}
}

// TestRefusedListener is about nothing of an API.
func TestRefusedListener(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	envoy := newRobot("envoy-1", func(res *discoveryv3.DeltaDiscoveryResponse) string {
		if strings.HasSuffix(res.GetTypeUrl(), "Listener") && len(res.GetResources()) > 0 {
			return "no listener"
		}
		return ""
	})
	envoy.start(t, c.addr)
	eventually(t, "it is said", func() bool { return strings.Contains(c.log.String(), "belongs to no api") })
	eventually(t, "the rest came", func() bool { return len(envoy.routes()) == 1 })
	c.publish(t, api("orders", "/o", "http://one"))
	eventually(t, "changes come", func() bool { return slices.Equal(envoy.routes(), []string{"orders /o http://one:80"}) })
	if all := c.Status(); len(all.Parked) != 0 {
		t.Errorf("parked %+v", all.Parked)
	}
	same(t, "sent again", nil, envoy.sentAgain())
}
