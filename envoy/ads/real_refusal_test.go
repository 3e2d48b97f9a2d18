package ads_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/envoy"
	"github.com/durward/durward/envoy/ads"
	"github.com/durward/durward/envoy/binary"
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

// TestRealEnvoyRefusesTables has tables refused that only Envoy can judge, because it does
// not tell upper case from lower case in hosts: from the start, in a table in which there
// is another API, and in one that is new and has a scope of its own.
func TestRealEnvoyRefusesTables(t *testing.T) {
	t.Parallel()
	url := backend(t, "one")
	// twins are two APIs of which Envoy takes either, but not both.
	twins := func(name, path string) []*durwardv1.API {
		return []*durwardv1.API{api(name, path, url, "*.example.com"), api(name+"-twin", path, url, "*.upper.com")}
	}
	g := startGateway(t, api("orders", "/orders", url))
	publish := func(apis ...*durwardv1.API) {
		t.Helper()
		cat := compile(t, g.check, g.xds, apis...)
		for _, api := range cat.APIs {
			if api.Hosts[0] == "*.upper.com" {
				api.Hosts = []string{"*.EXAMPLE.com"}
			}
		}
		if err := publish(t.Context(), g.server, cat); err != nil {
			t.Fatal(err)
		}
	}
	parked := func(want ...string) {
		t.Helper()
		eventually(t, "the search is over", func() bool {
			all := g.server.Status()
			var got []string
			for _, p := range all.Parked {
				if !p.Guilty || !strings.Contains(p.Reason, "Only unique values for domains") {
					return false
				}
				got = append(got, p.API)
			}
			return len(all.Envoys) == 1 && all.Envoys[0].Current && cmp.Equal(want, got)
		})
	}
	serves := func(want map[string]int) {
		t.Helper()
		for path, status := range want {
			eventually(t, fmt.Sprintf("%s is %d", path, status), func() bool { return g.send(t, "GET", path, "host: a.example.com").status == status })
		}
	}
	other := api("other", "/other", url)
	publish(append(twins("x", "/x"), api("orders", "/orders", url), other)...)
	parked("x-twin")
	serves(map[string]int{"/x": 200, "/orders": 200, "/other": 200})

	// Until the table of a new scope is accepted, Envoy finds no route there, and keeps the
	// others as they are. Nothing is parked as long as something else is installed.
	next := append(append(twins("x", "/x"), twins("y", "/y")...), api("orders", "/orders/2", url), other)
	publish(next...)
	refusals := g.metric(t, "durward_xds_nacks_total")
	giveBack := g.server.TakeTurn()
	eventually(t, "the new table is refused", func() bool { return g.metric(t, "durward_xds_nacks_total") > refusals })
	serves(map[string]int{"/orders/2": 200, "/other": 200, "/x": 200})
	g.checker.take()
	if a := g.send(t, "GET", "/y", "host: a.example.com"); a.status != 404 {
		t.Errorf("a scope without a table: %d", a.status)
	}
	g.checkedAs(t, "a scope without a table", "")
	if all := g.server.Status().Parked; len(all) != 1 {
		t.Errorf("parked meanwhile: %+v", all)
	}
	giveBack()
	parked("x-twin", "y-twin")
	serves(map[string]int{"/x": 200, "/y": 200, "/orders/2": 200, "/orders": 404, "/other": 200})

	publish(api("x", "/x", url, "*.example.com"), other)
	g.acked(t)
	parked()
	serves(map[string]int{"/x": 200, "/y": 404, "/orders/2": 404, "/other": 200})
}

// TestRealEnvoyOfTwo removes a file of authorities after one Envoy has read it. The one
// that starts after that goes without the API, alone.
func TestRealEnvoyOfTwo(t *testing.T) {
	t.Parallel()
	one := backend(t, "one")
	secure := httptest.NewTLSServer(echoHandler("secure"))
	t.Cleanup(secure.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	tls := api("tls", "/tls", secure.URL)
	tls.Backend.Tls = &durwardv1.BackendTLS{CaFile: ca}
	g := startGateway(t, api("orders", "/orders", one), tls)
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	second := g.another(t, "second")
	serves := func(envoy *gateway, want map[string]int) {
		t.Helper()
		for path, status := range want {
			eventually(t, fmt.Sprintf("%s is %d", path, status), func() bool { return envoy.send(t, "GET", path).status == status })
		}
	}
	parked := func(want ...string) {
		t.Helper()
		eventually(t, "one goes without", func() bool {
			all := g.server.Status()
			var got []string
			for _, p := range all.Parked {
				if !p.Guilty || !cmp.Equal(p.Only, []string{"second"}) {
					return false
				}
				got = append(got, p.API)
			}
			return len(all.Envoys) == 2 && all.Envoys[0].Current && all.Envoys[1].Current && cmp.Equal(want, got)
		})
	}
	parked("tls")
	serves(g, map[string]int{"/orders": 200, "/tls": 200})
	serves(second, map[string]int{"/orders": 200, "/tls": 404})

	g.publish(t, api("orders", "/orders/2", one), tls, api("more", "/more", one))
	parked("tls")
	serves(g, map[string]int{"/orders/2": 200, "/more": 200, "/tls": 200})
	serves(second, map[string]int{"/orders/2": 200, "/more": 200, "/tls": 404})

	g.publish(t, api("orders", "/orders/2", one), api("tls", "/tls", one))
	parked()
	g.acked(t)
	for _, envoy := range []*gateway{g, second} {
		serves(envoy, map[string]int{"/orders/2": 200, "/more": 404, "/tls": 200})
	}
}

// another starts one more Envoy of the gateway, of which only requests are sent.
func (g *gateway) another(t *testing.T, id string) *gateway {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	path, err := binary.Find(ctx, binary.Options{})
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := envoy.Bootstrap(compile(t, g.check, g.xds), "edge", envoy.BootstrapOptions{Admin: "127.0.0.1:0", NodeID: id})
	if err != nil {
		t.Fatal(err)
	}
	p, err := binary.Start(binary.Command{Path: path, Dir: t.TempDir(), Bootstrap: bootstrap, Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := p.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	addr, err := p.ListenerAddr(ctx, "edge")
	if err != nil {
		t.Fatal(err)
	}
	return &gateway{addr: addr}
}
