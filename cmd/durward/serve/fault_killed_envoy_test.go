package serve

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/envoy"
)

var killedAPIs = flag.Int("killed-apis", 10_000, "how many APIs are served when TestKilledBehindEnvoy kills")

// TestKilledBehindEnvoy kills a server with SIGKILL. Envoy keeps its routes, passes nothing
// and answers 503; a new server serves soon, and sends Envoy nothing that it has.
func TestKilledBehindEnvoy(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	k := newOrphaned(t, scaled(*killedAPIs))
	k.serving(t, 0, 404, 503) // the port may not listen yet
	t.Logf("%d APIs serve %v after both began", k.n, time.Since(k.began).Round(time.Millisecond))
	k.current(t)

	k.child.kill()
	passed := k.backend.requests()
	for i := range 200 {
		text := []string{k.token, ""}[i%2]
		if a := k.caller.ask(k.host(), fmt.Sprintf("api-%d", k.n-1-i%10*100), text); a.status != 503 {
			t.Errorf("nobody judges, and a request gets %+v", a)
		}
	}
	if got := k.backend.requests() - passed; got != 0 {
		t.Errorf("%d requests passed unjudged", got)
	}

	k.spawn(t)
	k.serving(t, 503)
	took := time.Since(k.began)
	k.current(t)
	t.Logf("%d APIs serve again %s after the start; Envoy is connected and has all after %s", k.n, ms(took), ms(time.Since(k.began)))
	if took > 30*time.Second {
		t.Errorf("serving again took %v", took)
	}
	for _, kind := range []string{"cluster", "listener", "route", "scope"} {
		if sent := metric(t, k.ops, fmt.Sprintf("durward_xds_resources_sent_total{type=%q}", kind)); sent != 0 {
			t.Errorf("%v of type %s were sent again", sent, kind)
		}
	}
	if k.backend.unguarded != 0 {
		t.Errorf("%d requests came unguarded", k.backend.unguarded)
	}
}

// orphaned is a server of n APIs in a process of its own, behind an Envoy that outlives it.
type orphaned struct {
	config
	n       int
	token   string
	backend *counter
	caller  *caller
	child   *child
	began   time.Time // when the child did
}

func newOrphaned(t *testing.T, n int) *orphaned {
	t.Helper()
	okta, c := newOrg(t)
	c.check, c.xds, c.ops = reserved(t), reserved(t), reserved(t)
	k := &orphaned{config: c, n: n, token: mint(t, okta)}
	var url string
	k.backend, url = newBackend(t)
	k.apis = nil
	writeFile(t, k.file(), strings.NewReplacer("apis:\n", "", "grants:\n", "").Replace(k.text()), 0o600)
	fill(t, k.dir, url, n)
	cat, _, err := Load(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := envoy.Bootstrap(cat, "edge", envoy.BootstrapOptions{Admin: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	k.spawn(t)
	p := startEnvoyWith(t, bootstrap)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	gateway, err := p.ListenerAddr(ctx, "edge")
	if err != nil {
		t.Fatal(err)
	}
	k.caller = newCaller(gateway)
	t.Cleanup(k.caller.CloseIdleConnections)
	return k
}

func (k *orphaned) spawn(t *testing.T) {
	t.Helper()
	k.began = time.Now()
	k.child = (&edge{file: k.dir}).spawn(t)
}

// host is that of the last API, and of each hundredth before it.
func (k *orphaned) host() string { return fmt.Sprintf("h%d.example.com", (k.n-1)%100) }

// serving waits for the last API, while requests get one of these statuses.
func (k *orphaned) serving(t *testing.T, meanwhile ...int) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		switch a := k.caller.ask(k.host(), fmt.Sprintf("api-%d", k.n-1), k.token); {
		case a.status == 200:
			return
		case !slices.Contains(meanwhile, a.status) || time.Since(start) > 2*time.Minute:
			t.Fatalf("after %v: %+v", time.Since(start), a)
		}
	}
}

// current waits until Envoy is connected and has all.
func (k *orphaned) current(t *testing.T) {
	t.Helper()
	for start := time.Now(); !strings.Contains(scrape(t, k.ops), `state="current"`); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatal("Envoy does not have all")
		}
	}
}
