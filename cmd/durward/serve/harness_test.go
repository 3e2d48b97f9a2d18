package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/oktatest"
)

// Nothing that Start began may outlive Close.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is a configuration that tests change and write again.
type config struct {
	dir, issuer, client string
	check, xds, ops     string
	admin               string
	secretFile          string
	// apis are the names and base paths of APIs with GET /{id} for mobile.
	apis []string
}

func (c config) file() string { return filepath.Join(c.dir, "durward.yaml") }

func (c config) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, `version: 1
gateways: [ { name: edge, listen: "127.0.0.1:0", url: "http://127.0.0.1:10000" } ]
listeners: { check: { address: %q }, xds: { address: %q }, ops: { address: %q }, admin: { address: %q } }
authorization_servers:
  - name: default
    issuer: %s
    audience: api://default
    introspection: { client_id: %s, client_secret_file: %s }
token_policies: [ { name: okta-users, authorization_server: default, verify: introspection } ]
organizations: [ { name: retail, applications: [ { name: mobile, client_ids: [0oaMOBILE] } ] } ]
apis:
`, c.check, c.xds, c.ops, c.admin, c.issuer, c.client, c.secretFile)
	for _, name := range c.apis {
		fmt.Fprintf(&b, `  - name: %[1]s
    frontend: { hosts: ["*"], path: /%[1]s }
    backend: { url: "http://127.0.0.1:1" }
    token_policy: okta-users
    operations: [ { methods: [GET], path: "/{id}", scopes: { all: [orders.read] } } ]
`, name)
	}
	b.WriteString("grants:\n")
	for _, name := range c.apis {
		fmt.Fprintf(&b, "  - { api: %s, organization: retail, applications: [mobile] }\n", name)
	}
	return b.String()
}

func (c config) write(t *testing.T) {
	t.Helper()
	writeFile(t, c.file(), c.text(), 0o600)
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // the umask does not count
		t.Fatal(err)
	}
}

// newOrg is a local Okta, and a configuration file that believes it.
func newOrg(t *testing.T) (*oktatest.Server, config) {
	t.Helper()
	okta := oktatest.New(t, func(c *oktatest.Config) {
		for i := range c.Clients {
			if c.Clients[i].Name == "mobile" {
				c.Clients[i].ID = "0oaMOBILE"
			}
		}
	})
	const free = "127.0.0.1:0"
	c := config{
		dir: t.TempDir(), issuer: okta.Issuer("default"), client: okta.Client("gateway").ID,
		check: free, xds: free, ops: free, admin: free, secretFile: "secret", apis: []string{"orders"},
	}
	writeFile(t, filepath.Join(c.dir, "secret"), okta.Client("gateway").Secret+"\n", 0o600)
	c.write(t)
	return okta, c
}

func mint(t *testing.T, okta *oktatest.Server) string {
	t.Helper()
	text, err := okta.Token(oktatest.TokenRequest{Client: "mobile", User: "alice@example.com", Scopes: []string{"orders.read"}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// journal is a log that tests read while it is written.
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

// lines are the entries with this message.
func (j *journal) lines(t *testing.T, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(j.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("the log has a line that is not JSON: %s", line)
		}
		if entry["msg"] == message {
			found = append(found, entry)
		}
	}
	return found
}

// begin starts a server; the test closes it, at its end if not before.
func begin(t *testing.T, c config) (*Server, *journal) {
	t.Helper()
	return beginAt(t, c.file())
}

// beginAt is begin with a configuration that may be a directory.
func beginAt(t *testing.T, path string) (*Server, *journal) {
	t.Helper()
	log := new(journal)
	s, err := Start(t.Context(), path, slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, log
}

// refused expects that Start fails, and returns why.
func refused(t *testing.T, c config) error {
	t.Helper()
	s, err := Start(t.Context(), c.file(), slog.New(slog.DiscardHandler))
	if err == nil {
		_ = s.Close()
		t.Fatal("it started")
	}
	return err
}

// dial connects to a port of ours as it stands in a catalogue.
func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func question(api, path, token string) *authv3.CheckRequest {
	headers := map[string]string{}
	if token != "" {
		headers["authorization"] = "Bearer " + token
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		ContextExtensions: map[string]string{contract.ContextExtensionAPI: api},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "GET", Host: "api.example.com", Path: path, Headers: headers,
		}},
	}}
}

// ask returns the outcome of a check: "allow", or status and reason.
func ask(t *testing.T, conn *grpc.ClientConn, api, path, token string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	res, err := authv3.NewAuthorizationClient(conn).Check(ctx, question(api, path, token))
	if err != nil {
		t.Fatal(err)
	}
	return outcome(res)
}

func outcome(res *authv3.CheckResponse) string {
	if res.GetOkResponse() != nil && res.GetStatus() != nil && res.GetStatus().GetCode() == 0 {
		return "allow"
	}
	var problem struct{ Reason string }
	_ = json.Unmarshal([]byte(res.GetDeniedResponse().GetBody()), &problem) // none is ""
	return fmt.Sprintf("%d %s", res.GetDeniedResponse().GetStatus().GetCode(), problem.Reason)
}

// get asks the operations port.
func get(t *testing.T, s *Server, path string) (status int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Get("http://" + s.OpsAddress() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// eventually waits for what another goroutine brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func ready(t *testing.T, s *Server) {
	t.Helper()
	eventually(t, "/readyz answers 200", func() bool {
		status, _ := get(t, s, "/readyz")
		return status == http.StatusOK
	})
}
