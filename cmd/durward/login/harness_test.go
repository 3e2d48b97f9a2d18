package login

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
	"github.com/durward/durward/policy/oktatest"
)

// Nothing that a login began may outlive it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mobile = "0oaf2no1n6hPswFV10h7"
	web    = "0oawebW7hPswFV10h7ab"
)

// catalogue compiles a configuration.
func catalogue(t *testing.T, text string) *catalog.Catalogue {
	t.Helper()
	file := filepath.Join(t.TempDir(), "durward.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cat, findings, err := source.Load(file)
	if err != nil || cat == nil {
		t.Fatalf("the test's configuration is wrong: %v %v", err, findings)
	}
	return cat
}

// shop is a configuration with one authorization server.
func shop(t *testing.T, issuer string) *catalog.Catalogue {
	t.Helper()
	return catalogue(t, fmt.Sprintf(`version: 1
gateways: [ { name: edge, listen: "127.0.0.1:0", url: "http://127.0.0.1:10000" } ]
authorization_servers:
  - { name: default, issuer: %q, audience: "api://default", introspection: { client_id: 0oaGATEWAY, client_secret_file: secret } }
token_policies: [ { name: okta-users, authorization_server: default, verify: introspection } ]
organizations:
  - name: retail
    applications:
      - { name: mobile, client_ids: [%s] }
      - { name: web, client_ids: [%s] }
apis:
  - name: orders
    frontend: { hosts: ["*"], path: /orders }
    backend: { url: "http://127.0.0.1:1" }
    token_policy: okta-users
    operations:
      - { methods: [GET], path: "/{id}", scopes: { all: [orders.read] } }
      - { methods: [POST], path: "/", scopes: { any: [orders.write, orders.admin] } }
grants: [ { api: orders, organization: retail, applications: [mobile] } ]
`, issuer, mobile, web))
}

// nextPort counts below the range from which systems give out ports by themselves, so
// that no two tests, and no client of theirs, meet on one.
var nextPort atomic.Int32

func init() { nextPort.Store(20000 + rand.Int32N(10000)) }

// freePorts are ports that nobody listens on.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for len(ports) < n {
		port := int(nextPort.Add(1))
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = l.Close()
		ports = append(ports, port)
	}
	return ports
}

// journal is what is said to the user, read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// world is an Okta, a person, and a login that is about to begin.
type world struct {
	okta *oktatest.Server
	dir  string
	out  *journal
	Options
}

func newWorld(t *testing.T, change ...func(*oktatest.Config)) *world {
	t.Helper()
	ports := freePorts(t, 2)
	okta := oktatest.New(t, append([]func(*oktatest.Config){func(c *oktatest.Config) {
		c.Clients[0].RedirectURIs = Options{Ports: ports}.redirectURIs()
		c.Clients = append(c.Clients, oktatest.Client{
			ID: web, Name: "web", Type: "web", Secret: "a-secret/with+odd characters", RedirectURIs: c.Clients[0].RedirectURIs,
			GrantTypes: []string{"authorization_code", "refresh_token"}, RotateRefresh: true,
		})
	}}, change...)...)
	w := &world{okta: okta, dir: filepath.Join(t.TempDir(), "login"), out: new(journal)}
	w.Options = Options{
		Target: target(t, shop(t, okta.Issuer("default")), "mobile"), Store: NewStore(w.dir),
		Ports: ports, Timeout: 20 * time.Second, Out: w.out,
	}
	return w
}

func target(t *testing.T, cat *catalog.Catalogue, name string) Target {
	t.Helper()
	app, err := Application(cat, name)
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := Choose(cat, app, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return chosen
}

// person signs in as a browser would, without scripts.
type person struct {
	http *http.Client
	// callback is the redirect that ended at our port, with its code.
	callback atomic.Pointer[url.URL]
	// last is the page that was shown in the end.
	last reply
	done chan struct{}
}

type reply struct {
	status int
	header http.Header
	body   string
}

func newPerson(t *testing.T) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{done: make(chan struct{})}
	p.http = &http.Client{
		Jar: jar, Timeout: 20 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(req *http.Request, _ []*http.Request) error {
			if req.URL.Path == CallbackPath {
				p.callback.Store(req.URL)
			}
			return nil
		},
	}
	return p
}

func (p *person) do(method, target string, form url.Values) (reply, error) {
	req, err := http.NewRequest(method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := p.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(body)}, err
}

var (
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// signIn is an Options.Browser: it fills Okta's form in, and ends with the last page.
func (p *person) signIn(address string) error {
	defer close(p.done)
	page, err := p.do(http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	action := formAction.FindStringSubmatch(page.body)
	if action == nil {
		p.last = page // Okta redirected at once
		return nil
	}
	form := url.Values{"username": {"alice@example.com"}, "password": {"any will do"}}
	for _, m := range hiddenField.FindAllStringSubmatch(page.body, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	at, err := url.Parse(address)
	if err != nil {
		return err
	}
	at, err = at.Parse(html.UnescapeString(action[1]))
	if err != nil {
		return err
	}
	p.last, err = p.do(http.MethodPost, at.String(), form)
	return err
}

// signIn logs alice in, and fails the test if it cannot.
func (w *world) signIn(t *testing.T) (Session, *person) {
	t.Helper()
	alice := newPerson(t)
	w.Browser = alice.signIn
	one, err := Login(t.Context(), w.Options)
	if err != nil {
		t.Fatalf("%v\n%s", err, w.out)
	}
	select {
	case <-alice.done:
	case <-time.After(20 * time.Second):
		t.Fatalf("no browser was used:\n%s", w.out)
	}
	return one, alice
}

// stored is the only file of the store, as JSON.
func (w *world) stored(t *testing.T) (path string, f file) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(w.dir, "*.json"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("the store has %q, %v", paths, err)
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	return paths[0], f
}

// rewrite changes the stored session.
func (w *world) rewrite(t *testing.T, change func(*file)) {
	t.Helper()
	path, f := w.stored(t)
	change(&f)
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) isEmpty(t *testing.T) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(w.dir, "*.json")); len(left) > 0 {
		t.Errorf("the store has %q", left)
	}
}

// nobodyListens tries to bind all the ports.
func (w *world) nobodyListens(t *testing.T) {
	t.Helper()
	for _, uri := range w.redirectURIs() {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		if conn, err := net.Dial("tcp", u.Host); err == nil {
			_ = conn.Close()
			t.Errorf("%s is still listening", u.Host)
		}
	}
}

// holdsNone reports secrets in what was written.
func holdsNone(t *testing.T, where, text string, secrets ...string) {
	t.Helper()
	for i, secret := range secrets {
		if len(secret) < 8 {
			t.Fatalf("secret %d of %s is %d characters long: there is nothing to look for", i, where, len(secret))
		}
		if strings.Contains(text, secret) {
			t.Errorf("%s holds secret %d", where, i)
		}
	}
}

// isActive asks Okta about a token.
func (w *world) isActive(t *testing.T, token string) bool {
	t.Helper()
	form := url.Values{"token": {token}}
	req, err := http.NewRequest(http.MethodPost, w.okta.Issuer("default")+"/v1/introspect", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	gateway := w.okta.Client("gateway")
	req.SetBasicAuth(gateway.ID, gateway.Secret)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct{ Active bool }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, err)
	}
	return answer.Active
}

// says checks an error: its kind, and parts of its text.
func says(t *testing.T, err, kind error, parts ...string) {
	t.Helper()
	if err == nil || kind != nil && !errors.Is(err, kind) {
		t.Fatalf("the error is %v, want %v", err, kind)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error has no %q: %v", part, err)
		}
	}
}
