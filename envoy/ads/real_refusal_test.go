package ads_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/envoy/ads"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// TestRealEnvoyRefuses publishes what only Envoy can judge: a file of authorities that is
// not there.
func TestRealEnvoyRefuses(t *testing.T) {
	t.Parallel()
	one, two := backend(t, "one"), backend(t, "two")
	withoutFile := func(name, base string) *durwardv1.API {
		a := api(name, base, "https://127.0.0.1:1")
		a.Backend.Tls = &durwardv1.BackendTLS{CaFile: "/nowhere/" + name + ".pem"}
		return a
	}
	g := startGateway(t, api("orders", "/orders", one), api("moved", "/moved", one))
	parked := func(want ...string) {
		t.Helper()
		eventually(t, "the search is over", func() bool {
			all := g.server.Status()
			var got []string
			for _, p := range all.Parked {
				if !p.Guilty || !strings.Contains(p.Reason, "/nowhere/"+p.API) {
					return false
				}
				got = append(got, p.API)
			}
			return len(all.Envoys) == 1 && all.Envoys[0].Current && cmp.Equal(want, got)
		})
	}
	// Only the two that are wrong stay as they were, or out.
	g.publish(t, api("orders", "/orders/2", one), withoutFile("moved", "/elsewhere"), api("new", "/new", two), withoutFile("broken", "/broken"))
	parked("broken", "moved")
	for path, want := range map[string]int{"/orders/2": 200, "/new": 200, "/moved": 200, "/orders": 404, "/elsewhere": 404, "/broken": 404} {
		if a := g.send(t, "GET", path); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
	if e := g.server.Status().Envoys[0]; !strings.HasPrefix(e.LastError, "cluster: ") || e.Version == "" || e.Revision == "" {
		t.Errorf("status %+v", e)
	}
	refusals := g.metric(t, "durward_xds_nacks_total")

	// What is wrong is not tried again while others change.
	g.publish(t, api("orders", "/orders/3", one), withoutFile("moved", "/elsewhere"), api("new", "/new", two), withoutFile("broken", "/broken"))
	parked("broken", "moved")
	if a := g.send(t, "GET", "/orders/3"); a.status != 200 {
		t.Errorf("/orders/3: %d", a.status)
	}
	if n := g.metric(t, "durward_xds_nacks_total"); n != refusals {
		t.Errorf("%v more refusals", n-refusals)
	}
	g.publish(t, api("orders", "/orders/3", one), api("moved", "/elsewhere", two), api("broken", "/broken", two))
	g.acked(t)
	for _, path := range []string{"/orders/3", "/elsewhere", "/broken"} {
		if a := g.send(t, "GET", path); a.status != 200 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	parked()
}

// TestRealEnvoyKeepsOverRestart starts the control plane anew: an Envoy that has all is
// sent nothing.
func TestRealEnvoyKeepsOverRestart(t *testing.T) {
	t.Parallel()
	apis := []*durwardv1.API{api("orders", "/orders", backend(t, "one")), api("other", "/other", backend(t, "two"))}
	g := startGateway(t, apis...)
	if n := g.metric(t, "durward_xds_resources_sent_total"); n < 5 {
		t.Fatalf("%v resources sent to a new Envoy", n)
	}
	g.server.Close()
	g.stopXDS()

	g.registry = prometheus.NewRegistry()
	g.server = ads.NewServer(slog.New(slog.NewTextHandler(g.log, nil)), g.registry, nil)
	t.Cleanup(g.server.Close)
	g.publish(t, apis...)
	serveGRPCAt(t, g.xds, g.server.Register)
	g.acked(t)
	time.Sleep(100 * time.Millisecond)
	if n := g.metric(t, "durward_xds_resources_sent_total"); n != 0 {
		t.Errorf("%v resources sent again", n)
	}
	if a := g.send(t, "GET", "/orders"); a.status != 200 {
		t.Errorf("after the restart: %d", a.status)
	}
	g.noNACKs(t)
}
