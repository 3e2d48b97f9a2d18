package envoy

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// An API is in the tables of the gateways that serve it, and so are its clusters; one that
// is not published is nowhere.
func TestEachGatewayHasItsAPIs(t *testing.T) {
	t.Parallel()
	cfg := small()
	cfg.Gateways = append(cfg.Gateways, &durwardv1.Gateway{Name: "inner", Listen: "127.0.0.1:10001", Url: "http://127.0.0.1:10001"})
	only := func(name string, gateways ...string) *durwardv1.API {
		a := api(name, "/"+name, "http://"+name+".internal", "api.example.com", "*.example.net")
		a.Gateways = gateways
		return a
	}
	drafted := only("drafted")
	drafted.Published = proto.Bool(false)
	cfg.Apis = []*durwardv1.API{only("outside", "edge"), only("inside", "inner"), only("both", "inner", "edge"), only("all"), drafted}
	cat := compile(t, cfg)
	for gateway, want := range map[string][]string{"edge": {"all", "both", "outside"}, "inner": {"all", "both", "inside"}} {
		res, err := Translate(cat, gateway)
		if err != nil {
			t.Fatal(err)
		}
		var routes, clusters []string
		for _, rc := range res.Routes {
			for _, vh := range rc.GetVirtualHosts() {
				for _, r := range vh.GetRoutes() {
					if r.GetRoute() != nil {
						routes = append(routes, r.GetName())
					}
				}
			}
		}
		for _, c := range res.Clusters {
			if name, ok := strings.CutPrefix(c.GetName(), "http://"); ok {
				clusters = append(clusters, strings.TrimSuffix(name, ".internal:80"))
			}
		}
		slices.Sort(routes)
		if diff := cmp.Diff([][]string{want, want}, [][]string{slices.Compact(routes), clusters}); diff != "" {
			t.Errorf("%s: routes and clusters (-want +got):\n%s", gateway, diff)
		}
	}
}

// Listeners do not change when APIs do, whatever is allowed there.
func TestListenerKnowsNoAPI(t *testing.T) {
	t.Parallel()
	cfg := small()
	before := mustTranslate(t, compile(t, cfg)).Listeners[0]
	chat := api("chat", "/chat", "http://127.0.0.1:8080", "*")
	chat.Websocket = &durwardv1.Websocket{}
	upload := api("upload", "/upload", "http://127.0.0.1:8080", "*")
	upload.MaxRequestBytes = 1000
	for _, apis := range [][]*durwardv1.API{{chat, upload}, {api("plain", "/", "http://127.0.0.1:8080", "*")}} {
		cfg.Apis = apis
		if after := mustTranslate(t, compile(t, cfg)).Listeners[0]; !proto.Equal(before, after) {
			t.Errorf("the listener is another with %s", apis[0].GetName())
		}
	}
}

// What leads to the certificate may change, and the listener does not.
func TestDoorTLS(t *testing.T) {
	t.Parallel()
	translate := func(tls *durwardv1.GatewayTLS) Resources {
		cfg := small()
		cfg.Gateways[0].Url, cfg.Gateways[0].Tls = "https://api.example.com", tls
		return mustTranslate(t, compile(t, cfg))
	}
	context := func(res Resources) *tlsv3.CommonTlsContext {
		tls := new(tlsv3.DownstreamTlsContext)
		if err := res.Listeners[0].GetFilterChains()[0].GetTransportSocket().GetTypedConfig().UnmarshalTo(tls); err != nil {
			t.Fatal(err)
		}
		if chains := res.Listeners[0].GetFilterChains(); len(chains) != 1 || chains[0].GetFilterChainMatch() != nil || res.Listeners[0].GetDefaultFilterChain() != nil {
			t.Errorf("the name that a caller asks for chooses among %v", chains)
		}
		return tls.GetCommonTlsContext()
	}
	plain := translate(nil)
	if plain.Listeners[0].GetFilterChains()[0].GetTransportSocket() != nil || len(plain.Secrets) != 0 {
		t.Errorf("without tls: %v, %v", plain.Listeners[0].GetFilterChains()[0].GetTransportSocket(), plain.Secrets)
	}
	files := translate(&durwardv1.GatewayTLS{CertFile: "/tls/cert.pem", KeyFile: "/tls/key.pem"})
	moved := translate(&durwardv1.GatewayTLS{CertFile: "/new/cert.pem", KeyFile: "/new/key.pem"})
	if !proto.Equal(files.Listeners[0], moved.Listeners[0]) || proto.Equal(files.Secrets[0], moved.Secrets[0]) {
		t.Error("other files are another listener, or no other secret")
	}
	c := moved.Secrets[0].GetTlsCertificate()
	if c.GetCertificateChain().GetFilename() != "/new/cert.pem" || c.GetPrivateKey().GetFilename() != "/new/key.pem" || c.GetWatchedDirectory().GetPath() != "/new" {
		t.Errorf("secret: %v", moved.Secrets[0])
	}
	agent := translate(&durwardv1.GatewayTLS{Sds: &durwardv1.SDS{Address: "unix:/run/agent.sock", Name: "spiffe://example.com/edge"}, MinVersion: "1.3"})
	for name, got := range map[string]*tlsv3.CommonTlsContext{moved.Secrets[0].GetName(): context(moved), "spiffe://example.com/edge": context(agent)} {
		minimum := tlsv3.TlsParameters_TLSv1_2
		if name != "edge" {
			minimum = tlsv3.TlsParameters_TLSv1_3
		}
		configs := got.GetTlsCertificateSdsSecretConfigs()
		if len(configs) != 1 || configs[0].GetName() != name || (configs[0].GetSdsConfig().GetAds() == nil) != (name != "edge") {
			t.Errorf("%s: certificate from %v", name, configs)
		}
		if got.GetTlsParams().GetTlsMinimumProtocolVersion() != minimum || !slices.Equal(got.GetAlpnProtocols(), []string{"h2", "http/1.1"}) {
			t.Errorf("%s: %v", name, got)
		}
	}
	i := slices.IndexFunc(agent.Clusters, func(c *clusterv3.Cluster) bool { return c.GetName() == sdsCluster })
	if i < 0 || len(agent.Secrets) != 0 || agent.Clusters[i].GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetPipe().GetPath() != "/run/agent.sock" {
		t.Fatalf("SDS: clusters %v, secrets %v", agent.Clusters, agent.Secrets)
	}
	// Servers in Go hang up on clients that ping more often (keepalive.EnforcementPolicy).
	var options httpv3.HttpProtocolOptions
	for _, typed := range agent.Clusters[i].GetTypedExtensionProtocolOptions() {
		if err := typed.UnmarshalTo(&options); err != nil {
			t.Fatal(err)
		}
	}
	if every := options.GetExplicitHttpConfig().GetHttp2ProtocolOptions().GetConnectionKeepalive().GetInterval().AsDuration(); every < 5*time.Minute {
		t.Errorf("the SDS server is pinged every %s", every)
	}
}

// Behind trusted proxies two headers stay, and all others that begin alike go.
func TestDoorBehindTrustedProxies(t *testing.T) {
	t.Parallel()
	whole := regexp.MustCompile(`^(?:` + untrustedForwarded + `)$`)
	for _, name := range []string{"for", "proto"} {
		if whole.MatchString(forwardedPrefix + name) {
			t.Errorf("%s is removed", name)
		}
		for i := range len(name) {
			for c := byte(' '); c < 0x7f; c++ {
				if other := name[:i] + string(c) + name[i+1:]; other != name && !whole.MatchString(forwardedPrefix+other) {
					t.Errorf("%s stays", other)
				}
				if other := name[:i] + string(c); other != name && !whole.MatchString(forwardedPrefix+other) {
					t.Errorf("%s stays", other)
				}
			}
			if !whole.MatchString(forwardedPrefix + name[:i]) {
				t.Errorf("%s stays", name[:i])
			}
		}
		for _, other := range []string{name + "s", name + "-", name + "-for", "x" + name, name + "for"} {
			if !whole.MatchString(forwardedPrefix + other) {
				t.Errorf("%s stays", other)
			}
		}
	}
	for _, name := range []string{"host", "port", "prefix", "server", "user", "email", "client-cert", "by", "path", "scheme", "ssl", "protocol"} {
		if !whole.MatchString(forwardedPrefix + name) {
			t.Errorf("%s stays", name)
		}
	}
	for _, name := range []string{"x-forwarded", "forwarded", "x-for", "host"} {
		if whole.MatchString(name) {
			t.Errorf("%s is removed", name)
		}
	}
	res := small()
	res.Gateways[0].TrustedHops = 2
	manager := new(hcmv3.HttpConnectionManager)
	chain := mustTranslate(t, compile(t, res)).Listeners[0].GetFilterChains()[0]
	if err := chain.GetFilters()[0].GetTypedConfig().UnmarshalTo(manager); err != nil || manager.GetXffNumTrustedHops() != 2 || !manager.GetUseRemoteAddress().GetValue() {
		t.Errorf("%d hops are trusted, error %v", manager.GetXffNumTrustedHops(), err)
	}
}
