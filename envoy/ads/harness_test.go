package ads_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/envoy"
	"github.com/durward/durward/envoy/ads"
	"github.com/durward/durward/envoy/binary"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// api is one that anybody may call; the tests' checker decides, not policy.
func api(name, base, backend string, hosts ...string) *durwardv1.API {
	if len(hosts) == 0 {
		hosts = []string{"*"}
	}
	return &durwardv1.API{
		Name:       name,
		Frontend:   &durwardv1.Frontend{Hosts: hosts, Path: base},
		Backend:    &durwardv1.Backend{Url: backend},
		Operations: []*durwardv1.Operation{{Methods: []string{"GET"}, Path: "/**", Public: true}},
	}
}

// compile makes a catalogue with the gateway edge on any port.
func compile(t testing.TB, check, xds string, apis ...*durwardv1.API) *catalog.Catalogue {
	t.Helper()
	cat, findings := catalog.Compile(&durwardv1.Config{
		Version:  1,
		Gateways: []*durwardv1.Gateway{{Name: "edge", Listen: "127.0.0.1:0", Url: "http://127.0.0.1:10000"}},
		Apis:     apis,
		Listeners: &durwardv1.Listeners{
			Check: &durwardv1.Listener{Address: check},
			Xds:   &durwardv1.Listener{Address: xds},
		},
	}, nil)
	for _, f := range findings {
		t.Fatalf("compile: %s", f)
	}
	return cat
}

// checker answers checks: no API is a 404, "Bearer deny" a 403, all else an allow that
// sets or removes each header of the contract, for "Bearer overreach" one more, and for
// "Bearer bare" none.
type checker struct {
	mu   sync.Mutex
	seen []*authv3.AttributeContext
}

func (c *checker) Check(_ context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	c.mu.Lock()
	c.seen = append(c.seen, req.GetAttributes())
	c.mu.Unlock()
	if req.GetAttributes().GetContextExtensions()[contract.ContextExtensionAPI] == contract.NoAPI {
		return deny(typev3.StatusCode_NotFound), nil
	}
	ok := &authv3.OkHttpResponse{}
	for _, h := range req.GetAttributes().GetRequest().GetHttp().GetHeaderMap().GetHeaders() {
		switch h.GetKey() + ": " + string(h.GetRawValue()) {
		case "authorization: Bearer deny":
			return deny(typev3.StatusCode_Forbidden), nil
		case "authorization: Bearer bare":
			return allow(ok), nil
		case "authorization: Bearer overreach":
			ok.Headers = append(ok.Headers, &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: "x-auth-new", Value: "x"}})
		}
	}
	for _, name := range contract.MutableHeaders() {
		if name != contract.HeaderSubject && name != contract.HeaderDecisionID {
			ok.HeadersToRemove = append(ok.HeadersToRemove, name)
			continue
		}
		ok.Headers = append(ok.Headers, &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: name, Value: "ours"},
			Append:       wrapperspb.Bool(false),
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		})
	}
	return allow(ok), nil
}

func allow(ok *authv3.OkHttpResponse) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(code.Code_OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}
}

func deny(http typev3.StatusCode) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &status.Status{Code: int32(code.Code_PERMISSION_DENIED)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: http},
			Body:   "denied by the checker",
		}},
	}
}

// take returns the checks since the last take.
func (c *checker) take() []*authv3.AttributeContext {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

// echo is what the backend got.
type echo struct {
	Backend, Method, URI, Host string
	Header                     http.Header
}

func echoHandler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(echo{name, r.Method, r.RequestURI, r.Host, r.Header})
	})
}

func backend(t testing.TB, name string) string {
	t.Helper()
	srv := httptest.NewServer(echoHandler(name))
	t.Cleanup(srv.Close)
	return srv.URL
}

// serveGRPC serves on a free port of loopback until the test ends or stop is called.
func serveGRPC(t testing.TB, register func(*grpc.Server), options ...grpc.ServerOption) (addr string, stop func()) {
	t.Helper()
	return serveGRPCAt(t, "127.0.0.1:0", register, options...)
}

func serveGRPCAt(t testing.TB, address string, register func(*grpc.Server), options ...grpc.ServerOption) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(options...)
	register(srv)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	stop = sync.OnceFunc(func() {
		srv.Stop()
		if err := <-done; err != nil {
			t.Errorf("grpc server: %v", err)
		}
	})
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

// gateway is a real Envoy, configured by a real ads.Server.
type gateway struct {
	addr, check, xds string
	process          *binary.Process
	checker          *checker
	stopChecker      func()
	stopXDS          func()
	server           *ads.Server
	registry         *prometheus.Registry
	log              *lockedBuffer
	wire             wire // of the xDS port
}

func startGateway(t testing.TB, apis ...*durwardv1.API) *gateway {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // may have to fetch Envoy
	defer cancel()
	path, err := binary.Find(ctx, binary.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{checker: new(checker), registry: prometheus.NewRegistry(), log: new(lockedBuffer)}
	g.check, g.stopChecker = serveGRPC(t, func(s *grpc.Server) { authv3.RegisterAuthorizationServer(s, g.checker) })
	g.server = ads.NewServer(slog.New(slog.NewTextHandler(g.log, nil)), g.registry, nil)
	g.xds, g.stopXDS = serveGRPC(t, g.server.Register, grpc.StatsHandler(&g.wire))
	t.Cleanup(g.server.Close)
	g.publish(t, apis...)

	bootstrap, err := envoy.Bootstrap(compile(t, g.check, g.xds, apis...), "edge", envoy.BootstrapOptions{Admin: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := binary.Validate(ctx, path, bootstrap); err != nil {
		t.Fatal(err)
	}
	var output lockedBuffer
	p, err := binary.Start(binary.Command{Path: path, Dir: t.TempDir(), Bootstrap: bootstrap, Stdout: &output, Stderr: &output})
	if err != nil {
		t.Fatal(err)
	}
	g.process = p
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("envoy said:\n%s", output.String())
		}
	})
	if err := p.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if g.addr, err = p.ListenerAddr(ctx, "edge"); err != nil {
		t.Fatal(err)
	}
	g.acked(t)
	return g
}

// publish prepares and publishes.
func publish(ctx context.Context, s *ads.Server, cat *catalog.Catalogue) error {
	prepared, err := s.Prepare(ctx, cat)
	if err != nil {
		return err
	}
	return prepared.Publish()
}

func (g *gateway) publish(t testing.TB, apis ...*durwardv1.API) {
	t.Helper()
	if err := publish(t.Context(), g.server, compile(t, g.check, g.xds, apis...)); err != nil {
		t.Fatal(err)
	}
}

func (g *gateway) acked(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := g.server.WaitAcked(ctx, "edge"); err != nil {
		t.Fatal(err)
	}
}

// metric returns the sum of a metric over its labels.
func (g *gateway) metric(t testing.TB, name string) float64 {
	t.Helper()
	return sum(t, g.registry, name)
}

func sum(t testing.TB, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		var total float64
		for _, m := range f.GetMetric() {
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
		return total
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// stat returns one of Envoy's own counters.
func (g *gateway) stat(t testing.TB, name string) string {
	t.Helper()
	admin, err := g.process.AdminAddr()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second}
	res, err := client.Get("http://" + admin + "/stats?filter=^" + name + "$")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	value, ok := strings.CutPrefix(strings.TrimSpace(string(text)), name+": ")
	if !ok {
		t.Fatalf("stat %s: %q", name, text)
	}
	return value
}

func (g *gateway) noNACKs(t testing.TB) {
	t.Helper()
	if n := g.metric(t, "durward_xds_nacks_total"); n != 0 {
		t.Errorf("%v updates refused:\n%s", n, g.log.String())
	}
}

// answer is what the caller got, and what the backend did if the caller got a 200.
type answer struct {
	status int
	header http.Header
	body   string
	echo
}

// send is try for calls that must get an answer, whatever it says.
func (g *gateway) send(t testing.TB, method, target string, headers ...string) answer {
	t.Helper()
	a, err := g.try(method, target, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

// try writes a request byte by byte as the test wants it, headers as "name: value".
// The host is orders.example.com unless a header says otherwise.
func (g *gateway) try(method, target string, headers ...string) (answer, error) {
	conn, err := net.DialTimeout("tcp", g.addr, 5*time.Second)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return answer{}, err
	}
	if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "host:") }) {
		headers = append([]string{"host: orders.example.com"}, headers...)
	}
	text := method + " " + target + " HTTP/1.1\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
	if _, err := io.WriteString(conn, text); err != nil {
		return answer{}, err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return answer{}, err
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(body)}
	if res.StatusCode == http.StatusOK {
		err = json.Unmarshal(body, &a.echo)
	}
	return a, err
}

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
