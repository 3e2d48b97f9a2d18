package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/policy/catalog/source"
	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// announced is an output that tells when it says that everything is up.
type announced struct {
	mu   sync.Mutex
	text bytes.Buffer
	once sync.Once
	up   chan struct{}
}

func (a *announced) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, err := a.text.Write(p)
	if strings.Contains(a.text.String(), "users  ") {
		a.once.Do(func() { close(a.up) })
	}
	return n, err
}

func (a *announced) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text.String()
}

// emulated runs Emulate until the test ends, and returns what it says once it is up.
func emulated(t *testing.T, config string) *announced {
	t.Helper()
	out := &announced{up: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Emulate(ctx, EmulateOptions{Config: config, Backend: true, Out: out}) }()
	select {
	case <-out.up:
	case err := <-done:
		stop()
		t.Fatalf("emulate: %v", err)
	case <-time.After(20 * time.Second):
		stop()
		t.Fatalf("emulate does not come up: %v", <-done)
	}
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("emulate: %v", err)
		}
	})
	return out
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// configuration writes the first catalogue with replacements, and the secret beside it.
func configuration(t *testing.T, edits ...string) string {
	t.Helper()
	text, err := scaffold.Catalogue(scaffold.Local())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "durward.yaml")
	changed := strings.NewReplacer(edits...).Replace(string(text))
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "okta-secret"), []byte("secret-canary-0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestEmulatePlaysACatalogue plays three authorization servers, two of them in one org:
// an application signs a person in at each, the service app with the secret from its file
// introspects the token, and the backend answers.
func TestEmulatePlaysACatalogue(t *testing.T) {
	t.Parallel()
	one, two, backend, wiki := freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	path := configuration(t,
		"127.0.0.1:8090", one, "127.0.0.1:8091", backend,
		"token_policies:\n", `  - name: second
    issuer: http://`+one+`/oauth2/aus2
    audience: api://second
    introspection: { client_id: 0oaSecond, client_secret_file: okta-secret }
  - name: other
    issuer: http://`+two+`/oauth2/default
    audience: api://other
    introspection: { client_id: 0oagatewayT7hPswF1h7, client_secret_file: okta-secret }
  - name: public
    issuer: http://`+two+`/oauth2/default
    audience: api://other
    introspection: { client_id: 0oaf2no1n6hPswFV10h7, auth_method: none }

token_policies:
  - { name: seconds, authorization_server: second, verify: introspection }
  - { name: others, authorization_server: other, verify: introspection }
`,
		"grants:\n", `  - name: wiki
    frontend: { hosts: ["*"], path: /wiki }
    backend: { url: http://`+wiki+`/v2 }
    token_policy: seconds
    operations:
      - { methods: [GET], path: "/", scopes: { all: [openid, wiki.read] } }
      - { methods: [PUT], path: "/", scopes: { all: [wiki.write] }, token_policy: others }
  - name: far
    frontend: { hosts: ["*"], path: /far }
    backend: { url: https://far.example.com }
    token_policy: others
    operations: [ { methods: [GET], path: "/", scopes: { any: [far.read] } } ]

grants:
`)
	said := emulated(t, path).String()
	if strings.Contains(said, "secret-canary") {
		t.Error("the secret is shown")
	}
	for _, want := range []string{
		"http://" + one + "/oauth2/aus2", "api://second", "openid offline_access wiki.read\n", "openid offline_access far.read wiki.write\n",
		clientMobile, clientWarehouse, clientGateway, "0oaSecond", "of far: not played: https", "http://" + wiki, "of wiki: echoes",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	for _, tt := range []struct{ issuer, audience, introspector, scope string }{
		{"http://" + one + "/oauth2/default", "api://default", clientGateway, "orders.write"},
		{"http://" + one + "/oauth2/aus2", "api://second", "0oaSecond", "wiki.read"},
		{"http://" + two + "/oauth2/default", "api://other", clientGateway, "far.read"},
	} {
		for _, client := range []string{clientMobile, clientPartner, clientWarehouse} {
			text, err := login(t.Context(), tt.issuer, client, "alice", tt.scope)
			if err != nil {
				t.Errorf("%s at %s: %v", client, tt.issuer, err)
				continue
			}
			c := introspected(t, tt.issuer, tt.introspector, text)
			if c.ClientID != client || c.Issuer != tt.issuer || c.Audience[0] != tt.audience || !c.HasScope(tt.scope) {
				t.Errorf("%s at %s: %+v", client, tt.issuer, c)
			}
		}
		if _, err := login(t.Context(), tt.issuer, clientMobile, "alice", "nobody.asks.this"); err == nil {
			t.Errorf("%s knows a scope that no operation names", tt.issuer)
		}
	}
	for _, address := range []string{backend, wiki} {
		res, err := http.Get("http://" + address + "/orders/7")
		if err != nil {
			t.Error(err)
			continue
		}
		var e echoed
		err = json.NewDecoder(res.Body).Decode(&e)
		_ = res.Body.Close()
		if err != nil || e.Path != "/orders/7" {
			t.Errorf("%s echoes %+v, %v", address, e, err)
		}
	}
}

// introspected asks as serve does.
func introspected(t *testing.T, issuer, client, text string) token.Claims {
	t.Helper()
	c, err := okta.NewClient(okta.Config{Issuer: issuer, ClientID: client, ClientSecret: "secret-canary-0123456789", Auth: okta.SecretBasic})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	secret, err := token.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Introspect(t.Context(), secret, token.Known)
	if err != nil || !answer.Active {
		t.Fatalf("introspection at %s: %+v, %v", issuer, answer, err)
	}
	return answer.Claims
}

func TestEmulateRefusesWhatItCannotPlay(t *testing.T) {
	t.Parallel()
	const issuer = `"http://127.0.0.1:8090/oauth2/default"`
	twin := func(audience, client string) []string {
		return []string{"token_policies:\n", "  - name: twin\n    issuer: " + issuer + "\n    audience: " + audience + "\n    introspection: { client_id: " + client + ", client_secret_file: other-secret }\n\ntoken_policies:\n"}
	}
	for name, tt := range map[string]struct {
		edits []string
		says  []string
	}{
		"an org":        {[]string{issuer, "https://example.okta.com/oauth2/default"}, []string{"default", "durward.yaml:17", "https://example.okta.com/oauth2/default", "loopback", "durward init"}},
		"https":         {[]string{issuer, "https://127.0.0.1:8090/oauth2/default"}, []string{"http issuers"}},
		"two audiences": {twin("api://twin", clientGateway), []string{"default", "twin", "one audience"}},
		"two secrets":   {twin("api://default", clientGateway), []string{clientGateway, "two secrets"}},
		"client in two roles": {
			[]string{clientGateway, clientMobile}, []string{clientMobile, "two clients"},
		},
	} {
		path := configuration(t, tt.edits...)
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "other-secret"), []byte("another"), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := Emulate(ctx, EmulateOptions{Config: path, Backend: true, Out: &out})
		cancel()
		if !errors.Is(err, ErrUnplayable) || out.Len() > 0 {
			t.Errorf("%s: %v, %s", name, err, out.String())
			continue
		}
		for _, want := range tt.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", name, err, want)
			}
		}
	}
	path := configuration(t)
	if err := os.Remove(filepath.Join(filepath.Dir(path), "okta-secret")); err != nil {
		t.Fatal(err)
	}
	var config *serve.ConfigError
	if err := Emulate(t.Context(), EmulateOptions{Config: path, Out: &bytes.Buffer{}}); !errors.As(err, &config) {
		t.Errorf("a missing secret gives %v", err)
	}
}

func TestEmulateNamesTakenAddresses(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	for owner, edits := range map[string][]string{
		"authorization server default": {"127.0.0.1:8090", busy.Addr().String(), "127.0.0.1:8091", freeAddress(t)},
		"the backend of orders":        {"127.0.0.1:8091", busy.Addr().String(), "127.0.0.1:8090", freeAddress(t)},
	} {
		var out bytes.Buffer
		err := Emulate(t.Context(), EmulateOptions{Config: configuration(t, edits...), Backend: true, Out: &out})
		var taken *TakenError
		if !errors.As(err, &taken) || !strings.Contains(err.Error(), owner) || !strings.Contains(err.Error(), busy.Addr().String()) || out.Len() > 0 {
			t.Errorf("%s: %v", owner, err)
		}
		if owner == "the backend of orders" { // what was started has ended
			if l, err := net.Listen("tcp", edits[3]); err != nil {
				t.Error(err)
			} else {
				_ = l.Close()
			}
		}
	}
}

// Names of applications may be the same in two organizations; those of clients may not.
func TestAppsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	path := configuration(t,
		"name: warehouse, client_ids: [", "name: mobile, client_ids: [0oaA, 0oaB, ")
	cat, findings, err := source.Load(path)
	if err != nil || cat == nil {
		t.Fatal(findings, err)
	}
	seen := map[string]bool{}
	for _, c := range apps(cat) {
		if seen[c.Name] || len(c.RedirectURIs) < 2 || c.Secret != "" {
			t.Errorf("%+v", c)
		}
		seen[c.Name] = true
	}
	if len(seen) != 5 || !seen["mobile"] || !seen["logistics/mobile"] {
		t.Errorf("%v", seen)
	}
}
