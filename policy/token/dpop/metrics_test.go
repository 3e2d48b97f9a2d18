package dpop

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/durward/durward/policy/token"
)

// TestMetrics: each result is counted by its name, and only what passed is remembered.
func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	k, clock := checker(t, Config{MaxProofs: 2, MaxProofsPerKey: 2, Metrics: registry})
	good := usual(signed(t, noon))
	changed := func(change func(*token.Proof)) token.Proof {
		p := usual(signed(t, noon))
		change(&p)
		return p
	}
	for _, p := range []token.Proof{
		good, good, usual(),
		changed(func(p *token.Proof) { p.KeyThumbprint = "x" }),
		changed(func(p *token.Proof) { p.Method = "PUT" }),
		changed(func(p *token.Proof) { p.URLs = nil }),
		changed(func(p *token.Proof) { p.Token = token.Token{} }),
		changed(func(p *token.Proof) { p.Headers[0] = p.Headers[0][:len(p.Headers[0])-8] + "AAAAAAAA" }),
		usual(signed(t, noon.Add(-time.Hour))), usual(signed(t, noon)), usual(signed(t, noon)),
	} {
		_ = k.Check(p)
	}
	want := `
# HELP durward_dpop_proofs_remembered Used DPoP proofs that are remembered until they are too old to be used again.
# TYPE durward_dpop_proofs_remembered gauge
durward_dpop_proofs_remembered 2
# HELP durward_dpop_proofs_total DPoP proofs that were checked, by result.
# TYPE durward_dpop_proofs_total counter
durward_dpop_proofs_total{result="accepted"} 2
`
	for _, name := range results[1:] {
		want += `durward_dpop_proofs_total{result="` + name + "\"} 1\n"
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	clock.set(noon.Add(time.Hour))
	want = strings.Replace(want, "remembered 2", "remembered 0", 1)
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
