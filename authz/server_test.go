package authz_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const issuer = "https://example.okta.com/oauth2/default"

// The tokens of the tests say what the server says of them.
const (
	aliceToken   = "opens-orders-for-alice"
	partnerToken = "user-of-an-application-without-grant"
	toolToken    = "user-of-an-organization-without-access"
)

// answers is an authorization server.
type answers func(ctx context.Context, t token.Token, p token.Priority) (token.Introspection, error)

func (a answers) Introspect(ctx context.Context, t token.Token, p token.Priority) (token.Introspection, error) {
	return a(ctx, t, p)
}

// okta answers about a token by its text.
func okta(_ context.Context, t token.Token, _ token.Priority) (token.Introspection, error) {
	c := aliceClaims()
	switch t.Reveal() {
	case aliceToken:
	case partnerToken:
		c.ClientID = "0oaPARTNER"
	case toolToken:
		c.ClientID = "0oaTOOL"
	case "user-of-an-unregistered-client":
		c.ClientID = "0oaNOBODY"
	case "user-with-a-long-name":
		c.Subject = strings.Repeat("x", 9<<10)
	case "user-with-groups":
		c.Groups = []string{"Domain Users", "a,b", "caf\u00e9\r\nx-auth-subject: root"}
	case "machine":
		c.UserID = ""
	case "bound":
		c.Bound = true
	case "expired":
		c.ExpiresAt = time.Unix(1, 0)
	case "tomorrow":
		c.NotBefore = time.Now().Add(24 * time.Hour)
	case "other-issuer":
		c.Issuer = "https://other.okta.com"
	case "other-audience":
		c.Audience = []string{"api://other"}
	case "id-token":
		c.TokenID = "ID.1"
	case "contradiction":
		return token.Introspection{}, &token.Error{Failure: token.Malformed}
	case "outage":
		return token.Introspection{}, token.Unavailablef("introspect: connection refused")
	case "rate-limit":
		return token.Introspection{}, &token.Error{Failure: token.RateLimited, RetryAfter: 41500 * time.Millisecond}
	case "panic":
		return token.Introspection{}, &token.Error{Failure: "unlisted", Cause: errors.New("about " + t.Reveal())}
	default:
		return token.Introspection{}, nil
	}
	return token.Introspection{Active: true, Claims: c}, nil
}

func aliceClaims() token.Claims {
	return token.Claims{
		Issuer: issuer, Subject: "alice@example.com", UserID: "00uALICE", ClientID: "0oaMOBILE", Audience: []string{"api://default"},
		Scopes: []string{"openid", "orders.read"}, TokenID: "AT.1", ExpiresAt: time.Now().Add(time.Hour),
	}
}

func config() *durwardv1.Config {
	application := func(name, id string) *durwardv1.Application {
		return &durwardv1.Application{Name: name, ClientIds: []string{id}}
	}
	return &durwardv1.Config{
		Version:  1,
		Gateways: []*durwardv1.Gateway{{Name: "edge", Listen: "127.0.0.1:10000", Url: "http://127.0.0.1:10000"}},
		AuthorizationServers: []*durwardv1.AuthorizationServer{{
			Name: "default", Issuer: issuer, Audience: "api://default",
			Introspection: &durwardv1.Introspection{ClientId: "0oaGATEWAY", ClientSecretFile: "/run/secrets/okta"},
		}},
		TokenPolicies: []*durwardv1.TokenPolicy{{Name: "users", AuthorizationServer: "default", Verify: "introspection"}},
		Organizations: []*durwardv1.Organization{
			{Name: "retail", Applications: []*durwardv1.Application{application("mobile", "0oaMOBILE"), application("partner", "0oaPARTNER")}},
			{Name: "stranger", Applications: []*durwardv1.Application{application("tool", "0oaTOOL")}},
		},
		Apis: []*durwardv1.API{{
			Name: "orders", Frontend: &durwardv1.Frontend{Hosts: []string{"api.example.com"}, Path: "/orders"}, TokenPolicy: "users",
			Backend: &durwardv1.Backend{Url: "http://127.0.0.1:8080"},
			Operations: []*durwardv1.Operation{
				{Methods: []string{"GET"}, Path: "/health", Public: true},
				{Methods: []string{"GET", "HEAD"}, Path: "/{id}", Scopes: &durwardv1.Scopes{All: []string{"orders.read"}}},
				{Methods: []string{"POST"}, Path: "/", Scopes: &durwardv1.Scopes{Any: []string{"orders.write", "orders.admin"}}},
			},
		}},
		Grants: []*durwardv1.Grant{{Api: "orders", Organization: "retail", Applications: []string{"mobile"}}},
	}
}

// generation is one configuration whose authorization server is s.
func generation(t testing.TB, cfg *durwardv1.Config, s token.Introspector) *authz.Generation {
	t.Helper()
	cat, findings := catalog.Compile(cfg, nil)
	if cat == nil {
		t.Fatalf("catalogue does not compile: %v", findings)
	}
	v, err := token.NewVerifier(token.Config{
		Issuers: []string{issuer}, Audience: "api://default", Leeway: token.DefaultLeeway, Opaque: true,
	}, token.Parts{Server: s, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return &authz.Generation{Catalogue: cat, Verifiers: map[string]*token.Verifier{"default": v}}
}

// newServer serves the tests' configuration and writes its log, all of it, to log.
func newServer(t testing.TB, log io.Writer, r prometheus.Registerer, s answers) *authz.Server {
	t.Helper()
	srv := authz.NewServer(slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), r, time.Now)
	srv.Swap(generation(t, config(), s))
	return srv
}

// dial connects to srv by gRPC.
func dial(t testing.TB, srv authv3.AuthorizationServer) authv3.AuthorizationClient {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, srv)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return authv3.NewAuthorizationClient(conn)
}

// call is one request of a caller, before Envoy encodes it.
type call struct {
	api, method, host, path string
	headers                 [][2]string
}

// get is alice's good request, changed.
func get(change ...func(*call)) call {
	c := call{"orders", "GET", "api.example.com", "/orders/7?q=1", [][2]string{{"authorization", "Bearer " + aliceToken}, {"x-request-id", "req-1"}}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func bearer(text string) func(*call) {
	return func(c *call) { c.headers[0][1] = "Bearer " + text }
}

func header(name, value string) func(*call) {
	return func(c *call) { c.headers = append(c.headers, [2]string{name, value}) }
}

// encodings are the ways in which Envoys send c.
func (c call) encodings() map[string]*authv3.CheckRequest {
	raw, text, joined := &corev3.HeaderMap{}, &corev3.HeaderMap{}, map[string]string{}
	for _, h := range c.headers {
		raw.Headers = append(raw.Headers, &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])})
		text.Headers = append(text.Headers, &corev3.HeaderValue{Key: h[0], Value: h[1]})
		if old, ok := joined[h[0]]; ok {
			h[1] = old + "," + h[1]
		}
		joined[h[0]] = h[1]
	}
	request := func(headers map[string]string, list *corev3.HeaderMap) *authv3.CheckRequest {
		return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			ContextExtensions: map[string]string{contract.ContextExtensionAPI: c.api},
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Method: c.method, Host: c.host, Path: c.path, Protocol: "HTTP/1.1", Headers: headers, HeaderMap: list,
			}},
		}}
	}
	return map[string]*authv3.CheckRequest{"raw": request(nil, raw), "text": request(nil, text), "map": request(joined, nil)}
}

func (c call) request() *authv3.CheckRequest { return c.encodings()["raw"] }
