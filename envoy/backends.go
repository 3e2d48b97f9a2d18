package envoy

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/policy/catalog"
)

// systemCAFile is the bundle of authorities in Debian's and Alpine's place for it,
// which Envoy's own container images have, too. Envoy has no notion of a system
// store. Elsewhere an API names its file in backend.tls.ca_file.
const systemCAFile = "/etc/ssl/certs/ca-certificates.crt"

const (
	backendConnectWithin = 5 * time.Second

	// gRPC servers hang up on clients that ping more often than this, unless they are told
	// otherwise. A ping before the first request after a rest finds a dead peer sooner.
	backendPingEvery = 5 * time.Minute
	backendRest      = time.Minute

	// Tries again are at most this part of the requests under way, or this many: Envoy's
	// default of 3 is soon reached, and one without a limit would double the load of a
	// backend that fails because of it.
	maxRetryPercent = 20
	minRetries      = 10
)

// clusterName is the backend's origin, with what else decides how Envoy connects to
// it, so that clusters of one name are equal. Path and timeout belong to routes.
func clusterName(b catalog.Backend) string {
	name := b.URL.Scheme + "://" + net.JoinHostPort(b.URL.Hostname(), strconv.Itoa(int(catalog.PortOf(b.URL))))
	sep := "?"
	for _, p := range []struct{ key, value string }{
		{"protocol", alpn(b)},
		{"ca_file", escape(b.TLS.CAFile)},
		{"sans", strings.Join(escapeAll(b.TLS.SANs), ",")},
		{"cert_file", escape(b.TLS.CertFile)},
		{"key_file", escape(b.TLS.KeyFile)},
	} {
		if p.value != "" && p.value != http1 {
			name += sep + p.key + "=" + p.value
			sep = "&"
		}
	}
	return name
}

// escape keeps a value from being read as more than one.
func escape(value string) string { return escapes.Replace(value) }

var escapes = strings.NewReplacer("%", "%25", "&", "%26", ",", "%2C") // slow to make

func escapeAll(values []string) []string {
	var list []string
	for _, v := range values {
		list = append(list, escape(v))
	}
	return list
}

// Protocols as they are called in a handshake (RFC 7301).
const (
	http1 = "http/1.1"
	http2 = "h2"
)

func alpn(b catalog.Backend) string {
	if b.Protocol == catalog.HTTP2 || b.Protocol == catalog.GRPC {
		return http2
	}
	return http1
}

func backendCluster(name string, b catalog.Backend) (*clusterv3.Cluster, error) {
	host, port := b.URL.Hostname(), catalog.PortOf(b.URL)
	if host == "" || port == 0 {
		return nil, fmt.Errorf("%s has no host and port to connect to", b.URL)
	}
	c := &clusterv3.Cluster{
		Name:                          name,
		ConnectTimeout:                durationpb.New(backendConnectWithin),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(bufferBytes),
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			RetryBudget: &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
				BudgetPercent:       &typev3.Percent{Value: maxRetryPercent},
				MinRetryConcurrency: wrapperspb.UInt32(minRetries),
			},
		}}},
	}
	locate(c, []*corev3.Address{socket(host, uint32(port))})
	if alpn(b) == http2 {
		if err := speakHTTP2(c, backendHTTP2()); err != nil {
			return nil, err
		}
	}
	switch b.URL.Scheme {
	case "http":
		return c, nil
	case "https":
		tls := verifiedTLS(host, cmp.Or(b.TLS.CAFile, systemCAFile), alpn(b), b.TLS.SANs...)
		withCertificate(tls, b.TLS.CertFile, b.TLS.KeyFile)
		if err := encrypt(c, tls); err != nil {
			return nil, err
		}
		return c, nil
	default:
		return nil, fmt.Errorf("scheme %q is neither http nor https", b.URL.Scheme)
	}
}

// backendHTTP2 has the windows of the door: with Envoy's default of 16 MiB each slow reader
// could make it hold that much.
func backendHTTP2() *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{
		InitialStreamWindowSize:     wrapperspb.UInt32(streamWindowBytes),
		InitialConnectionWindowSize: wrapperspb.UInt32(connectionWindowBytes),
		ConnectionKeepalive: &corev3.KeepaliveSettings{
			Interval:               durationpb.New(backendPingEvery),
			Timeout:                durationpb.New(pongWithin),
			ConnectionIdleInterval: durationpb.New(backendRest),
		},
	}
}
