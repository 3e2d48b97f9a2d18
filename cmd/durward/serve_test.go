package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/durward/durward/envoy/binary"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/oktatest"
)

// newOrg is a local Okta in the test, the part of a configuration that believes it, and
// alice's token.
func newOrg(t *testing.T) (s site, secret, token string) {
	t.Helper()
	okta := oktatest.New(t, func(c *oktatest.Config) {
		for i := range c.Clients {
			if c.Clients[i].Name == "mobile" {
				c.Clients[i].ID = "0oaMOBILE"
			}
		}
	})
	token, err := okta.Token(oktatest.TokenRequest{Client: "mobile", User: "alice@example.com", Scopes: []string{"orders.read"}})
	if err != nil {
		t.Fatal(err)
	}
	gateway := okta.Client("gateway")
	s = somewhere()
	s.issuer, s.client = okta.Issuer("default"), gateway.ID
	return s, gateway.Secret, token
}

// findEnvoy fetches it where there is none, so that no wait in a test is for the network.
func findEnvoy(t *testing.T) string {
	t.Helper()
	path, err := binary.Find(t.Context(), binary.Options{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// handStarted is an Envoy on the bootstrap that durward prints for the configuration.
func handStarted(t *testing.T, config string) (address string) {
	t.Helper()
	path := findEnvoy(t)
	code, bootstrap, stderr := runs(t, t.TempDir(), nil, "bootstrap", "-c", config, "--admin", "127.0.0.1:0")
	if code != 0 {
		t.Fatalf("bootstrap: %d %s", code, stderr)
	}
	var said output
	envoy, err := binary.Start(binary.Command{Path: path, Dir: t.TempDir(), Bootstrap: []byte(bootstrap), Stdout: &said, Stderr: &said})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := envoy.Stop(ctx); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(said.String())
		}
	})
	address, err = envoy.ListenerAddr(t.Context(), "edge")
	if err == nil {
		err = envoy.Ready(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// orders asks for /orders/7 through the gateway.
func orders(t *testing.T, gateway, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+gateway+"/orders/7", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 3 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// TestKilledDurwardOpensNothing is the production path: a durward that serves a
// configuration of one's own, and an Envoy started by hand. Without durward nobody
// passes; with a new one, everybody who did.
func TestKilledDurwardOpensNothing(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		_, _ = fmt.Fprintf(w, "%s for %s", r.URL.Path, r.Header.Get(contract.HeaderApplication))
	}))
	t.Cleanup(backend.Close)
	dir, err := os.MkdirTemp("", "dw") //nolint:usetesting // a test's own is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s, secret, token := newOrg(t)
	// The kill also leaves a dead socket, which the next durward must replace.
	s.check, s.xds, s.backend = freeAddress(t), "unix:"+filepath.Join(dir, "xds"), backend.URL
	config := s.write(t, secret)

	first := start(t, durward("serve", "-c", config))
	first.says(t, `"msg":"serving"`)
	gateway := handStarted(t, config)
	if code, body := orders(t, gateway, token); code != http.StatusOK || body != "/7 for mobile" {
		t.Fatalf("alice gets %d %q", code, body)
	}
	if code, _ := orders(t, gateway, ""); code != http.StatusUnauthorized {
		t.Errorf("without a token: %d", code)
	}

	first.signal(t, syscall.SIGKILL)
	first.exit(t)
	before := reached.Load()
	for i := range 20 {
		if code, body := orders(t, gateway, token); code != http.StatusServiceUnavailable {
			t.Errorf("request %d without durward: %d %q", i, code, body)
		}
	}
	if got := reached.Load(); got != before {
		t.Errorf("%d requests reached the backend without durward", got-before)
	}

	second := start(t, durward("serve", "-c", config))
	second.says(t, `"msg":"serving"`)
	deadline := time.Now().Add(15 * time.Second)
	for {
		code, body := orders(t, gateway, token)
		if code == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("with a new durward still %d %q\n%s", code, body, second.stderr.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
	if all := first.stderr.String() + second.stderr.String(); strings.Contains(all, token) || strings.Contains(all, secret) {
		t.Error("the log holds a token or secret")
	}
}

var checkPort = regexp.MustCompile(`"check":"([^"]+)"`)

// A check that was accepted is answered, whatever happens to the server meanwhile.
func TestTermUnderLoad(t *testing.T) {
	t.Parallel()
	s, secret, token := newOrg(t)
	s.check, s.xds = "127.0.0.1:0", "127.0.0.1:0"
	p := start(t, durward("serve", "-c", s.write(t, secret)))
	p.says(t, `"msg":"serving"`)
	address := checkPort.FindStringSubmatch(p.stderr.String())[1]

	question := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		ContextExtensions: map[string]string{contract.ContextExtensionAPI: "orders"},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "GET", Host: "api.example.com", Path: "/orders/7", Headers: map[string]string{"authorization": "Bearer " + token},
		}},
	}}
	var answered atomic.Int64
	var terminated atomic.Bool
	var askers sync.WaitGroup
	for range 4 {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		askers.Go(func() {
			client := authv3.NewAuthorizationClient(conn)
			for {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				res, err := client.Check(ctx, question)
				cancel()
				if err != nil {
					// Once the port is closed there is nobody to connect to.
					if !terminated.Load() || status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "connection refused") {
						t.Errorf("a check failed (after SIGTERM: %t): %v", terminated.Load(), err)
					}
					return
				}
				if res.GetOkResponse() == nil || res.GetStatus() == nil || res.GetStatus().GetCode() != 0 {
					t.Errorf("a check was denied (after SIGTERM: %t): %v", terminated.Load(), res)
					return
				}
				answered.Add(1)
			}
		})
	}
	for deadline := time.Now().Add(20 * time.Second); answered.Load() < 200; {
		if time.Now().After(deadline) {
			t.Fatalf("only %d checks are answered", answered.Load())
		}
		time.Sleep(time.Millisecond)
	}
	terminated.Store(true)
	p.signal(t, syscall.SIGTERM)
	askers.Wait()
	if code := p.exit(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.stderr.String())
	}
}

// SIGHUP to the program itself, with a configuration that is broken meanwhile.
func TestHangUpKeepsServing(t *testing.T) {
	t.Parallel()
	s, secret, _ := newOrg(t)
	s.check, s.xds = "127.0.0.1:0", "127.0.0.1:0"
	file := s.write(t, secret)
	p := start(t, durward("serve", "-c", file))
	p.says(t, `"msg":"serving"`)
	p.signal(t, syscall.SIGHUP)
	p.says(t, `"msg":"configuration reloaded"`)
	if err := os.WriteFile(file, []byte("version: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGHUP)
	p.says(t, `"msg":"configuration rejected; the old one goes on serving"`)
	p.signal(t, syscall.SIGINT)
	if code := p.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
