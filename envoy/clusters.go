package envoy

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
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

// systemCAFile is the bundle of authorities in Debian's and Alpine's place for it,
// which Envoy's own container images have, too. Envoy has no notion of a system
// store. Elsewhere an API names its file in backend.tls.ca_file.
const systemCAFile = "/etc/ssl/certs/ca-certificates.crt"

// Names of the clusters that lead to us; those of backends contain "://".
const (
	checkCluster = "authz"
	xdsCluster   = "xds"
)

const (
	backendConnectWithin = 5 * time.Second
	ourConnectWithin     = time.Second
	pingEvery            = 30 * time.Second
	pongWithin           = 5 * time.Second
	// Envoy's defaults of 1024 requests and 3 retries turn a burst into errors.
	maxChecks       = 10000
	maxCheckRetries = 100
)

// clusters lists, sorted by name, where checks go and each backend once, however many
// APIs it serves.
func clusters(cat *catalog.Catalogue) ([]*clusterv3.Cluster, error) {
	check, err := ourCluster(checkCluster, cat.Listeners.Check)
	if err != nil {
		return nil, fmt.Errorf("listeners.check: %w", err)
	}
	check.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxPendingRequests: wrapperspb.UInt32(maxChecks),
		MaxRequests:        wrapperspb.UInt32(maxChecks),
		MaxRetries:         wrapperspb.UInt32(maxCheckRetries),
		TrackRemaining:     true,
	}}}
	list := []*clusterv3.Cluster{check}
	written := make(map[string]bool)
	for _, api := range cat.APIs {
		name := clusterName(api.Backend)
		if written[name] {
			continue
		}
		written[name] = true
		c, err := backendCluster(name, api.Backend)
		if err != nil {
			return nil, fmt.Errorf("api %s: backend: %w", api.Name, err)
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *clusterv3.Cluster) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return list, nil
}

// clusterName is the backend's origin, with what else decides how Envoy connects to
// it. Path and timeout belong to routes.
func clusterName(b catalog.Backend) string {
	name := b.URL.Scheme + "://" + net.JoinHostPort(b.URL.Hostname(), strconv.Itoa(int(backendPort(b))))
	if b.CAFile != "" {
		name += "?ca_file=" + b.CAFile
	}
	return name
}

// backendPort returns the URL's port, or 0 for one that is no port.
func backendPort(b catalog.Backend) uint32 {
	switch port := b.URL.Port(); {
	case port != "":
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return 0
		}
		return uint32(n)
	case b.URL.Scheme == "https":
		return 443
	default:
		return 80
	}
}

func backendCluster(name string, b catalog.Backend) (*clusterv3.Cluster, error) {
	host, port := b.URL.Hostname(), backendPort(b)
	if host == "" || port == 0 {
		return nil, fmt.Errorf("%s has no host and port to connect to", b.URL)
	}
	c := &clusterv3.Cluster{
		Name:                          name,
		ConnectTimeout:                durationpb.New(backendConnectWithin),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(bufferBytes),
	}
	locate(c, []*corev3.Address{socket(host, port)})
	switch b.URL.Scheme {
	case "http":
		return c, nil
	case "https":
		if err := encrypt(c, verifiedTLS(host, cmp.Or(b.CAFile, systemCAFile), "http/1.1")); err != nil {
			return nil, err
		}
		return c, nil
	default:
		return nil, fmt.Errorf("scheme %q is neither http nor https", b.URL.Scheme)
	}
}

// verifiedTLS trusts a certificate of the authorities in caFile that names the host. A
// chain alone would let every other holder of a certificate pose as the server.
func verifiedTLS(host, caFile, protocol string) *tlsv3.UpstreamTlsContext {
	sanType, sni := tlsv3.SubjectAltNameMatcher_DNS, host
	if _, err := netip.ParseAddr(host); err == nil {
		sanType, sni = tlsv3.SubjectAltNameMatcher_IP_ADDRESS, "" // RFC 6066, section 3: no addresses
	}
	return &tlsv3.UpstreamTlsContext{
		Sni: sni,
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams:     &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
			AlpnProtocols: []string{protocol},
			ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{
				ValidationContext: &tlsv3.CertificateValidationContext{
					TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: caFile}},
					MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
						SanType: sanType,
						Matcher: exactly(host),
					}},
				},
			},
		},
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
func ourTLS(e catalog.EnvoyTLS) (*tlsv3.UpstreamTlsContext, error) {
	if e.ServerName == "" || e.CAFile == "" {
		return nil, errors.New("tls: Envoy could not tell whose certificate it sees")
	}
	tls := verifiedTLS(e.ServerName, e.CAFile, "h2")
	if e.CertFile != "" {
		tls.CommonTlsContext.TlsCertificates = []*tlsv3.TlsCertificate{{
			CertificateChain: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: e.CertFile}},
			PrivateKey:       &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: e.KeyFile}},
		}}
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
	protocol, err := http2()
	if err != nil {
		return nil, fmt.Errorf("http/2: %w", err)
	}
	c := &clusterv3.Cluster{
		Name:           name,
		ConnectTimeout: durationpb.New(ourConnectWithin),
		TypedExtensionProtocolOptions: map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol,
		},
	}
	locate(c, addresses)
	if l.TLS == nil {
		return c, nil
	}
	tls, err := ourTLS(l.TLS.Envoy)
	if err != nil {
		return nil, err
	}
	return c, encrypt(c, tls)
}

// http2 pings, so that a peer that vanished without a word is noticed.
func http2() (*anypb.Any, error) {
	return pack(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
						ConnectionKeepalive: &corev3.KeepaliveSettings{
							Interval: durationpb.New(pingEvery),
							Timeout:  durationpb.New(pongWithin),
						},
					},
				},
			},
		},
	})
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
