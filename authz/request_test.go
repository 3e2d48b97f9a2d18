package authz_test

import (
	"io"
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
)

// TestSourceIP is the peer's as Envoy has it, whatever headers say.
func TestSourceIP(t *testing.T) {
	t.Parallel()
	cfg := vault()
	cfg.Apis[1].Operations[0].Rule = `request.source_ip == "192.0.2.7" || request.source_ip == "2001:db8::1"`
	srv := newServer(t, io.Discard, prometheus.NewRegistry(), vaultOkta)
	srv.Swap(generation(t, cfg, answers(vaultOkta)))
	for address, want := range map[string]bool{
		"192.0.2.7": true, "::ffff:192.0.2.7": true, "2001:DB8:0::1": true,
		"192.0.2.8": false, "": false, "/run/envoy.sock": false, "192.0.2.7:80": false, "192.0.2.07": false, "2001:db8::1%eth0": false,
	} {
		c := get(func(c *call) { c.api, c.path = "vault", "/vault/items" }, header("x-forwarded-for", "192.0.2.7"), header("x-real-ip", "192.0.2.7"))
		req := c.request()
		req.Attributes.Source = &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: address},
		}}}
		if got := mustBeWellFormed(t, check(t, srv, req)); got != want {
			t.Errorf("%q: allowed is %t", address, got)
		}
	}
}

// TestProofsReachTheChecker: every value of the DPoP header, in order, and without a
// checker nobody.
func TestProofsReachTheChecker(t *testing.T) {
	t.Parallel()
	var seen [][]string
	g := generation(t, vault(), answers(vaultOkta))
	g.Prove = func(p token.Proof) error {
		seen = append(seen, p.Headers)
		return nil
	}
	srv := newServer(t, io.Discard, prometheus.NewRegistry(), vaultOkta)
	srv.Swap(g)
	for _, row := range []denyRow{
		dpop("bound-to-a-key", "one"),
		func(c *call) { dpop("bound-to-a-key", "one")(c); header("DPoP", "two")(c) },
		func(c *call) { c.headers[0][1] = "DPoP bound-to-a-key" },
	} {
		if !mustBeWellFormed(t, check(t, srv, row.ask("GET", ""))) {
			t.Error("denied")
		}
	}
	if len(seen) != 3 || !slices.Equal(seen[0], []string{"one"}) || !slices.Equal(seen[1], []string{"one", "two"}) || len(seen[2]) != 0 {
		t.Errorf("the checker got %q", seen)
	}
	g = generation(t, vault(), answers(vaultOkta))
	srv.Swap(g)
	mustDeny(t, check(t, srv, denyRow(dpop("bound-to-a-key", "one")).ask("GET", "")), 503, contract.Internal)
}
