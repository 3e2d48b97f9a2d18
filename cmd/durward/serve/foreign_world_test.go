package serve

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/envoy/binary"
	"github.com/durward/durward/policy/oktatest"
)

// plainFilter is the least that asks us and fails closed. Nothing in it names an API,
// headers come as a map, and all of them do.
const plainFilter = `name: envoy.filters.http.ext_authz
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
  transport_api_version: V3
  failure_mode_allow: false
  grpc_service: { envoy_grpc: { cluster_name: durward }, timeout: 5s }
`

// listedFilter sends what has to be sent, and no more.
const listedFilter = plainFilter + `  encode_raw_headers: true
  allowed_headers: { patterns: [ { exact: authorization }, { exact: dpop }, { exact: content-type }, { exact: x-request-id }, { exact: traceparent }, { exact: tracestate } ] }
`

// documentedFilter is the one that durward help foreign-envoy shows.
func documentedFilter() string { return string(must(os.ReadFile("../foreign-envoy.yaml"))) }

// foreignBootstrap is an Envoy that nobody told of us but for the filter: one route for
// everything, paths and hosts as they come, no header removed. %s are the ports of the
// backend and of ours, and the filter.
const foreignBootstrap = `
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }
static_resources:
  clusters:
  - name: backend
    load_assignment: { cluster_name: backend, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: %s } } } } ] } ] }
  - name: durward
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
    load_assignment: { cluster_name: durward, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: %s } } } } ] } ] }
  listeners:
  - name: foreign
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - &manager
        name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: foreign
          delayed_close_timeout: 0.05s
          route_config:
            virtual_hosts: [ { name: all, domains: ["*"], routes: [ { match: { prefix: / }, route: { cluster: backend } } ] } ]
          http_filters:
          - %s
          - { name: envoy.filters.http.router, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }
`

// foreignAPIs stand beside the API of the first catalogue.
const foreignAPIs = `
  - name: files
    frontend: { hosts: ["*"], path: /files }
    backend: { url: %[1]s }
    token_policy: okta-users
    operations:
      - { methods: [GET], path: "/public", public: true }
      - { methods: [GET], path: "/**", scopes: { all: [orders.read] } }
  - name: vault
    frontend: { hosts: [vault.example.com], path: /vault }
    backend: { url: %[1]s }
    token_policy: okta-users
    operations:
      - { methods: [GET], path: "/keys", scopes: { all: [orders.read] } }
      - { methods: [GET], path: "/near", scopes: { all: [orders.read] }, rule: 'request.source_ip == "127.0.0.1"' }
      - { methods: [GET], path: "/far", scopes: { all: [orders.read] }, rule: 'request.source_ip == "192.0.2.7"' }
  - name: watched
    frontend: { hosts: ["*"], path: /watched }
    backend: { url: %[1]s }
    token_policy: okta-users
    mode: shadow
    operations: [ { methods: [GET], path: "/items", scopes: { all: [orders.read] } } ]
  - name: roles
    frontend: { hosts: ["*"], path: /roles }
    backend: { url: %[1]s }
    token_policy: okta-users
    operations:
      - { methods: [GET], path: /sales, scopes: { all: [orders.read] }, claims: [ { claim: groups, contains: sales } ] }
      - { methods: [GET], path: /admin, scopes: { all: [orders.read] }, claims: [ { claim: groups, contains: admin } ] }
      - { methods: [GET], path: /sole, scopes: { all: [orders.read] }, claims: [ { claim: groups, equals: sales } ] }
      - { methods: [GET], path: /joined, scopes: { all: [orders.read] }, claims: [ { claim: groups, contains: "Everyone,sales" } ] }
      - { methods: [GET], path: /ruled, scopes: { all: [orders.read] }, rule: '"sales" in token.groups' }
  - name: rpc
    frontend: { hosts: ["*"], path: /pkg.Svc }
    backend: { url: %[1]s }
    token_policy: okta-users
    operations:
      - { methods: [POST], path: /Method, scopes: { all: [orders.read] } }
      - { methods: [POST], path: /Admin, scopes: { all: [orders.admin] } }
  - name: sockets
    frontend: { hosts: ["*"], path: /sockets }
    backend: { url: %[1]s }
    token_policy: okta-fresh
    operations: [ { methods: [GET], path: "/{id}", scopes: { all: [orders.read] } } ]
`

// foreign is a server before which an Envoy stands that another control plane, here a
// file, configures.
type foreign struct {
	*Server
	log     *journal
	okta    *oktatest.Server
	backend *backend
	path    string
	// bootstrap is the configuration of the Envoy whose address is gateway.
	bootstrap, gateway string
	// tls is how callers speak to it, nil if in the clear.
	tls *tls.Config
}

// newForeign starts all of it; edit changes the catalogue.
func newForeign(t *testing.T, filter string, edit ...string) *foreign {
	t.Helper()
	f := &foreign{okta: newForeignOkta(t), backend: new(backend), path: filepath.Join(t.TempDir(), "durward.yaml")}
	origin := httptest.NewServer(f.backend)
	t.Cleanup(origin.Close)
	writeFile(t, f.path, edited(t, f.catalogue(t, origin.URL), edit...), 0o600)
	f.Server, f.log = begin(t, config{dir: filepath.Dir(f.path)})
	ready(t, f.Server)
	f.bootstrap = fmt.Sprintf(foreignBootstrap, portOf(t, strings.TrimPrefix(origin.URL, "http://")),
		portOf(t, f.Catalogue().Listeners.Check.Address), strings.ReplaceAll(strings.TrimSpace(filter), "\n", "\n            "))
	f.gateway = startForeign(t, f.bootstrap)
	return f
}

// beside is another Envoy before the same server and backend; edit changes its
// configuration.
func (f *foreign) beside(t *testing.T, edit ...string) *foreign {
	t.Helper()
	g := *f
	g.bootstrap = edited(t, f.bootstrap, edit...)
	g.gateway = startForeign(t, g.bootstrap)
	return &g
}

// edited replaces the first of each text by the one that follows it.
func edited(t *testing.T, text string, edit ...string) string {
	t.Helper()
	for i := 0; i < len(edit); i += 2 {
		if !strings.Contains(text, edit[i]) {
			t.Fatalf("there is no %q in\n%s", edit[i], text)
		}
		text = strings.Replace(text, edit[i], edit[i+1], 1)
	}
	return text
}

func newForeignOkta(t *testing.T) *oktatest.Server {
	t.Helper()
	return oktatest.New(t, func(c *oktatest.Config) {
		app := c.Clients[0]
		for name, id := range map[string]string{"partner": scaffold.Partner, "warehouse": scaffold.Warehouse, "stray": "0oastrayS7hPswFV10h7"} {
			app.Name, app.ID = name, id
			c.Clients = append(c.Clients, app)
		}
		c.AuthorizationServers[0].Scopes = append(c.AuthorizationServers[0].Scopes, "orders.admin")
	})
}

// listenerAddress is where each of our listeners is.
var listenerAddress = regexp.MustCompile(`address: "[^"]*"`)

// catalogue is the one that the demo has, with foreignAPIs.
func (f *foreign) catalogue(t *testing.T, backend string) string {
	t.Helper()
	v := scaffold.Local()
	v.Backend = backend
	v.Issuer, v.ClientID = f.okta.Issuer("default"), f.okta.Client("gateway").ID
	writeFile(t, filepath.Join(filepath.Dir(f.path), v.SecretFile), f.okta.Client("gateway").Secret+"\n", 0o600)
	text := listenerAddress.ReplaceAllString(string(must(scaffold.Catalogue(v))), `address: "127.0.0.1:0"`)
	text = edited(t, text, `check: { address: "127.0.0.1:0" }`, `check: { address: "127.0.0.1:0", foreign_envoy: true }`,
		"\n# Two levels of access", fmt.Sprintf(foreignAPIs, backend)+"\n# Two levels of access")
	for _, api := range []string{"files", "vault", "watched", "roles", "rpc", "sockets"} {
		text += "  - { api: " + api + ", organization: retail, applications: [mobile] }\n"
	}
	return text
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// startForeign starts a real Envoy from the text alone.
func startForeign(t *testing.T, bootstrap string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // may have to fetch Envoy
	defer cancel()
	path, err := binary.Find(ctx, binary.Options{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	var output journal
	p, err := binary.Start(binary.Command{
		Path: path, Dir: t.TempDir(), Bootstrap: []byte("{}"), Args: []string{"--config-yaml", bootstrap}, Stdout: &output, Stderr: &output,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("envoy said:\n%s", output.String())
		}
	})
	if err := p.Ready(ctx); err != nil {
		t.Fatalf("%v\n%s", err, output.String())
	}
	address, err := p.ListenerAddr(ctx, "foreign")
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// token is what a sign-in of the user by way of the app gives.
func (f *foreign) token(t *testing.T, client, user string, scopes ...string) string {
	t.Helper()
	return f.mint(t, oktatest.TokenRequest{Client: client, User: user + "@example.com", Scopes: append([]string{"openid"}, scopes...)})
}

func (f *foreign) mint(t *testing.T, r oktatest.TokenRequest) string {
	t.Helper()
	text, err := f.okta.Token(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// foreignAnswer is one answer of the gateway. reason is what ours name, "" for Envoy's
// and the backend's.
type foreignAnswer struct {
	status int
	header http.Header
	reason string
}

// String is the status and our reason; after "grpc" its code, if the answer is in trailers.
func (a foreignAnswer) String() string {
	if code := a.header.Get("Grpc-Status"); code != "" {
		return fmt.Sprintf("%d grpc %s %s", a.status, code, a.header.Get("Grpc-Message"))
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.status, a.reason))
}

// send writes a request as bytes, since net/http would repair what is wrong in it.
func (f *foreign) send(t *testing.T, line, token, lines string) foreignAnswer {
	t.Helper()
	if token != "" {
		lines += "authorization: Bearer " + token + "\r\n"
	}
	if !strings.Contains(strings.ToLower("\n"+lines), "\nhost:") {
		lines = "host: api.example.com\r\n" + lines
	}
	return f.sendRaw(t, line+" HTTP/1.1\r\n"+lines+"\r\n")
}

// dial connects for ten seconds.
func (f *foreign) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", f.gateway, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if f.tls != nil {
		return tls.Client(c, f.tls)
	}
	return c
}

func (f *foreign) sendRaw(t *testing.T, request string) foreignAnswer {
	t.Helper()
	c := f.dial(t)
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := foreignAnswer{status: res.StatusCode, header: res.Header}
	if res.Header.Get("Content-Type") == "application/problem+json" {
		var problem struct{ Reason string }
		if err := json.Unmarshal(body, &problem); err != nil {
			t.Fatal(err)
		}
		a.reason = problem.Reason
	}
	return a
}
