package ads_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// authority signs certificates for one test. Its files are where Envoy reads them.
type authority struct {
	dir, file string
	cert      *x509.Certificate
	key       *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), Subject: pkix.Name{CommonName: "authority"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = a.write(t, "ca.pem", "CERTIFICATE", der)
	return a
}

func (a authority) write(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sign returns a certificate for the names, and the files it is in.
func (a authority) sign(t *testing.T, cn, dns, uri string) (pair tls.Certificate, certFile, keyFile string) {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), Subject: pkix.Name{CommonName: cn},
		DNSNames: []string{dns}, URIs: []*url.URL{u}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		a.write(t, cn+".pem", "CERTIFICATE", der), a.write(t, cn+"-key.pem", "EC PRIVATE KEY", keyDER)
}

// introduces tells of the client's certificate and of the protocol.
var introduces = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-proto", r.Proto)
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		w.Header().Set("x-client", r.TLS.PeerCertificates[0].Subject.CommonName)
	}
	echoHandler("met").ServeHTTP(w, r)
})

// A backend is believed by the names that the API says, and by no others; Envoy shows it
// the API's certificate; and no request goes to one that is not believed, or in the clear.
func TestRealEnvoyAndBackendKnowEachOther(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	serving, _, _ := ca.sign(t, "server", "orders.internal", "spiffe://example.com/orders")
	_, certFile, keyFile := ca.sign(t, "envoy", "envoy.internal", "spiffe://example.com/envoy")
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	served := make(chan string, 100)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served <- r.URL.Path
		introduces(w, r)
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{serving}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = nil
	srv.StartTLS()
	t.Cleanup(srv.Close)

	secure := func(name, protocol string, own bool, sans ...string) *durwardv1.API {
		a := api(name, "/"+name, srv.URL+"/"+name)
		a.Backend.Protocol = protocol
		a.Backend.Tls = &durwardv1.BackendTLS{CaFile: ca.file, Sans: sans}
		if own {
			a.Backend.Tls.CertFile, a.Backend.Tls.KeyFile = certFile, keyFile
		}
		return a
	}
	g := startGateway(t,
		secure("dns", "", true, "orders.internal"),
		secure("uri", "http2", true, "other.internal", "spiffe://example.com/orders"),
		secure("host", "", true),
		secure("wrong", "", true, "spiffe://example.com/order", "internal", "orders"),
		secure("wrong-h2", "http2", true, "billing.internal"),
		secure("nobody", "", false, "orders.internal"),
	)
	var passed []string
	for name, want := range map[string]struct {
		status int
		proto  string
	}{
		"dns": {200, "HTTP/1.1"}, "uri": {200, "HTTP/2.0"},
		"host": {503, ""}, "wrong": {503, ""}, "wrong-h2": {503, ""}, "nobody": {503, ""},
	} {
		a := g.send(t, "GET", "/"+name)
		client := ""
		if want.status == 200 {
			client, passed = "envoy", append(passed, "/"+name)
		}
		if a.status != want.status || a.header.Get("x-proto") != want.proto || a.header.Get("x-client") != client {
			t.Errorf("%s: %d %q of %q by %q, want %d by %q", name, a.status, a.body, a.header.Get("x-client"), a.header.Get("x-proto"), want.status, want.proto)
		}
	}
	close(served)
	var got []string
	for path := range served {
		got = append(got, path)
	}
	if diff := cmp.Diff(passed, got); diff != "" {
		t.Errorf("served (-want +got):\n%s", diff)
	}
	// Operators see why, and no more than they need.
	distrusted, all := 0, g.stats(t, "cluster.https_"+strings.Replace(strings.TrimPrefix(srv.URL, "https://"), ":", "_", 1))
	for name, value := range all {
		if strings.HasSuffix(name, ".ssl.fail_verify_san") && value != "0" {
			distrusted++
		}
		if strings.HasSuffix(name, "lb_healthy_panic") {
			t.Errorf("there is %s", name)
		}
	}
	if distrusted != 3 || len(all) > 6*30 {
		t.Errorf("%d of 6 clusters distrust what they see, of %d statistics", distrusted, len(all))
	}
	g.noNACKs(t)
}

// stats are Envoy's statistics whose names begin so.
func (g *gateway) stats(t *testing.T, prefix string) map[string]string {
	t.Helper()
	admin, err := g.process.AdminAddr()
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("GET", "http://"+admin+"/stats", nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(ask(t, http.DefaultTransport, req).Body)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), ": "); strings.HasPrefix(name, prefix) {
			found[name] = value
		}
	}
	return found
}

// Backends are spoken to as their API says, whatever callers speak.
func TestRealEnvoySpeaksToBackends(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(introduces)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	one, two := api("one", "/one", srv.URL), api("two", "/two", srv.URL)
	two.Backend.Protocol = "http2"
	g := startGateway(t, one, two)
	for path, want := range map[string]string{"/one": "HTTP/1.1", "/two": "HTTP/2.0"} {
		for proto, tr := range map[string]http.RoundTripper{"1": new(http.Transport), "2": overHTTP2()} {
			req, err := http.NewRequest("GET", "http://"+g.addr+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res := ask(t, tr, req); res.StatusCode != 200 || res.Header.Get("x-proto") != want {
				t.Errorf("%s over HTTP/%s: %d, the backend is spoken to in %q", path, proto, res.StatusCode, res.Header.Get("x-proto"))
			}
		}
	}
	g.noNACKs(t)
}

func overHTTP2() *http.Transport {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	return tr
}

// notes keeps what came with calls.
func notes(seen chan<- metadata.MD) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		seen <- md
		return handler(ctx, req)
	}
}

func startHealth(t *testing.T, seen chan<- metadata.MD) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.UnaryInterceptor(notes(seen)))
	healthpb.RegisterHealthServer(srv, health.NewServer())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-done; err != nil {
			t.Errorf("health server: %v", err)
		}
	})
	return "http://" + l.Addr().String()
}

// A gRPC call goes through with its metadata and its status, streams go on, and denials
// and lost backends are statuses of gRPC.
func TestRealEnvoyGRPC(t *testing.T) {
	t.Parallel()
	seen := make(chan metadata.MD, 10)
	free, gone := api("free", "/", startHealth(t, seen), "grpc.example.com"), api("gone", "/", "http://127.0.0.1:1", "gone.example.com")
	free.Backend.Protocol, gone.Backend.Protocol = "grpc", "grpc"
	g := startGateway(t, free, gone)
	client := func(host string) healthpb.HealthClient {
		conn, err := grpc.NewClient(g.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(host))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return healthpb.NewHealthClient(conn)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := client("grpc.example.com")
	if res, err := c.Check(metadata.AppendToOutgoingContext(ctx, "x-auth-subject", "forged"), new(healthpb.HealthCheckRequest)); err != nil || res.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("Check: %v, error %v", res, err)
	}
	if md := <-seen; len(md["x-auth-subject"]) != 1 || md["x-auth-subject"][0] != "ours" {
		t.Errorf("the call came with %v", md)
	}
	stream, err := c.Watch(ctx, new(healthpb.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	if res, err := stream.Recv(); err != nil || res.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("Watch: %v, error %v", res, err)
	}
	for what, tt := range map[string]struct {
		host, token, service string
		want                 codes.Code
	}{
		"the backend's own": {"grpc.example.com", "", "unknown", codes.NotFound},
		"denied":            {"grpc.example.com", "Bearer deny", "", codes.PermissionDenied},
		"no API":            {"other.example.com", "", "", codes.Unimplemented},
		"no backend":        {"gone.example.com", "", "", codes.Unavailable},
	} {
		ctx := ctx
		if tt.token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", tt.token)
		}
		if _, err := client(tt.host).Check(ctx, &healthpb.HealthCheckRequest{Service: tt.service}); status.Code(err) != tt.want {
			t.Errorf("%s: %v, want %v", what, err, tt.want)
		}
	}
	g.noNACKs(t)
}

// A call ends with DEADLINE_EXCEEDED when its caller says, or before if the API has a
// timeout. grpc-go would end it itself, on both sides, so that neither is here.
func TestRealEnvoyGRPCTimeouts(t *testing.T) {
	t.Parallel()
	told := make(chan string, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		told <- r.Header.Get("grpc-timeout")
		<-r.Context().Done()
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	free, capped := api("free", "/", srv.URL, "free.example.com"), api("capped", "/", srv.URL, "capped.example.com")
	free.Backend.Protocol, capped.Backend.Protocol = "grpc", "grpc"
	capped.Backend.Timeout = durationpb.New(500 * time.Millisecond)
	g := startGateway(t, free, capped)
	const exceeded = "4"
	for _, tt := range []struct {
		host, timeout, told string
		least               time.Duration
	}{
		{"free.example.com", "300m", "300m", 200 * time.Millisecond},
		{"capped.example.com", "100m", "100m", 50 * time.Millisecond},
		{"capped.example.com", "20S", "500m", 400 * time.Millisecond},
		{"capped.example.com", "", "500m", 400 * time.Millisecond},
	} {
		const noMessage = "\x00\x00\x00\x00\x00" // one that is not compressed and empty
		req, err := http.NewRequest("POST", "http://"+g.addr+healthpb.Health_Check_FullMethodName, strings.NewReader(noMessage))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tt.host
		req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
		if tt.timeout != "" {
			req.Header.Set("grpc-timeout", tt.timeout)
		}
		begun := time.Now()
		res, err := (&http.Client{Transport: overHTTP2(), Timeout: 12 * time.Second}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if got := res.Header.Get("grpc-status") + res.Trailer.Get("grpc-status"); got != exceeded {
			t.Errorf("%s, grpc-timeout %q: grpc-status %q, %v", tt.host, tt.timeout, got, res.Header)
		}
		select {
		case got := <-told:
			if got != tt.told {
				t.Errorf("%s, grpc-timeout %q: the backend is told %q", tt.host, tt.timeout, got)
			}
		default:
			t.Errorf("%s, grpc-timeout %q: the backend is not asked", tt.host, tt.timeout)
		}
		if took := time.Since(begun); took < tt.least || took > 8*time.Second {
			t.Errorf("%s, grpc-timeout %q: ended after %v", tt.host, tt.timeout, took)
		}
	}
	g.noNACKs(t)
}
