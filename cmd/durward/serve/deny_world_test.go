package serve

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/policy/token"
)

// strict is a world whose API "vault" asks all that can be asked of a caller, with
// neighbours whose authorization servers fail in one way each.
type strict struct {
	*world
	// fails are the authorization servers of the APIs that bear their names.
	fails map[string]*issuer
	// mode of API "vault"; "" enforces.
	mode string
	// backend is everybody's.
	backend *backend
}

// failures are the neighbours.
var failures = []string{"broken", "limited", "crowded", "absent"}

func newStrict(t *testing.T, mode string) *strict {
	t.Helper()
	s := &strict{world: &world{is: newIssuer(t), modes: []string{"vault"}}, fails: map[string]*issuer{}, mode: mode, backend: new(backend)}
	origin := httptest.NewServer(s.backend)
	t.Cleanup(origin.Close)
	for _, name := range failures {
		s.fails[name] = newIssuer(t)
	}
	s.fails["broken"].respond("introspect", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	s.fails["limited"].respond("introspect", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })

	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "secret"), "0123456789abcdef0123456789abcdef\n", 0o600)
	writeFile(t, config{dir: dir}.file(), s.text(origin.URL), 0o600)
	s.Server, s.log = begin(t, config{dir: dir})
	ready(t, s.Server)
	s.conn = dial(t, s.Catalogue().Listeners.Check.Address)
	s.failVerifiers(t)
	return s
}

func (s *strict) text(backend string) string {
	text := fmt.Sprintf(`version: 1
gateways: [ { name: edge, listen: "127.0.0.1:0", url: "https://api.example.com" } ]
listeners: { check: { address: "127.0.0.1:0" }, xds: { address: "127.0.0.1:0" }, ops: { address: "127.0.0.1:0" }, admin: { address: "127.0.0.1:0" } }
headers: { claims: { email: email, names: names, city: address.city, level: level } }
denials:
  - { user_id: 00uMALLORY, reason: laptop stolen }
organizations:
  - name: retail
    applications:
      - { name: mobile, client_ids: [%[1]s] }
      - { name: parked, client_ids: [0oaPARKED], enabled: false }
  - { name: closed, enabled: false, applications: [ { name: till, client_ids: [0oaTILL] } ] }
  - { name: stranger, applications: [ { name: tool, client_ids: [0oaTOOL] } ] }
grants:
  - { api: vault, organization: retail, applications: [mobile, parked] }
  - { api: vault, organization: closed, all_applications: true }
  - { api: forwarding, organization: retail, applications: [mobile] }
authorization_servers:
  - { name: default, issuer: "%[2]s", audience: "api://default", introspection: { client_id: 0oaGATEWAY, client_secret_file: secret } }
`, mobile, s.is.name("default"))
	for name, is := range s.fails {
		text += fmt.Sprintf("  - { name: %s, issuer: %q, audience: \"api://default\", tokens: opaque, introspection: { client_id: 0oaGATEWAY, client_secret_file: secret } }\n", name, is.name("default"))
	}
	text += "token_policies:\n  - { name: default, authorization_server: default, verify: both }\n"
	for name := range s.fails {
		text += fmt.Sprintf("  - { name: %[1]s, authorization_server: %[1]s, verify: introspection }\n", name)
	}
	text += fmt.Sprintf(`apis:
  - name: forwarding
    frontend: { hosts: ["*"], path: /forwarding }
    backend: { url: "%s" }
    token_policy: default
    forward_authorization: true
    operations:
      - { methods: [GET], path: /items, scopes: { all: [orders.read] } }
      - { methods: [GET], path: /open, public: true }
`, backend)
	for name := range s.fails {
		text += fmt.Sprintf(`  - name: %[1]s
    frontend: { hosts: ["*"], path: /%[1]s }
    backend: { url: "%[2]s" }
    token_policy: %[1]s
    operations: [ { methods: [GET, HEAD, POST], path: /items, scopes: { all: [orders.read] } } ]
`, name, backend)
	}
	mode := ""
	if s.mode != "" {
		mode = "\n    mode: " + s.mode
	}
	return text + fmt.Sprintf(`  - name: vault
    frontend: { hosts: ["*"], path: /vault }
    backend: { url: "%s" }
    token_policy: default
    protected_resource: true%s
    operations:
      - { methods: [GET, HEAD, POST], path: /items, scopes: { all: [orders.read] } }
      - { methods: [GET, HEAD, POST], path: /both, scopes: { all: [orders.write, orders.admin] } }
      - { methods: [GET, HEAD, POST], path: /either, scopes: { any: [orders.write, orders.admin] } }
      - { methods: [GET, HEAD, POST], path: /signed, scopes: { all: [orders.read] }, acr_values: [phr, phrh], max_auth_age: 5m }
      - { methods: [GET, HEAD, POST], path: /staff, scopes: { all: [orders.read] }, claims: [ { claim: department, equals: finance } ] }
      - { methods: [GET, HEAD, POST], path: /ruled, scopes: { all: [orders.read] }, rule: 'token.sub == "nobody"' }
      - { methods: [GET], path: /near, scopes: { all: [orders.read] }, rule: 'request.source_ip == "127.0.0.1"' }
      - { methods: [GET], path: /far, scopes: { all: [orders.read] }, rule: 'request.source_ip == "192.0.2.7"' }
      - { methods: [PUT, DELETE], path: /put, scopes: { all: [orders.read] } }
`, backend, mode)
}

// failVerifiers makes two neighbours fail as no request of a test can bring about: one has
// too many questions under way, one has no verifier.
func (s *strict) failVerifiers(t *testing.T) {
	t.Helper()
	crowded, err := token.NewVerifier(token.Config{
		Issuers: []string{s.fails["crowded"].name("default")}, Audience: "api://default", Opaque: true,
	}, token.Parts{Server: full{}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(crowded.Close)
	verifiers := map[string]*token.Verifier{"crowded": crowded}
	for _, u := range s.upstreams {
		for _, server := range s.Catalogue().Servers {
			if u.issuer == server.Issuer && server.Name != "crowded" && server.Name != "absent" {
				verifiers[server.Name] = u.verifier
			}
		}
	}
	s.authz.Swap(&authz.Generation{Catalogue: s.Catalogue(), Verifiers: verifiers, Prove: s.proofs.Check})
}

// full has too many questions under way.
type full struct{}

func (full) Introspect(context.Context, token.Token, token.Priority) (token.Introspection, error) {
	return token.Introspection{}, &token.Error{Failure: token.Overloaded}
}

// with is a good token but for these claims.
func (s *strict) with(changes ...string) string {
	change := map[string]string{}
	for i := 0; i < len(changes); i += 2 {
		change[changes[i]] = changes[i+1]
	}
	return s.is.issue(usualHeader, s.claims(maps.Clone(change)))
}

// unheardOf is well signed, and of a token that the server does not know.
func (s *strict) unheardOf() string { return jws(usualHeader, s.claims(nil), rs256(issuerRSA())) }
