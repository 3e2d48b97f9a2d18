package demo

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/policy/contract"
)

// TestInitEmulateServe is a newcomer's way: what init writes is played by emulate and run
// by serve, and a person who signs in is let through. Only the ports are moved, for tests
// that run at the same time.
func TestInitEmulateServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "durward.yaml")
	if err := scaffold.Init(scaffold.Options{Path: path, Out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	moved := []string{"127.0.0.1:8090", freeAddress(t), "127.0.0.1:8091", freeAddress(t)}
	for _, address := range []string{"127.0.0.1:9001", "127.0.0.1:18000", "127.0.0.1:8081", "127.0.0.1:9902"} {
		moved = append(moved, address, "127.0.0.1:0")
	}
	for i := 0; i < len(moved); i += 2 {
		if !bytes.Contains(text, []byte(moved[i])) {
			t.Fatalf("the catalogue does not use %s", moved[i])
		}
	}
	if err := os.WriteFile(path, []byte(strings.NewReplacer(moved...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	issuer := "http://" + moved[1] + "/oauth2/default"
	said := emulated(t, path)

	var log bytes.Buffer
	server, err := serve.Start(t.Context(), path, slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	address := server.Catalogue().Listeners.Check.Address
	read, err := login(t.Context(), issuer, clientMobile, "alice", "orders.read")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		token, method, path string
		status              int
	}{
		"allowed":       {read, "GET", "/orders/7", 200},
		"without scope": {read, "POST", "/orders", 403},
		"without token": {"", "GET", "/orders/7", 401},
	} {
		if got := checked(t, address, want.token, want.method, want.path); got != want.status {
			t.Errorf("%s: %d, want %d", name, got, want.status)
		}
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	secret, err := os.ReadFile(filepath.Join(dir, "okta-secret"))
	if err != nil {
		t.Fatal(err)
	}
	findCanaries(t, []string{read, strings.TrimSpace(string(secret))}, map[string]string{"emulate": said.String(), "serve": log.String()})
}

// checked asks ext_authz as Envoy would and returns the status of a deny, or 200.
func checked(t *testing.T, address, token, method, path string) int {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	headers := []*corev3.HeaderValue{{Key: ":method", RawValue: []byte(method)}, {Key: ":path", RawValue: []byte(path)}, {Key: ":authority", RawValue: []byte("127.0.0.1")}}
	if token != "" {
		headers = append(headers, &corev3.HeaderValue{Key: "authorization", RawValue: []byte("Bearer " + token)})
	}
	ctx := t.Context()
	deadline := time.AfterFunc(20*time.Second, func() { _ = conn.Close() })
	defer deadline.Stop()
	res, err := authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		ContextExtensions: map[string]string{contract.ContextExtensionAPI: "orders"},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: method, Path: path, Host: "127.0.0.1", HeaderMap: &corev3.HeaderMap{Headers: headers},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if codes.Code(res.GetStatus().GetCode()) == codes.OK && res.GetOkResponse() != nil {
		return 200
	}
	return int(res.GetDeniedResponse().GetStatus().GetCode())
}
