package serve

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/envoy"
)

// faultEnvoyRestarts (F19): one real Envoy after another ends and begins anew, with
// nothing but its bootstrap. Each serves soon, and we keep nothing of those before.
func faultEnvoyRestarts(t *testing.T) {
	okta, c := newOrg(t)
	backend, url := newBackend(t)
	fill(t, c.dir, url, 400)
	c.apis = nil
	writeFile(t, c.file(), strings.NewReplacer("apis:\n", "", "grants:\n", "").Replace(c.text()), 0o600)
	s, _ := beginAt(t, c.dir)
	ready(t, s)
	token := mint(t, okta)
	bootstrap, err := envoy.Bootstrap(s.Catalogue(), "edge", envoy.BootstrapOptions{Admin: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	var worst time.Duration
	for n := range 10 {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			start := time.Now()
			p := startEnvoyWith(t, bootstrap)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			gateway, err := p.ListenerAddr(ctx, "edge")
			if err != nil {
				t.Fatal(err)
			}
			one := newCaller(gateway)
			defer one.CloseIdleConnections()
			eventually(t, "it serves", func() bool { return one.ask("h99.example.com", "api-399", token).status == 200 })
			worst = max(worst, time.Since(start))
			if n := len(s.ads.Status().Envoys); n != 1 {
				t.Errorf("%d Envoys are kept", n)
			}
		})
		eventually(t, "it is gone", func() bool { return len(s.ads.Status().Envoys) == 0 })
	}
	t.Logf("the slowest of 10 Envoys served %s after its start", ms(worst))
	if worst > 10*time.Second || backend.unguarded > 0 {
		t.Errorf("an Envoy took %v to serve; %d requests came unguarded", worst, backend.unguarded)
	}
}
