package envoy

import (
	"fmt"
	"path"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/durward/durward/policy/catalog"
)

// Secrets returns, by name, the files that belong into each secrets_dir. Envoy watches the
// certificate files that such a file names; those that a cluster names it reads but once.
// There are names of files in them and no secret, and they change only when those names do.
// Where no listener has a secrets_dir there are none.
func Secrets(cat *catalog.Catalogue) (map[string][]byte, error) {
	files := make(map[string][]byte)
	for cluster, l := range map[string]catalog.Listener{checkCluster: cat.Listeners.Check, xdsCluster: cat.Listeners.XDS} {
		if l.TLS == nil || l.TLS.Envoy.SecretsDir == "" {
			continue
		}
		for _, secret := range secretsOf(cluster, l.TLS.Envoy) {
			packed, err := pack(secret)
			if err != nil {
				return nil, fmt.Errorf("secrets: %w", err)
			}
			// Envoy takes one secret from a file, and refuses more.
			text, err := writeJSON(&discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{packed}})
			if err != nil {
				return nil, fmt.Errorf("secrets: %w", err)
			}
			files[secret.GetName()+".json"] = text
		}
	}
	return files, nil
}

func secretsOf(cluster string, e catalog.EnvoyTLS) []*tlsv3.Secret {
	all := []*tlsv3.Secret{{
		Name: authoritiesIn(cluster),
		Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: file(e.CAFile)}},
	}}
	if e.CertFile != "" {
		pair := &tlsv3.TlsCertificate{CertificateChain: file(e.CertFile), PrivateKey: file(e.KeyFile)}
		all = append(all, &tlsv3.Secret{Name: certificateIn(cluster), Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: pair}})
	}
	return all
}

func authoritiesIn(cluster string) string { return cluster + "-ca" }

func certificateIn(cluster string) string { return cluster + "-certificate" }

// watched makes a cluster take its files on whenever they change: what they are named
// moves to the secrets_dir, and only whom the certificate must name stays.
func watched(tls *tlsv3.UpstreamTlsContext, cluster string, e catalog.EnvoyTLS) {
	common := tls.GetCommonTlsContext()
	stays := proto.CloneOf(common.GetValidationContext())
	stays.TrustedCa = nil
	common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
		CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         stays,
			ValidationContextSdsSecretConfig: secretIn(e.SecretsDir, authoritiesIn(cluster)),
		},
	}
	if e.CertFile != "" {
		common.TlsCertificates = nil
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{secretIn(e.SecretsDir, certificateIn(cluster))}
	}
}

func secretIn(dir, name string) *tlsv3.SdsSecretConfig {
	file := path.Join(dir, name+".json")
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{Path: file}},
	}}
}
