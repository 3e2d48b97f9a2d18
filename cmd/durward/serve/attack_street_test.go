package serve

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/durward/durward/policy/contract"
)

// street is where callers stand who write their requests byte by byte: a server, a real
// Envoy that it configures, and a backend behind both.
type street struct {
	*world
	gateway string
	origin  *origin
	token   string
	// cut are requests that were allowed and broke off before the backend got them.
	cut int
}

// streetRow is an attack on the way of a request: at the check, as another proxy would
// ask, and through Envoy.
type streetRow struct{ check, envoy func(*testing.T, *street) }

// rows take their turns: they count what reaches the backend.
func (s *street) rows(t *testing.T) {
	for _, rows := range []map[string]streetRow{pathRows, hostRows, headerRows, shapeRows} {
		for id, row := range rows {
			t.Run(id, func(t *testing.T) {
				t.Run("check", func(t *testing.T) { row.check(t, s) })
				t.Run("envoy", func(t *testing.T) { s.oneToOne(t, row.envoy) })
			})
		}
	}
}

const streetText = `version: 1
gateways: [ { name: edge, listen: "127.0.0.1:0", url: "http://127.0.0.1:10000" } ]
listeners: { check: { address: "127.0.0.1:0" }, xds: { address: "127.0.0.1:0" }, ops: { address: "127.0.0.1:0" }, admin: { address: "127.0.0.1:0" } }
headers: { claims: { email: email, team: team } }
authorization_servers:
  - { name: default, issuer: "%[1]s", audience: "api://default", introspection: { client_id: 0oaGATEWAY, client_secret_file: secret } }
token_policies: [ { name: default, authorization_server: default, verify: jwt } ]
organizations: [ { name: retail, applications: [ { name: mobile, client_ids: [0oaMOBILE] } ] } ]
apis:
  - name: orders
    frontend: { hosts: ["*"], path: /orders }
    backend: { url: "http://%[2]s" }
    token_policy: default
    operations:
      - { methods: [GET, POST], path: "/{id}", scopes: { all: [orders.read] } }
      - { methods: [PUT, DELETE], path: "/{id}", scopes: { all: [orders.admin] } }
      - { methods: [GET], path: /admin, scopes: { all: [orders.admin] } }
      - { methods: [GET], path: "/admin/**", scopes: { all: [orders.admin] } }
      - { methods: [GET], path: "/files/**", scopes: { all: [orders.read] } }
      - { methods: [GET], path: "/files/secret/**", scopes: { all: [orders.admin] } }
      - { methods: [GET, HEAD], path: /headed, scopes: { all: [orders.read] } }
      - { methods: [GET], path: "/open/{id}", public: true }
      - { methods: [GET], path: "/near/{id}", scopes: { all: [orders.read] }, rule: 'request.source_ip == "127.0.0.1"' }
      - { methods: [GET], path: "/far/{id}", scopes: { all: [orders.read] }, rule: 'cidr("203.0.113.0/24").containsIP(request.source_ip)' }
      - { methods: [GET], path: /role/admin, scopes: { all: [orders.read] }, claims: [ { claim: role, contains: admin } ] }
      - { methods: [GET], path: /role/user, scopes: { all: [orders.read] }, claims: [ { claim: role, equals: user } ] }
  - name: site
    frontend: { hosts: [site.example.com], path: / }
    backend: { url: "http://%[2]s" }
    token_policy: default
    operations: [ { methods: [GET], path: /healthz, scopes: { all: [orders.admin] } } ]
  - name: rpc
    frontend: { hosts: ["*"], path: /pkg.Svc }
    backend: { url: "http://%[2]s" }
    token_policy: default
    operations:
      - { methods: [POST], path: /Method, scopes: { all: [orders.read] } }
      - { methods: [POST], path: /Admin, scopes: { all: [orders.admin] } }
  - name: shadow
    frontend: { hosts: ["*"], path: /shadow }
    backend: { url: "http://%[2]s" }
    token_policy: default
    mode: shadow
    operations: [ { methods: [GET], path: "/{id}", scopes: { all: [orders.admin] } } ]
  - name: named
    frontend: { hosts: [named.example.com, "*.wild.example.com", "[2001:db8::1]"], path: /named }
    backend: { url: "http://%[2]s" }
    token_policy: default
    operations: [ { methods: [GET], path: "/{id}", scopes: { all: [orders.read] } } ]
  - name: hidden
    frontend: { hosts: [hidden.example.com], path: /named }
    backend: { url: "http://%[2]s" }
    token_policy: default
    operations: [ { methods: [GET], path: "/{id}", scopes: { all: [orders.admin] } } ]
grants:
  - { api: orders, organization: retail, applications: [mobile] }
  - { api: site, organization: retail, applications: [mobile] }
  - { api: rpc, organization: retail, applications: [mobile] }
  - { api: shadow, organization: retail, applications: [mobile] }
  - { api: named, organization: retail, applications: [mobile] }
  - { api: hidden, organization: retail, applications: [mobile] }
`

func newStreet(t *testing.T) *street {
	t.Helper()
	return streetOf(t, streetText)
}

// streetOf takes the catalogue with the places of the issuer and the backend in it.
func streetOf(t *testing.T, text string) *street {
	t.Helper()
	s := &street{world: &world{is: newIssuer(t)}, origin: newOrigin(t)}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "secret"), "0123456789abcdef0123456789abcdef\n", 0o600)
	writeFile(t, config{dir: dir}.file(), fmt.Sprintf(text, s.is.name("default"), s.origin.address), 0o600)
	s.Server, s.log = begin(t, config{dir: dir})
	ready(t, s.Server)
	s.conn = dial(t, s.Catalogue().Listeners.Check.Address)
	s.gateway = s.world.gateway(t)
	s.token = s.good()
	return s
}

// probe is a question of a careless or hostile proxy.
type probe struct {
	api, method, host, path, source string
	// headers are names and values in turn.
	headers []string
}

// usual is a probe that is allowed.
func (s *street) usual() probe {
	return probe{api: "orders", method: "GET", host: "api.example.com", path: "/orders/7", source: "127.0.0.1", headers: []string{"authorization", "Bearer " + s.token}}
}

// with adds headers, names and values in turn.
func (p probe) with(headers ...string) probe {
	p.headers = slices.Concat(p.headers, headers)
	return p
}

func (p probe) request(raw bool) *authv3.CheckRequest {
	req := question(p.api, p.path, "")
	req.Attributes.Source = &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
		SocketAddress: &corev3.SocketAddress{Address: p.source, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 40000}},
	}}}
	http := req.Attributes.Request.Http
	http.Method, http.Host, http.Headers = p.method, p.host, nil
	if raw {
		http.HeaderMap = new(corev3.HeaderMap)
		for i := 0; i < len(p.headers); i += 2 {
			http.HeaderMap.Headers = append(http.HeaderMap.Headers, &corev3.HeaderValue{Key: p.headers[i], RawValue: []byte(p.headers[i+1])})
		}
		return req
	}
	http.Headers = map[string]string{}
	for i := 0; i < len(p.headers); i += 2 {
		value := strings.ToValidUTF8(p.headers[i+1], "!") // as Envoy writes it
		if first, twice := http.Headers[p.headers[i]]; twice {
			value = first + "," + value
		}
		http.Headers[p.headers[i]] = value
	}
	return req
}

// answers are those to both encodings of the headers.
func (s *street) answers(t *testing.T, p probe) (mapped, raw *authv3.CheckResponse) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	client := authv3.NewAuthorizationClient(s.conn)
	return must(client.Check(ctx, p.request(false))), must(client.Check(ctx, p.request(true)))
}

// check wants one outcome, whichever way the headers come.
func (s *street) check(t *testing.T, p probe, want string) {
	t.Helper()
	mapped, raw := s.answers(t, p)
	for encoding, res := range map[string]*authv3.CheckResponse{"headers": mapped, "header_map": raw} {
		if got := outcome(res); got != want {
			t.Errorf("%s to %.30s, %.20q %.100q of %.60q: %s, want %s", encoding, p.api, p.method, p.path, p.host, got, want)
		}
	}
}

// checkPaths wants an outcome for each path of an API.
func (s *street) checkPaths(t *testing.T, api string, want map[string]string) {
	t.Helper()
	for path, outcome := range want {
		p := s.usual()
		p.api, p.path = api, path
		s.check(t, p, outcome)
	}
}

// head is a request without a body: "GET /path", and lines beside those that every
// request needs. A line with a host replaces the usual one.
func (s *street) head(line string, lines ...string) string {
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Host:") }) {
		lines = append(lines, "Host: api.example.com")
	}
	lines = append(lines, "Authorization: Bearer "+s.token, "Connection: close")
	return line + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// anonymous is a request without its token.
func (s *street) anonymous(request string) string {
	return strings.Replace(request, "Authorization: Bearer "+s.token+"\r\n", "", 1)
}

// send returns what came of a request: for each answer its status, and our reason if it
// was ours; then what the backend got, "GET /7", which is at most what was allowed.
func (s *street) send(t *testing.T, request string) (string, []arrival) {
	t.Helper()
	var told []string
	for _, res := range exchange(t, s.gateway, request, 5*time.Second) {
		told = append(told, verdict(res))
	}
	seen, broken := s.origin.take()
	for _, what := range broken {
		told = append(told, "broken: "+what)
	}
	for _, a := range seen {
		told = append(told, a.Method+" "+a.RequestURI)
		if head := fmt.Sprint(a.Header); strings.Contains(head, s.token) {
			t.Error("the backend got the token")
		}
	}
	return strings.Join(told, " "), seen
}

// verdict is the status of an answer, with our reason if the answer is ours.
func verdict(res *http.Response) string {
	status := strconv.Itoa(res.StatusCode)
	if code := res.Header.Get("Grpc-Status"); code != "" {
		return status + " grpc " + code + " " + res.Header.Get("Grpc-Message")
	}
	var problem struct{ Reason string }
	body, _ := io.ReadAll(res.Body)
	if json.Unmarshal(body, &problem) == nil && problem.Reason != "" {
		return status + " " + problem.Reason
	}
	return status
}

// sends wants what comes of each request.
func (s *street) sends(t *testing.T, want map[string]string) {
	t.Helper()
	for request, outcome := range want {
		if got, _ := s.send(t, request); got != outcome {
			t.Errorf("%.120q: %s, want %s", strings.ReplaceAll(request, s.token, "…"), got, outcome)
		}
	}
}

// sendsPaths wants what comes of a GET for each path.
func (s *street) sendsPaths(t *testing.T, want map[string]string) {
	t.Helper()
	for path, outcome := range want {
		if got, _ := s.send(t, s.head("GET "+path)); got != outcome {
			t.Errorf("%.120q: %s, want %s", path, got, outcome)
		}
	}
}

var passedLine = regexp.MustCompile(`(?m)^durward_decisions_total\{[^}]*outcome="(?:allow|shadow_deny)"[^}]*\} ([0-9]+)$`)

// passed counts the checks that let a request pass.
func (s *street) passed(t *testing.T) int {
	t.Helper()
	_, text := get(t, s.Server, "/metrics")
	n := 0
	for _, line := range passedLine.FindAllStringSubmatch(text, -1) {
		n += must(strconv.Atoi(line[1]))
	}
	return n
}

// oneToOne holds that the backend gets each request that was allowed, once, and no other;
// what broke off may be missing.
func (s *street) oneToOne(t *testing.T, row func(*testing.T, *street)) {
	s.cut = 0
	missing := s.missing(t, func() { row(t, s) })
	if missing < 0 || missing > s.cut {
		t.Errorf("%d requests were allowed that did not arrive, and %d were cut off", missing, s.cut)
	}
}

// missing returns how many requests fewer arrived than were allowed while send went on.
func (s *street) missing(t *testing.T, send func()) (missing int) {
	t.Helper()
	_, _ = s.origin.take()
	checks, requests := s.passed(t), s.origin.count()
	send()
	for range 30 { // what a caller cut off may still be on its way
		if missing = s.passed(t) - checks - (s.origin.count() - requests); missing == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return missing
}

// cutOff sends requests that break off: the backend gets each at most once.
func (s *street) cutOff(t *testing.T, send func()) {
	t.Helper()
	missing := s.missing(t, send)
	if missing < 0 {
		t.Errorf("%d requests more arrived than were allowed", -missing)
	}
	s.cut += missing
}

// mustBeOurs holds that a backend got no header of identity twice, empty or from the
// caller, whose values all hold "forged".
func mustBeOurs(t *testing.T, a arrival) {
	t.Helper()
	for name, values := range a.Header {
		name = strings.ToLower(name)
		owned := strings.HasPrefix(name, contract.HeaderPrefix) || strings.HasPrefix(name, "x-claim-") || name == contract.HeaderDecisionID
		if owned && (len(values) != 1 || cmp.Or(values[0], "forged") == "forged") || strings.Contains(strings.Join(values, ","), "forged") {
			t.Errorf("the backend got %s: %.100q", name, values)
		}
	}
}
