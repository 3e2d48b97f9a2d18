package envoy

import (
	"fmt"
	"path/filepath"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/durward/durward/policy/catalog"
)

// sdsCluster leads to the server of the gateway's certificate, where there is one.
const sdsCluster = "sds"

// doorTLS proves to callers who the gateway is. There is one certificate and one chain of
// filters whatever name a caller asks for, so that no other name leads around a policy. The
// certificate comes apart from the listener, which does not change with it.
func doorTLS(gw *catalog.Gateway) (*corev3.TransportSocket, error) {
	if gw.TLS == nil {
		return nil, nil
	}
	certificate := &tlsv3.SdsSecretConfig{Name: gw.Name, SdsConfig: fromADS()}
	if gw.TLS.SDSAddress != "" {
		certificate = &tlsv3.SdsSecretConfig{Name: gw.TLS.SDSSecret, SdsConfig: fromSDS()}
	}
	return serverTLS(gw.TLS, &tlsv3.CommonTlsContext{TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{certificate}})
}

// filesTLS is doorTLS for an Envoy that is told of no secrets.
func filesTLS(gw *catalog.Gateway) (*corev3.TransportSocket, error) {
	return serverTLS(gw.TLS, &tlsv3.CommonTlsContext{TlsCertificates: []*tlsv3.TlsCertificate{{
		CertificateChain: file(gw.TLS.CertFile), PrivateKey: file(gw.TLS.KeyFile),
	}}})
}

// serverTLS completes a context that has the certificate.
func serverTLS(tls *catalog.GatewayTLS, common *tlsv3.CommonTlsContext) (*corev3.TransportSocket, error) {
	minimum := tlsv3.TlsParameters_TLSv1_2
	if tls.MinVersion == "1.3" {
		minimum = tlsv3.TlsParameters_TLSv1_3
	}
	common.TlsParams = &tlsv3.TlsParameters{TlsMinimumProtocolVersion: minimum}
	common.AlpnProtocols = []string{"h2", "http/1.1"}
	typed, err := pack(&tlsv3.DownstreamTlsContext{CommonTlsContext: common})
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed},
	}, nil
}

// secrets tells Envoy in which files the gateway's certificate is: no key is in it. Envoy
// reads them again when something is renamed in their directory.
func secrets(gw *catalog.Gateway) ([]*tlsv3.Secret, error) {
	if gw.TLS == nil || gw.TLS.SDSAddress != "" {
		return nil, nil
	}
	s := &tlsv3.Secret{Name: gw.Name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: file(gw.TLS.CertFile),
		PrivateKey:       file(gw.TLS.KeyFile),
		WatchedDirectory: &corev3.WatchedDirectory{Path: filepath.Dir(gw.TLS.CertFile)},
	}}}
	if err := s.ValidateAll(); err != nil {
		return nil, fmt.Errorf("secret %s: %w", s.GetName(), err)
	}
	return []*tlsv3.Secret{s}, nil
}

func file(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}

// toSDS is nil where the gateway asks no such server.
func toSDS(gw *catalog.Gateway) (*clusterv3.Cluster, error) {
	if gw.TLS == nil || gw.TLS.SDSAddress == "" {
		return nil, nil
	}
	c, err := ourCluster(sdsCluster, catalog.Listener{Address: gw.TLS.SDSAddress})
	if err != nil {
		return nil, fmt.Errorf("tls.sds: %w", err)
	}
	// It is somebody else's, and may hang up on whom pings as often as we allow.
	return c, speakHTTP2(c, backendHTTP2())
}

func fromSDS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
			ApiType:                   corev3.ApiConfigSource_GRPC,
			TransportApiVersion:       corev3.ApiVersion_V3,
			SetNodeOnFirstMessageOnly: true,
			GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: sdsCluster},
			}}},
		}},
	}
}
