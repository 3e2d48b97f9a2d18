package catalog

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/durward/durward/policy/contract"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const example = `
version: 1
gateways { name: "edge" listen: "127.0.0.1:10000" url: "http://127.0.0.1:10000" }
authorization_servers {
  name: "default" issuer: "https://example.okta.com/oauth2/default" audience: "api://default"
  introspection { client_id: "0oaGATEWAY" client_secret_file: "/run/secrets/okta" }
}
token_policies { name: "users" authorization_server: "default" verify: "introspection" }
token_policies { name: "fresh" authorization_server: "default" verify: "introspection" max_age {} }
organizations { name: "retail" applications { name: "mobile" client_ids: "0oaMobile" } applications { name: "kiosk" client_ids: "0oaKiosk" } }
organizations { name: "supply" applications { name: "mobile" client_ids: "0oaSupply" } }
organizations { name: "press" applications { name: "site" client_ids: "0oaSite" } }
apis {
  name: "orders" token_policy: "users"
  frontend { hosts: "*" path: "/orders" }
  backend { url: "http://orders.internal:8080/v1" }
  operations { methods: "GET" path: "/{id}" scopes { all: "orders.read" } }
  operations { methods: "POST" path: "/" scopes { any: "orders.write" any: "orders.admin" } token_policy: "fresh" }
  operations { methods: "GET" path: "/health" public: true }
}
apis {
  name: "carts"
  frontend { hosts: "carts.example.com" path: "/" }
  backend { url: "https://carts.internal" timeout { seconds: 3 } tls { ca_file: "/etc/ca.pem" } }
  operations { methods: "GET" path: "/" public: true }
}
grants { api: "orders" organization: "retail" applications: "mobile" }
grants { api: "orders" organization: "supply" all_applications: true }
`

func exampleConfig(t testing.TB) *durwardv1.Config {
	t.Helper()
	cfg := new(durwardv1.Config)
	if err := prototext.Unmarshal([]byte(example), cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func compileExample(t testing.TB) *Catalogue {
	t.Helper()
	cat, findings := Compile(exampleConfig(t), nil)
	if len(findings) > 0 {
		t.Fatalf("findings: %v", findings)
	}
	return cat
}

func TestCompileExample(t *testing.T) {
	t.Parallel()
	cat := compileExample(t)
	if cat.CheckTimeout != 2*time.Second {
		t.Errorf("CheckTimeout is %v", cat.CheckTimeout)
	}
	wantListeners := Listeners{Check: Listener{Address: "127.0.0.1:9001"}, XDS: Listener{Address: "127.0.0.1:18000"}, Ops: "127.0.0.1:8081", Admin: "127.0.0.1:9902"}
	if diff := cmp.Diff(wantListeners, cat.Listeners); diff != "" {
		t.Errorf("Listeners (-want +got):\n%s", diff)
	}
	if names := []string{cat.APIs[0].Name, cat.APIs[1].Name}; !slices.Equal(names, []string{"carts", "orders"}) {
		t.Errorf("APIs are %v", names)
	}
	orders, carts := cat.API("orders"), cat.API("carts")
	if cat.API("-") != nil || cat.API("") != nil || cat.Client("") != nil || cat.Client("0oamobile") != nil {
		t.Error("something answers to a name that is nobody's")
	}
	if got := orders.Match("GET", "/orders/7").Operation; got.Policy.Name != "users" || got.Policy.MaxAge != 30*time.Second {
		t.Errorf("GET /orders/7 has policy %+v", got.Policy)
	}
	if got := orders.Match("POST", "/orders").Operation; got.Policy.Name != "fresh" || got.Policy.MaxAge != 0 {
		t.Errorf("POST /orders has policy %+v", got.Policy)
	}
	if got := orders.Match("GET", "/orders/health").Operation; !got.Public || got.Policy != nil {
		t.Errorf("GET /orders/health is %+v", got)
	}
	if o, c := orders.Backends[0], carts.Backends[0]; o.Timeout != 15*time.Second || o.Protocol != HTTP1 || c.Timeout != 3*time.Second || c.TLS.CAFile != "/etc/ca.pem" {
		t.Errorf("backends are %+v and %+v", o, c)
	}
	if s := cat.Servers[0].Introspection; s.Auth != ClientSecretBasic || s.SecretFile != "/run/secrets/okta" {
		t.Errorf("introspection is %+v", s)
	}
}

func TestGrantsAreTwoLevels(t *testing.T) {
	t.Parallel()
	cat := compileExample(t)
	orders, carts := cat.API("orders"), cat.API("carts")
	for client, want := range map[string]struct{ organization, application bool }{
		"0oaMobile": {true, true},
		"0oaKiosk":  {true, false},
		"0oaSupply": {true, true},
		"0oaSite":   {false, false},
	} {
		app := cat.Client(client)
		if got := orders.OrganizationGranted(app.Organization); got != want.organization {
			t.Errorf("%s: organization granted is %t", client, got)
		}
		if got := orders.ApplicationGranted(app); got != want.application {
			t.Errorf("%s: application granted is %t", client, got)
		}
		if carts.ApplicationGranted(app) || carts.OrganizationGranted(app.Organization) {
			t.Errorf("%s: granted an API that nobody is granted", client)
		}
	}
	if orders.ApplicationGranted(nil) || orders.OrganizationGranted(nil) || new(API).ApplicationGranted(new(Application)) {
		t.Error("a zero value is granted")
	}
}

func TestRevision(t *testing.T) {
	t.Parallel()
	base := compileExample(t).Revision
	if len(base) != 12 || strings.Trim(base, "0123456789abcdef") != "" {
		t.Fatalf("revision %q", base)
	}
	same := exampleConfig(t)
	slices.Reverse(same.Apis)
	slices.Reverse(same.Grants)
	slices.Reverse(same.TokenPolicies)
	slices.Reverse(same.Organizations)
	slices.Reverse(same.Organizations[2].Applications)
	if cat, _ := Compile(same, nil); cat.Revision != base {
		t.Error("the order of lists changes the revision")
	}
	other := exampleConfig(t)
	other.Apis[0].Operations[0].Scopes.All[0] = "orders.reed"
	if cat, _ := Compile(other, nil); cat.Revision == base {
		t.Error("another scope has the same revision")
	}
	before := exampleConfig(t)
	after := proto.CloneOf(before)
	Compile(after, nil)
	if !proto.Equal(before, after) {
		t.Error("Compile changes its input")
	}
}

// TestWithoutValidation holds that Compile refuses by itself what would open
// something, also where nobody checked the schema's rules before.
func TestWithoutValidation(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*durwardv1.Config){
		"no audience":          func(c *durwardv1.Config) { c.AuthorizationServers[0].Audience = "" },
		"no introspection":     func(c *durwardv1.Config) { c.AuthorizationServers[0].Introspection = nil },
		"unknown auth method":  func(c *durwardv1.Config) { c.AuthorizationServers[0].Introspection.AuthMethod = "tls" },
		"no verification":      func(c *durwardv1.Config) { c.TokenPolicies[0].Verify = "" },
		"unknown verification": func(c *durwardv1.Config) { c.TokenPolicies[0].Verify = "never" },
		"no issuer":            func(c *durwardv1.Config) { c.AuthorizationServers[0].Issuer = "" },
		"two forms of issuer":  func(c *durwardv1.Config) { c.AuthorizationServers[0].Issuers = []string{"https://a/oauth2/b"} },
		"an empty issuer": func(c *durwardv1.Config) {
			c.AuthorizationServers[0].Issuer, c.AuthorizationServers[0].Issuers = "", []string{"https://a/oauth2/b", ""}
		},
		"a long leeway": func(c *durwardv1.Config) {
			c.AuthorizationServers[0].Leeway = durationpb.New(5*time.Minute + 1)
		},
		"a negative leeway":  func(c *durwardv1.Config) { c.AuthorizationServers[0].Leeway = durationpb.New(-1) },
		"unknown tokens":     func(c *durwardv1.Config) { c.AuthorizationServers[0].Tokens = "JWT" },
		"unknown algorithm":  func(c *durwardv1.Config) { c.AuthorizationServers[0].Algorithms = []string{"RS256", "none"} },
		"empty algorithm":    func(c *durwardv1.Config) { c.AuthorizationServers[0].Algorithms = []string{""} },
		"a key for a secret": func(c *durwardv1.Config) { c.AuthorizationServers[0].Introspection.AuthMethod = "private_key_jwt" },
		"unknown log.user":   func(c *durwardv1.Config) { c.Log = &durwardv1.Log{User: "Clear"} },
		"tls of no file":     func(c *durwardv1.Config) { c.Listeners = checkWith(&durwardv1.ListenerTLS{}) },
		"tls without key": func(c *durwardv1.Config) {
			c.Listeners = checkWith(&durwardv1.ListenerTLS{CertFile: "c"})
		},
		"tls without certificate": func(c *durwardv1.Config) {
			c.Listeners = checkWith(&durwardv1.ListenerTLS{KeyFile: "k"})
		},
		"tls for any client": func(c *durwardv1.Config) {
			c.Listeners = checkWith(&durwardv1.ListenerTLS{CertFile: "c", KeyFile: "k", ClientCaFile: "ca"})
		},
		"tls for a client without a name": func(c *durwardv1.Config) {
			c.Listeners = checkWith(&durwardv1.ListenerTLS{CertFile: "c", KeyFile: "k", ClientCaFile: "ca", AllowedSans: []string{""}})
		},
		"tls that Envoy knows nothing of": func(c *durwardv1.Config) {
			c.Listeners = checkWith(&durwardv1.ListenerTLS{CertFile: "c", KeyFile: "k"})
			c.Listeners.Check.Tls.Envoy = nil
		},
		"tls of no name": func(c *durwardv1.Config) {
			c.Listeners = checkWith(&durwardv1.ListenerTLS{CertFile: "c", KeyFile: "k"})
			c.Listeners.Check.Tls.Envoy.ServerName = ""
		},
		"tls of a bracket": func(c *durwardv1.Config) {
			c.Listeners = checkWith(&durwardv1.ListenerTLS{CertFile: "c", KeyFile: "k"})
			c.Listeners.Check.Tls.Envoy.ServerName = "[::1]"
		},
		"tls of no authority": func(c *durwardv1.Config) {
			c.Listeners = checkWith(&durwardv1.ListenerTLS{CertFile: "c", KeyFile: "k"})
			c.Listeners.Check.Tls.Envoy.CaFile = ""
		},
		"tls without Envoy's key": func(c *durwardv1.Config) {
			c.Listeners = checkWith(&durwardv1.ListenerTLS{CertFile: "c", KeyFile: "k", ClientCaFile: "ca", AllowedSans: []string{"a"}})
			c.Listeners.Check.Tls.Envoy.KeyFile = ""
		},
		"tls and insecure": func(c *durwardv1.Config) {
			c.Listeners = checkWith(&durwardv1.ListenerTLS{CertFile: "c", KeyFile: "k"})
			c.Listeners.Check.Insecure = true
		},
		"tls off loopback for anybody": func(c *durwardv1.Config) {
			c.Listeners = checkWith(&durwardv1.ListenerTLS{CertFile: "c", KeyFile: "k"})
			c.Listeners.Check.Address = "0.0.0.0:9001"
		},
		"a mode of more": func(c *durwardv1.Config) {
			c.Listeners = &durwardv1.Listeners{Check: &durwardv1.Listener{Address: "unix:/run/s", Mode: "4777"}}
		},
		"no frontend":         func(c *durwardv1.Config) { c.Apis[0].Frontend = nil },
		"no hosts":            func(c *durwardv1.Config) { c.Apis[0].Frontend.Hosts = nil },
		"no backend":          func(c *durwardv1.Config) { c.Apis[0].Backend = nil },
		"no scopes":           func(c *durwardv1.Config) { c.Apis[0].Operations[0].Scopes = nil },
		"empty scopes":        func(c *durwardv1.Config) { c.Apis[0].Operations[0].Scopes = &durwardv1.Scopes{} },
		"api named -":         func(c *durwardv1.Config) { c.Apis[1].Name = contract.NoAPI },
		"no name":             func(c *durwardv1.Config) { c.Apis[1].Name = "" },
		"empty client id":     func(c *durwardv1.Config) { c.Organizations[0].Applications[0].ClientIds[0] = "" },
		"no gateways":         func(c *durwardv1.Config) { c.Gateways = nil },
		"no bytes of UTF-8":   func(c *durwardv1.Config) { c.AuthorizationServers[0].Audience = "\xff" },
		"both forms of grant": func(c *durwardv1.Config) { c.Grants[0].AllApplications = true },
		"everything empty":    func(c *durwardv1.Config) { *c = durwardv1.Config{} },
	}
	for name, breakIt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := exampleConfig(t)
			breakIt(cfg)
			if cat, findings := Compile(cfg, nil); cat != nil || !HasErrors(findings) {
				t.Errorf("compiled, with findings %v", findings)
			}
		})
	}
	if cat, _ := Compile(nil, nil); cat != nil {
		t.Error("nothing compiles to a catalogue")
	}
}

func checkWith(tls *durwardv1.ListenerTLS) *durwardv1.Listeners {
	tls.Envoy = &durwardv1.EnvoyTLS{CaFile: "/e/ca", ServerName: "durward"}
	if tls.GetClientCaFile() != "" {
		tls.Envoy.CertFile, tls.Envoy.KeyFile = "/e/c", "/e/k"
	}
	return &durwardv1.Listeners{Check: &durwardv1.Listener{Tls: tls}}
}

// TestRules holds the shape of the table: codes ascend and are written once, and each
// has its words.
func TestRules(t *testing.T) {
	t.Parallel()
	last := ""
	for _, r := range Rules() {
		if r.Code <= last || len(r.Code) != 5 || !strings.HasPrefix(r.Code, "DW") {
			t.Errorf("code %q stands after %q", r.Code, last)
		}
		last = r.Code
		if r.Title == "" || r.Fix == "" {
			t.Errorf("%s has no title or no fix", r.Code)
		}
	}
	if f := NewFinding("DW999", Position{}, "unheard of"); f.Severity != Error {
		t.Error("an unknown code is mild")
	}
}

// TestHelp holds that every finding is explained, in paragraphs of its own that show
// no token.
func TestHelp(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	for _, r := range Rules() {
		h := r.Help()
		for _, text := range []string{h.Cause, h.Fix} {
			if len(text) < 100 || len(text) > 600 || !strings.HasSuffix(text, ".") || strings.ContainsAny(text, "\n\t") {
				t.Errorf("%s: this is no paragraph: %q", r.Code, text)
			}
			if strings.Contains(text, "eyJ") {
				t.Errorf("%s shows a token: %q", r.Code, text)
			}
			if other := seen[text]; other != "" {
				t.Errorf("%s says what %s says: %q", r.Code, other, text)
			}
			seen[text] = r.Code
		}
	}
	explained := len(textHelp) + len(nameHelp) + len(apiHelp) + len(tokenHelp) + len(gatewayHelp)
	if explained != len(Rules()) {
		t.Errorf("%d explanations for %d rules", explained, len(Rules()))
	}
	if (Rule{Code: "DW999"}).Help() != (Help{}) {
		t.Error("an unknown code is explained")
	}
}
