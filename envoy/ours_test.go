package envoy

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/catalog"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// Both clusters that lead to us verify whom they meet, and show who Envoy is.
func TestOurClustersSpeakTLS(t *testing.T) {
	t.Parallel()
	cfg := small()
	cfg.Listeners.Check = &durwardv1.Listener{Address: "0.0.0.0:9001", Tls: mutual()}
	cat := compile(t, cfg)
	for name, l := range map[string]catalog.Listener{checkCluster: cat.Listeners.Check, xdsCluster: cat.Listeners.XDS} {
		c, err := ourCluster(name, l)
		if err != nil {
			t.Fatal(err)
		}
		tls := tlsOf(t, c)
		verifies(t, tls)
		san := tls.GetCommonTlsContext().GetValidationContext().GetMatchTypedSubjectAltNames()[0]
		if san.GetMatcher().GetExact() != "durward.internal" || san.GetSanType() != tlsv3.SubjectAltNameMatcher_DNS || tls.GetSni() != "durward.internal" {
			t.Errorf("%s: expects %v, asks for %q", name, san, tls.GetSni())
		}
		if diff := cmp.Diff([]string{"h2"}, tls.GetCommonTlsContext().GetAlpnProtocols()); diff != "" {
			t.Errorf("%s: ALPN (-want +got):\n%s", name, diff)
		}
		shown := tls.GetCommonTlsContext().GetTlsCertificates()
		if len(shown) != 1 || shown[0].GetCertificateChain().GetFilename() != "/etc/envoy/cert.pem" || shown[0].GetPrivateKey().GetFilename() != "/etc/envoy/key.pem" {
			t.Errorf("%s: shows %v", name, shown)
		}
	}
}

// Where nobody asks for Envoy's certificate it shows none, and an address is expected as
// an address.
func TestOurClusterOfAnAddress(t *testing.T) {
	t.Parallel()
	c, err := ourCluster(checkCluster, catalog.Listener{Address: "127.0.0.1:9001", TLS: &catalog.ListenerTLS{
		Envoy: catalog.EnvoyTLS{CAFile: "/ca.pem", ServerName: "127.0.0.1"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	tls := tlsOf(t, c)
	verifies(t, tls)
	san := tls.GetCommonTlsContext().GetValidationContext().GetMatchTypedSubjectAltNames()[0]
	if len(tls.GetCommonTlsContext().GetTlsCertificates()) != 0 || san.GetSanType() != tlsv3.SubjectAltNameMatcher_IP_ADDRESS || tls.GetSni() != "" {
		t.Errorf("TLS is %v", tls)
	}
}

func tlsOf(t *testing.T, c *clusterv3.Cluster) *tlsv3.UpstreamTlsContext {
	t.Helper()
	tls := new(tlsv3.UpstreamTlsContext)
	if err := c.GetTransportSocket().GetTypedConfig().UnmarshalTo(tls); err != nil {
		t.Fatal(err)
	}
	return tls
}
