package envoy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/policy/catalog"
)

// Names of the clusters that lead to us; those of backends contain "://".
const (
	checkCluster = "authz"
	xdsCluster   = "xds"
)

const (
	ourConnectWithin = time.Second
	pingEvery        = 30 * time.Second
	pongWithin       = 5 * time.Second
	// Envoy's defaults of 1024 requests and 3 retries turn a burst into errors.
	maxChecks       = 10000
	maxCheckRetries = 100
)

// toChecks leads to where checks go.
func toChecks(l catalog.Listener) (*clusterv3.Cluster, error) {
	check, err := ourCluster(checkCluster, l)
	if err != nil {
		return nil, fmt.Errorf("listeners.check: %w", err)
	}
	check.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxPendingRequests: wrapperspb.UInt32(maxChecks),
		MaxRequests:        wrapperspb.UInt32(maxChecks),
		MaxRetries:         wrapperspb.UInt32(maxCheckRetries),
		TrackRemaining:     true,
	}}}
	return check, nil
}

// verifiedTLS trusts a certificate of the authorities in caFile that holds one of the
// names, or the host where there are none. A chain alone would let every other holder of
// a certificate pose as the server.
func verifiedTLS(host, caFile, protocol string, names ...string) *tlsv3.UpstreamTlsContext {
	if len(names) == 0 {
		names = []string{host}
	}
	var matchers []*tlsv3.SubjectAltNameMatcher
	for _, name := range names {
		matchers = append(matchers, &tlsv3.SubjectAltNameMatcher{SanType: sanType(name), Matcher: exactly(name)})
	}
	sni := host
	if sanType(host) == tlsv3.SubjectAltNameMatcher_IP_ADDRESS {
		sni = "" // RFC 6066, section 3: no addresses
	}
	return &tlsv3.UpstreamTlsContext{
		Sni: sni,
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams:     &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
			AlpnProtocols: []string{protocol},
			ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{
				ValidationContext: &tlsv3.CertificateValidationContext{
					TrustedCa:                 file(caFile),
					MatchTypedSubjectAltNames: matchers,
				},
			},
		},
	}
}

func sanType(name string) tlsv3.SubjectAltNameMatcher_SanType {
	switch _, err := netip.ParseAddr(name); {
	case err == nil:
		return tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	case strings.Contains(name, ":"):
		return tlsv3.SubjectAltNameMatcher_URI
	default:
		return tlsv3.SubjectAltNameMatcher_DNS
	}
}

// withCertificate makes Envoy prove itself where it is asked to.
func withCertificate(tls *tlsv3.UpstreamTlsContext, certFile, keyFile string) {
	if certFile != "" {
		tls.CommonTlsContext.TlsCertificates = []*tlsv3.TlsCertificate{{CertificateChain: file(certFile), PrivateKey: file(keyFile)}}
	}
}

// encrypt makes Envoy connect to the cluster with TLS.
func encrypt(c *clusterv3.Cluster, tls *tlsv3.UpstreamTlsContext) error {
	typed, err := pack(tls)
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	c.TransportSocket = &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed},
	}
	return nil
}

// ourTLS believes the certificate that the listener has, and shows Envoy's own where it
// is asked for.
func ourTLS(cluster string, e catalog.EnvoyTLS) (*tlsv3.UpstreamTlsContext, error) {
	if e.ServerName == "" || e.CAFile == "" {
		return nil, errors.New("tls: Envoy could not tell whose certificate it sees")
	}
	tls := verifiedTLS(e.ServerName, e.CAFile, http2)
	withCertificate(tls, e.CertFile, e.KeyFile)
	if e.SecretsDir != "" {
		watched(tls, cluster, e)
	}
	return tls, nil
}

// ourCluster leads to one of our own gRPC ports, with an endpoint for each address
// under which it is advertised.
func ourCluster(name string, l catalog.Listener) (*clusterv3.Cluster, error) {
	dials := l.Advertise
	if len(dials) == 0 {
		dials = []string{l.Address}
	}
	var addresses []*corev3.Address
	for _, s := range dials {
		a, err := dialAddress(s)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, a)
	}
	c := &clusterv3.Cluster{Name: name, ConnectTimeout: durationpb.New(ourConnectWithin)}
	// Pings, so that a peer that vanished without a word is noticed.
	err := speakHTTP2(c, &corev3.Http2ProtocolOptions{
		ConnectionKeepalive: &corev3.KeepaliveSettings{Interval: durationpb.New(pingEvery), Timeout: durationpb.New(pongWithin)},
	})
	if err != nil {
		return nil, err
	}
	locate(c, addresses)
	if l.TLS == nil {
		return c, nil
	}
	tls, err := ourTLS(name, l.TLS.Envoy)
	if err != nil {
		return nil, err
	}
	return c, encrypt(c, tls)
}

func speakHTTP2(c *clusterv3.Cluster, options *corev3.Http2ProtocolOptions) error {
	typed, err := pack(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: options},
			},
		},
	})
	if err != nil {
		return fmt.Errorf("http/2: %w", err)
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed}
	return nil
}

// locate gives a cluster its endpoints. Where one of them is a name, Envoy resolves
// all of them, and keeps asking; it prefers IPv4 because many a name, localhost first
// of all, has an IPv6 address that nobody listens on.
func locate(c *clusterv3.Cluster, addresses []*corev3.Address) {
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
	if slices.ContainsFunc(addresses, isName) {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
		c.DnsLookupFamily = clusterv3.Cluster_V4_PREFERRED
	}
	endpoints := new(endpointv3.LocalityLbEndpoints)
	for _, a := range addresses {
		endpoints.LbEndpoints = append(endpoints.LbEndpoints, &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: a}},
		})
	}
	c.LoadAssignment = &endpointv3.ClusterLoadAssignment{
		ClusterName: c.GetName(),
		Endpoints:   []*endpointv3.LocalityLbEndpoints{endpoints},
	}
}
