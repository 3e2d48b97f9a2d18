package envoy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/durward/durward/policy/catalog"
)

// Where Envoy watches its files, the cluster names none of them but their secrets, and keeps
// to whom the certificate must name; the files of the secrets have one each.
func TestWatchedCertificates(t *testing.T) {
	t.Parallel()
	e := catalog.EnvoyTLS{CertFile: "/c.pem", KeyFile: "/k.pem", CAFile: "/ca.pem", ServerName: "durward.internal", SecretsDir: "/secrets"}
	l := catalog.Listener{Address: "127.0.0.1:9001", TLS: &catalog.ListenerTLS{Envoy: e}}
	c, err := ourCluster(checkCluster, l)
	if err != nil {
		t.Fatal(err)
	}
	var tls tlsv3.UpstreamTlsContext
	if err := c.GetTransportSocket().GetTypedConfig().UnmarshalTo(&tls); err != nil {
		t.Fatal(err)
	}
	common := tls.GetCommonTlsContext()
	combined := common.GetCombinedValidationContext()
	matchers := combined.GetDefaultValidationContext().GetMatchTypedSubjectAltNames()
	if len(common.GetTlsCertificates()) != 0 || combined.GetDefaultValidationContext().GetTrustedCa() != nil {
		t.Errorf("the cluster names files: %v", common)
	}
	if len(matchers) != 1 || matchers[0].GetMatcher().GetExact() != e.ServerName || tls.GetSni() != e.ServerName {
		t.Errorf("who the certificate must name: %v", matchers)
	}

	files, err := Secrets(&catalog.Catalogue{Listeners: catalog.Listeners{Check: l}})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []*tlsv3.SdsSecretConfig{combined.GetValidationContextSdsSecretConfig(), common.GetTlsCertificateSdsSecretConfigs()[0]} {
		path := secret.GetSdsConfig().GetPathConfigSource().GetPath()
		var found struct{ Resources []struct{ Name string } }
		if err := json.Unmarshal(files[strings.TrimPrefix(path, "/secrets/")], &found); err != nil || len(found.Resources) != 1 || found.Resources[0].Name != secret.GetName() {
			t.Errorf("%s has %+v, want %s: %v", path, found, secret.GetName(), err)
		}
	}
	if names := slices.Sorted(maps.Keys(files)); !slices.Equal(names, []string{"authz-ca.json", "authz-certificate.json"}) {
		t.Errorf("files %v", names)
	}

	e.SecretsDir = ""
	l.TLS = &catalog.ListenerTLS{Envoy: e}
	if files, err = Secrets(&catalog.Catalogue{Listeners: catalog.Listeners{Check: l, XDS: l}}); err != nil || len(files) != 0 {
		t.Errorf("without a directory: %v, %v", files, err)
	}
}
