package envoy

import (
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/durward/durward/policy/catalog"
)

func drawBackend(t *rapid.T) catalog.Backend {
	text := func(label string) string {
		return rapid.SampledFrom([]string{"", "a", "b", "a,b", "a&sans=b", "a%2Cb", "a%26"}).Draw(t, label)
	}
	b := literalAPI("a", "/", rapid.SampledFrom([]string{"http://a", "http://a:80/v1", "https://a", "https://a:443", "https://b"}).Draw(t, "url"), "*").Backends[0]
	b.Protocol = rapid.SampledFrom([]catalog.Protocol{catalog.HTTP1, catalog.HTTP2, catalog.GRPC}).Draw(t, "protocol")
	b.Retries, b.Weight = rapid.IntRange(0, 1).Draw(t, "retries"), rapid.IntRange(1, 2).Draw(t, "weight")
	if b.URL.Scheme == "https" {
		b.TLS = catalog.BackendTLS{CAFile: text("ca")}
		if rapid.Bool().Draw(t, "own") {
			b.TLS.CertFile, b.TLS.KeyFile = "x"+text("cert"), "y"+text("key")
		}
		b.TLS.SANs = rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y", "x,y", "spiffe://x/y&z", "192.0.2.1"}), 0, 2).Draw(t, "sans")
	}
	return b
}

// Backends share a cluster exactly if Envoy connects to them in one way.
func TestClusterNameTellsClustersApart(t *testing.T) {
	t.Parallel()
	same := 0
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawBackend(t), drawBackend(t)
		first, err := backendCluster("", a)
		if err != nil {
			t.Fatal(err)
		}
		second, err := backendCluster("", b)
		if err != nil {
			t.Fatal(err)
		}
		equal := proto.Equal(first, second)
		if named := clusterName(a) == clusterName(b); named != equal {
			t.Fatalf("%s and %s name clusters of which to be equal is %v", clusterName(a), clusterName(b), equal)
		}
		if equal {
			same++
		}
	})
	if same == 0 {
		t.Error("no two were equal")
	}
}

func TestBackendTLS(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		url  string
		tls  catalog.BackendTLS
		sni  string
		ca   string
		want map[string]tlsv3.SubjectAltNameMatcher_SanType
	}{
		"host":    {"https://a.internal", catalog.BackendTLS{}, "a.internal", systemCAFile, map[string]tlsv3.SubjectAltNameMatcher_SanType{"a.internal": tlsv3.SubjectAltNameMatcher_DNS}},
		"address": {"https://[2001:db8::1]", catalog.BackendTLS{CAFile: "/ca"}, "", "/ca", map[string]tlsv3.SubjectAltNameMatcher_SanType{"2001:db8::1": tlsv3.SubjectAltNameMatcher_IP_ADDRESS}},
		"names": {"https://a.internal", catalog.BackendTLS{SANs: []string{"192.0.2.1", "b.internal", "spiffe://c/d", "urn:e"}}, "a.internal", systemCAFile, map[string]tlsv3.SubjectAltNameMatcher_SanType{
			"b.internal": tlsv3.SubjectAltNameMatcher_DNS, "192.0.2.1": tlsv3.SubjectAltNameMatcher_IP_ADDRESS,
			"spiffe://c/d": tlsv3.SubjectAltNameMatcher_URI, "urn:e": tlsv3.SubjectAltNameMatcher_URI,
		}},
	} {
		b := literalAPI("a", "/", tt.url, "*").Backends[0]
		b.TLS = tt.tls
		c, err := backendCluster("x", b)
		if err != nil {
			t.Fatal(err)
		}
		var got tlsv3.UpstreamTlsContext
		if err := c.GetTransportSocket().GetTypedConfig().UnmarshalTo(&got); err != nil {
			t.Fatal(err)
		}
		sans := make(map[string]tlsv3.SubjectAltNameMatcher_SanType)
		for _, m := range got.GetCommonTlsContext().GetValidationContext().GetMatchTypedSubjectAltNames() {
			sans[m.GetMatcher().GetExact()] = m.GetSanType()
		}
		if diff := cmp.Diff(tt.want, sans); diff != "" || got.GetSni() != tt.sni || got.GetCommonTlsContext().GetValidationContext().GetTrustedCa().GetFilename() != tt.ca {
			t.Errorf("%s: %v\n%s", name, &got, diff)
		}
	}
}
