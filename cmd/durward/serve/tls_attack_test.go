package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"

	// Their services are known only where they are linked.
	_ "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/extension/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/health/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
)

// ownPorts holds the rows that are about who may call our own ports, all at one server.
func ownPorts(t *testing.T) {
	t.Helper()
	okta, c := newSecured(t)
	const edge = `name: edge, listen: "127.0.0.1:0", `
	c.replace = strings.NewReplacer(
		"gateways: [ { "+edge, fmt.Sprintf(`gateways: [ { name: inner, listen: "127.0.0.1:0", url: "http://127.0.0.1:10001", allowed_sans: [%q] }, { `, envoyName)+edge+fmt.Sprintf("allowed_sans: [%q], ", envoyURI),
	)
	c.write(t)
	s, _ := begin(t, c.config)
	ports := map[string]string{"check": s.Catalogue().Listeners.Check.Address, "xds": s.Catalogue().Listeners.XDS.Address}
	intruders := c.intruders(t)

	t.Run("G01", func(t *testing.T) {
		t.Parallel()
		const method = "/envoy.service.auth.v3.Authorization/Check"
		for name, conn := range intruders(ports["check"]) {
			if got := call(t, conn, method); got != codes.Unavailable {
				t.Errorf("%s: %v", name, got)
			}
		}
		token := mint(t, okta)
		for name, cert := range map[string]tls.Certificate{
			"URI": c.envoy, "DNS name": c.clients.issue(t, dnsName("other.internal", envoyName)),
		} {
			if got := ask(t, c.dialAs(t, ports["check"], cert), "orders", "/orders/7", token); got != "allow" {
				t.Errorf("Envoy by its %s: %s", name, got)
			}
		}
	})
	t.Run("G02", func(t *testing.T) {
		t.Parallel()
		if n := len(discovery()); n < 30 {
			t.Fatalf("%d methods of discovery are known", n)
		}
		good := c.dialAs(t, ports["xds"], c.envoy)
		conns := intruders(ports["xds"])
		for name, conn := range conns {
			for _, method := range discovery() {
				if got := call(t, conn, method); got != codes.Unavailable {
					t.Errorf("%s: %s: %v", name, method, got)
				}
			}
		}
		eventually(t, "all intruders are counted", func() bool {
			return metric(t, s.OpsAddress(), `durward_listener_handshakes_refused_total{listener="xds"}`) >= float64(len(conns))
		})
		for _, method := range discovery() {
			want := codes.Unimplemented
			if method == deltaADS {
				want = codes.NotFound // the one that is served, and we name no gateway
			}
			if got := call(t, good, method); got != want {
				t.Errorf("Envoy: %s: %v, want %v", method, got, want)
			}
		}
		// One tenant's Envoy, by a certificate that the port accepts, asks for the other's.
		tenants := map[string]*grpc.ClientConn{"edge": good, "inner": c.dialAs(t, ports["xds"], c.clients.issue(t, dnsName(envoyName)))}
		denied := 0.0
		for own, conn := range tenants {
			for gateway := range tenants {
				want := codes.OK
				if gateway != own {
					want = codes.PermissionDenied
					denied += float64(len(typesServed))
				}
				for _, kind := range typesServed {
					if got := asksFor(t, conn, gateway, kind); got != want {
						t.Errorf("the Envoy of %s asks for the %s of %s: %v, want %v", own, kind, gateway, got, want)
					}
				}
			}
		}
		if got := metric(t, s.OpsAddress(), "durward_xds_denied_streams_total"); got != denied {
			t.Errorf("%v denied streams are counted, of %v", got, denied)
		}
	})
	t.Run("G10", func(t *testing.T) {
		t.Parallel()
		for name, address := range ports {
			// Suites alone keep old versions out of gRPC today.
			if config := s.guards[name].serving.Load().config; config.MinVersion != tls.VersionTLS12 || !config.SessionTicketsDisabled {
				t.Errorf("%s: from version %x, without tickets: %t", name, config.MinVersion, config.SessionTicketsDisabled)
			}
			for what, tt := range map[string]struct {
				config *tls.Config
				ok     bool
			}{
				"TLS 1.0":            {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, false},
				"TLS 1.1":            {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
				"CBC":                {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
				"no forward secrecy": {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, false},
				"TLS 1.2":            {&tls.Config{MaxVersion: tls.VersionTLS12}, true},
				"TLS 1.3":            {&tls.Config{MinVersion: tls.VersionTLS13}, true},
			} {
				if err := c.shake(t, address, tt.config); (err == nil) != tt.ok {
					t.Errorf("%s: %s: %v", name, what, err)
				}
			}
			if got := call(t, dial(t, address), deltaADS); got != codes.Unavailable {
				t.Errorf("%s in plaintext: %v", name, got)
			}
		}
		for _, port := range []string{"check", "xds"} {
			plain := c.config
			plain.dir = t.TempDir()
			for what, text := range map[string]string{
				"plaintext": "",
				"no client certificates": ", tls: { cert_file: " + c.dir + "/port, key_file: " + c.dir + "/port-key, envoy: { ca_file: /ca, server_name: " +
					ourName + " } }",
			} {
				writeFile(t, plain.file(), strings.Replace(plain.text(), port+`: { address: "127.0.0.1:0"`, port+`: { address: "0.0.0.0:0"`+text, 1), 0o600)
				var config *ConfigError
				if err := refused(t, plain); !errors.As(err, &config) || config.Findings[0].Code != "DW405" {
					t.Errorf("%s off loopback: %s: error %v, want DW405", port, what, err)
				}
			}
		}
	})
	t.Run("G11", func(t *testing.T) {
		t.Parallel()
		for name, address := range ports {
			conn := c.dialAs(t, address, c.envoy)
			for _, method := range []string{
				"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
				"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
				"/grpc.channelz.v1.Channelz/GetServers",
				"/grpc.channelz.v1.Channelz/GetTopChannels",
				"/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus",
				"/envoy.service.status.v3.ClientStatusDiscoveryService/StreamClientStatus",
				"/envoy.service.auth.v3.Authorization/Other",
				"/envoy.service.auth.v2.Authorization/Check",
				"/no.Service/Method",
			} {
				if got := call(t, conn, method); got != codes.Unimplemented {
					t.Errorf("%s: %s: %v", name, method, got)
				}
			}
		}
		for _, path := range []string{"/debug/pprof/", "/debug/vars", "/config_dump", "/config", "/"} {
			if got, _ := get(t, s, path); got != http.StatusNotFound {
				t.Errorf("ops: %s: %d", path, got)
			}
		}
	})
}

// intruders returns connections of clients that may not call, to a port.
func (c *secured) intruders(t *testing.T) func(address string) map[string]*grpc.ClientConn {
	t.Helper()
	strangers := newSigner(t)
	named := uriName(t, envoyURI)
	certs := map[string]tls.Certificate{
		"no certificate":    {},
		"wrong authority":   strangers.issue(t, named),
		"our own authority": c.ours.issue(t, named),
		"expired":           c.clients.issue(t, func(c *x509.Certificate) { named(c); c.NotAfter = time.Now().Add(-time.Minute) }),
		"not yet valid":     c.clients.issue(t, func(c *x509.Certificate) { named(c); c.NotBefore = time.Now().Add(12 * time.Hour) }),
		"for servers":       c.clients.issue(t, func(c *x509.Certificate) { named(c); c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"another name":      c.clients.issue(t, dnsName("other.internal")),
		"no name":           c.clients.issue(t, func(*x509.Certificate) {}),
		"the name is CN":    c.clients.issue(t, func(c *x509.Certificate) { c.Subject.CommonName = envoyName }),
		"in capitals":       c.clients.issue(t, dnsName("Envoy.internal")),
		"with a last dot":   c.clients.issue(t, dnsName(envoyName+".")),
		"a wildcard":        c.clients.issue(t, dnsName("*.internal")),
		"beneath":           c.clients.issue(t, dnsName("x."+envoyName)),
		"URI as DNS name":   c.clients.issue(t, dnsName(envoyURI)),
		"DNS name as URI":   c.clients.issue(t, uriName(t, envoyName)),
		"DNS name as mail":  c.clients.issue(t, func(c *x509.Certificate) { c.EmailAddresses = []string{envoyName} }),
		"longer URI":        c.clients.issue(t, uriName(t, envoyURI+"/x")),
		"escaped URI":       c.clients.issue(t, uriName(t, strings.Replace(envoyURI, "/envoy", "/%65nvoy", 1))),
		"an address":        c.clients.issue(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{netip.MustParseAddr("127.0.0.1").AsSlice()} }),
	}
	return func(address string) map[string]*grpc.ClientConn {
		conns := make(map[string]*grpc.ClientConn)
		for name, cert := range certs {
			conns[name] = c.dialAs(t, address, cert)
		}
		return conns
	}
}

// shake makes a connection as Envoy; config says how.
func (c *secured) shake(t *testing.T, address string, config *tls.Config) error {
	t.Helper()
	config.RootCAs = x509.NewCertPool()
	config.RootCAs.AddCert(c.ours.cert)
	config.ServerName, config.NextProtos, config.Certificates = ourName, []string{"h2"}, []tls.Certificate{c.envoy}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", address, config)
	if err != nil {
		return err
	}
	return conn.Close()
}

const deltaADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

// discovery lists the methods of all that Envoy calls discovery services, of every
// protocol, and of its reports.
func discovery() []string {
	var methods []string
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			name := string(service.FullName())
			if !strings.HasPrefix(name, "envoy.service.") || !strings.HasSuffix(name, "DiscoveryService") && !strings.HasSuffix(name, "LoadReportingService") {
				continue
			}
			for j := range service.Methods().Len() {
				methods = append(methods, "/"+name+"/"+string(service.Methods().Get(j).Name()))
			}
		}
		return true
	})
	return methods
}

// typesServed are the types of resources that every gateway has some of.
var typesServed = []string{"cluster.v3.Cluster", "listener.v3.Listener", "route.v3.RouteConfiguration", "route.v3.ScopedRouteConfiguration"}

// asksFor asks for resources of a gateway, and returns OK if some come.
func asksFor(t *testing.T, conn *grpc.ClientConn, gateway, kind string) codes.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err == nil {
		err = stream.Send(&discoveryv3.DeltaDiscoveryRequest{
			Node: &corev3.Node{Id: "envoy-1", Cluster: gateway}, TypeUrl: "type.googleapis.com/envoy.config." + kind,
		})
	}
	if err == nil {
		var res *discoveryv3.DeltaDiscoveryResponse
		if res, err = stream.Recv(); err == nil && len(res.GetResources()) == 0 {
			return codes.NotFound
		}
	}
	return status.Code(err)
}

// call sends an empty message and half-closes, which is a call of any kind, and returns
// how that ends.
func call(t *testing.T, conn *grpc.ClientConn, method string) codes.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return status.Code(err)
	}
	if err = stream.SendMsg(new(emptypb.Empty)); err == nil {
		err = stream.CloseSend()
	}
	if err == nil || status.Code(err) == codes.Unknown { // io.EOF: RecvMsg knows why
		err = stream.RecvMsg(new(authv3.CheckResponse))
	}
	return status.Code(err)
}
