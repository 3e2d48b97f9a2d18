package serve

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// browsers is a world with a real Envoy, in which pages of some origins may call API
// "open", and none may call "closed".
type browsers struct {
	*world
	gateway string
	// backend is the only one. It would let every page read.
	backend *backend
	// here serves the pages of an origin that is allowed, elsewhere those of one that is not.
	here, elsewhere string
}

func newBrowsers(t *testing.T) *browsers {
	t.Helper()
	b := &browsers{world: &world{is: newIssuer(t), modes: []string{"open", "closed"}}, backend: new(backend)}
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "*")
		w.Header().Set("Vary", "Accept")
		b.backend.ServeHTTP(w, r)
		_, _ = io.WriteString(w, "from the backend")
	}))
	t.Cleanup(origin.Close)
	b.here, b.elsewhere = pages(t), pages(t)

	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "secret"), "0123456789abcdef0123456789abcdef\n", 0o600)
	writeFile(t, config{dir: dir}.file(), b.text(origin.URL), 0o600)
	b.Server, b.log = begin(t, config{dir: dir})
	ready(t, b.Server)
	b.conn = dial(t, b.Catalogue().Listeners.Check.Address)
	b.allows(t, b.good())
	b.gateway = b.world.gateway(t)
	return b
}

// pages serves an empty page, whose origin is what it returns.
func pages(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>A page</title>")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func (b *browsers) text(backend string) string {
	text := fmt.Sprintf(`version: 1
gateways: [ { name: edge, listen: "127.0.0.1:0", url: "https://api.example.com" } ]
listeners: { check: { address: "127.0.0.1:0" }, xds: { address: "127.0.0.1:0" }, ops: { address: "127.0.0.1:0" }, admin: { address: "127.0.0.1:0" } }
authorization_servers:
  - { name: default, issuer: "%s", audience: "api://default", introspection: { client_id: 0oaGATEWAY, client_secret_file: secret } }
organizations: [ { name: retail, applications: [ { name: mobile, client_ids: [%s] } ] } ]
token_policies: [ { name: okta, authorization_server: default, verify: introspection } ]
grants:
  - { api: open, organization: retail, applications: [mobile] }
  - { api: closed, organization: retail, applications: [mobile] }
apis:
`, b.is.name("default"), mobile)
	cors := fmt.Sprintf(`
    cors: { allow_origins: ["%s", "https://example.com", "https://*.example.com"], allow_headers: [x-more], max_age: 10m }`, b.here)
	for name, cors := range map[string]string{"open": cors, "closed": ""} {
		text += fmt.Sprintf(`  - name: %[1]s
    frontend: { hosts: ["*"], path: /%[1]s }
    backend: { url: "%[2]s" }
    token_policy: okta
    protected_resource: true%[3]s
    operations:
      - { methods: [GET, HEAD], path: "/{id}", scopes: { all: [orders.read] } }
      - { methods: [PUT], path: "/{id}", scopes: { any: [orders.write, orders.admin] } }
      - { methods: [GET], path: /public, public: true }
`, name, backend, cors)
		if name == "closed" {
			text += fmt.Sprintf("      - { methods: [PATCH], path: /bulk, scopes: { any: [%s] } }\n", strings.Join(bulk(), ", "))
		}
	}
	return text
}

// bulk are the scopes that make the document about API "closed" longer than the 4 KiB that
// Envoy sends of its own accord.
func bulk() []string {
	var scopes []string
	for i := range 60 {
		scopes = append(scopes, fmt.Sprintf("bulk.%02d.%s", i, strings.Repeat("x", 80)))
	}
	return scopes
}

// checks is how many questions were answered so far.
func (b *browsers) checks(t *testing.T) int {
	t.Helper()
	_, text := get(t, b.Server, "/metrics")
	var sum float64
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "durward_decisions_total{") {
			sum += must(strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64))
		}
	}
	return int(sum)
}

// counting runs f and wants it to cost so many checks.
func (b *browsers) counting(t *testing.T, what string, want int, f func()) {
	t.Helper()
	before := b.checks(t)
	f()
	if n := b.checks(t) - before; n != want {
		t.Errorf("%s: %d checks, want %d", what, n, want)
	}
}

// answer is what came back, as it stood on the wire.
type answer struct {
	status int
	header http.Header
	body   string
}

// pagesMayRead lists the answer's CORS headers.
func (a answer) pagesMayRead() []string {
	var names []string
	for name, values := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name+": "+strings.Join(values, " and "))
		}
	}
	return names
}

// exchange sends a request with these header lines to the gateway.
func (b *browsers) exchange(t *testing.T, method, path string, lines ...string) answer {
	t.Helper()
	c, err := net.DialTimeout("tcp", b.gateway, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	head := append([]string{method + " " + path + " HTTP/1.1", "Host: api.example.com", "Connection: close", "Content-Length: 0"}, lines...)
	if _, err := io.WriteString(c, strings.Join(head, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s %q: %v", method, path, lines, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}
