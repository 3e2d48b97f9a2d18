package envoy

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/durward/durward/policy/catalog"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

func api(name, base, backend string, hosts ...string) *durwardv1.API {
	return &durwardv1.API{
		Name:       name,
		Frontend:   &durwardv1.Frontend{Hosts: hosts, Path: base},
		Backend:    &durwardv1.Backend{Url: backend},
		Operations: []*durwardv1.Operation{{Methods: []string{"GET"}, Path: "/**", Public: true}},
	}
}

// small is a configuration with one of everything this package tells apart.
func small() *durwardv1.Config {
	private := api("billing", "/billing", "https://billing.internal/v2", "api.example.com")
	orders := api("orders", "/orders", "http://orders.internal:8080", "*")
	orders.Cors = &durwardv1.CORS{AllowOrigins: []string{"https://app.example.com", "https://*.example.org"}}
	orders.ProtectedResource = true
	private.MaxRequestBytes = 1 << 20
	addresses := api("addresses", "/", "https://192.0.2.7:8443", "[2001:db8::1]")
	addresses.Websocket = &durwardv1.Websocket{MaxDuration: durationpb.New(10 * time.Minute)}
	private.Backend.Tls = &durwardv1.BackendTLS{CaFile: "/etc/durward/backends.pem"}
	return &durwardv1.Config{
		Version:  1,
		Gateways: []*durwardv1.Gateway{{Name: "edge", Listen: "127.0.0.1:10000", Url: "http://127.0.0.1:10000"}},
		Apis: []*durwardv1.API{
			orders,
			api("orders-admin", "/orders/admin", "http://orders.internal:8080/admin", "*.example.com"),
			addresses,
			private,
			shared("catalog", "/catalog", "api.example.com"),
			calls("stock", "/shop.Stock", "http://stock.internal:50051/shop.Stock", "api.example.com"),
		},
		Listeners: &durwardv1.Listeners{
			Check: &durwardv1.Listener{Address: "0.0.0.0:9001", Insecure: true},
			Xds: &durwardv1.Listener{
				Address: "127.0.0.1:18000", Advertise: []string{"durward-0.internal:18000", "durward-1.internal:18000"},
				Tls: mutual(),
			},
		},
	}
}

// shared is an API whose requests two backends share.
func shared(name, base string, hosts ...string) *durwardv1.API {
	a := api(name, base, "", hosts...)
	a.Backend = nil
	a.Backends = []*durwardv1.Backend{
		{Url: "https://blue.internal", Weight: 90, Retries: 2, IdleTimeout: durationpb.New(30 * time.Second), Tls: &durwardv1.BackendTLS{
			Sans: []string{"spiffe://example.com/blue", "blue"}, CertFile: "/etc/envoy/client.pem", KeyFile: "/etc/envoy/client-key.pem",
		}},
		{Url: "http://green.internal:8080", Weight: 10, Retries: 2, IdleTimeout: durationpb.New(30 * time.Second), Protocol: "http2"},
	}
	return a
}

func calls(name, base, backend string, hosts ...string) *durwardv1.API {
	a := api(name, base, backend, hosts...)
	a.Backend.Protocol = "grpc"
	return a
}

// mutual is the TLS of a port that Envoy and we know each other on.
func mutual() *durwardv1.ListenerTLS {
	return &durwardv1.ListenerTLS{
		CertFile: "tls.pem", KeyFile: "tls-key.pem", ClientCaFile: "envoy-ca.pem", AllowedSans: []string{"envoy.internal"},
		Envoy: &durwardv1.EnvoyTLS{
			CertFile: "/etc/envoy/cert.pem", KeyFile: "/etc/envoy/key.pem",
			CaFile: "/etc/envoy/durward-ca.pem", ServerName: "durward.internal",
		},
	}
}

func compile(t *testing.T, cfg *durwardv1.Config) *catalog.Catalogue {
	t.Helper()
	cat, findings := catalog.Compile(cfg, nil)
	if catalog.HasErrors(findings) {
		t.Fatalf("compile: %v", findings)
	}
	return cat
}

var literalEdge = &catalog.Gateway{Name: "edge", Listen: "127.0.0.1:10000"}

// literal is a catalogue of just these APIs, for what Compile would refuse.
func literal(apis ...*catalog.API) *catalog.Catalogue {
	return &catalog.Catalogue{
		CheckTimeout: time.Second,
		Headers:      catalog.Headers{Prefix: "x-claim-"},
		Gateways:     []*catalog.Gateway{literalEdge},
		Listeners: catalog.Listeners{
			Check: catalog.Listener{Address: "unix:/run/durward/check.sock"},
			XDS:   catalog.Listener{Address: "unix:/run/durward/xds.sock"},
		},
		APIs: slices.SortedFunc(slices.Values(apis), func(a, b *catalog.API) int { return strings.Compare(a.Name, b.Name) }),
	}
}

func literalAPI(name, base, backend string, hosts ...string) *catalog.API {
	u, err := url.Parse(backend)
	if err != nil {
		panic(err)
	}
	return &catalog.API{
		Name: name, Hosts: hosts, BasePath: base, Gateways: []*catalog.Gateway{literalEdge},
		Backends: []catalog.Backend{{URL: u, Timeout: time.Second}},
	}
}
