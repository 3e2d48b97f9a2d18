package serve

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/durward/durward/policy/token"
)

var plainText = grpc.WithTransportCredentials(insecure.NewCredentials())

func writePrivate(file, text string) error { return os.WriteFile(file, []byte(text), 0o600) }

var discardLog = log.New(io.Discard, "", 0)

// edge is a configuration with one API for each server and way to verify:
// NAME-long (introspection, an hour), NAME-short (a second), NAME-fresh (0), NAME-jwt and
// NAME-both.
type edge struct {
	file, check, xds, ops, advertise, caFile string
	issuers                                  []*idp
}

func newEdge(t testing.TB, issuers ...*idp) *edge {
	t.Helper()
	return &edge{
		file: filepath.Join(t.TempDir(), "durward.yaml"), check: "127.0.0.1:0", xds: "127.0.0.1:0", ops: "127.0.0.1:0",
		issuers: issuers,
	}
}

type policyOf struct{ name, verify, age string }

func (i *idp) policies() []policyOf {
	all := []policyOf{{"long", "introspection", "3600s"}, {"short", "introspection", "1s"}, {"fresh", "introspection", "0s"}}
	if !i.opaque {
		all = append(all, policyOf{"jwt", "jwt", ""}, policyOf{"both", "both", "3600s"})
	}
	return all
}

func (e *edge) text() string {
	var servers, policies, apis, grants strings.Builder
	for _, i := range e.issuers {
		extra := ""
		if i.opaque {
			extra += ", tokens: opaque"
		}
		if e.caFile != "" {
			extra += ", ca_file: " + e.caFile
		}
		fmt.Fprintf(&servers, "  - { name: %s, issuer: %q, audience: \"api://default\", introspection: { client_id: gateway, client_secret_file: secret }%s }\n", i.name, i.url, extra)
		for _, p := range i.policies() {
			name, age := i.name+"-"+p.name, ""
			if p.age != "" {
				age = ", max_age: " + p.age
			}
			fmt.Fprintf(&policies, "  - { name: %s, authorization_server: %s, verify: %s%s }\n", name, i.name, p.verify, age)
			fmt.Fprintf(&apis, "  - { name: %[1]s, frontend: { hosts: [\"*\"], path: /%[1]s }, backend: { url: \"http://127.0.0.1:1\" }, token_policy: %[1]s, operations: [ { methods: [GET], path: \"/{id}\", scopes: { all: [orders.read] } } ] }\n", name)
			fmt.Fprintf(&grants, "  - { api: %s, organization: retail, applications: [mobile] }\n", name)
		}
	}
	return fmt.Sprintf(`version: 1
gateways: [ { name: edge, listen: "127.0.0.1:0", url: "http://127.0.0.1:10000" } ]
listeners: { check: { address: %q%s }, xds: { address: %q }, ops: { address: %q }, admin: { address: "127.0.0.1:0" } }
organizations: [ { name: retail, applications: [ { name: mobile, client_ids: [0oaMOBILE] } ] } ]
authorization_servers:
%stoken_policies:
%sapis:
%sgrants:
%s`, e.check, e.advertise, e.xds, e.ops, servers.String(), policies.String(), apis.String(), grants.String())
}

func (e *edge) write(t testing.TB) {
	t.Helper()
	for file, text := range map[string]string{e.file: e.text(), filepath.Join(filepath.Dir(e.file), "secret"): "secret-of-the-gateway\n"} {
		if err := writePrivate(file, text); err != nil {
			t.Fatal(err)
		}
	}
}

// launch starts a server with the log thrown away, and a connection to it.
func (e *edge) launch(t testing.TB) (*Server, *grpc.ClientConn) {
	t.Helper()
	return e.launchWith(t, io.Discard)
}

func (e *edge) launchWith(t testing.TB, w io.Writer) (*Server, *grpc.ClientConn) {
	t.Helper()
	e.write(t)
	s, err := Start(t.Context(), e.file, slog.New(slog.NewJSONHandler(w, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, connect(t, s.Catalogue().Listeners.Check.Address)
}

// single is an edge before one issuer, at work and with keys.
func single(t testing.TB, change ...func(*idp)) (*idp, *Server, *grpc.ClientConn) {
	t.Helper()
	i := newIdp(t, change...)
	s, conn := newEdge(t, i).launch(t)
	tried(t, s)
	return i, s, conn
}

// tried waits until every server was asked once.
func tried(t testing.TB, s *Server) {
	t.Helper()
	for _, u := range s.upstreams {
		select {
		case <-u.asked:
		case <-time.After(10 * time.Second):
			t.Fatal("a server was never asked")
		}
	}
}

func connect(t testing.TB, address string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, append(options, plainText, grpc.WithNoProxy())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// unanswered is the outcome of a check without an answer in time.
const unanswered = "no answer"

// tell is one check with the patience of an Envoy: outcome and how long it took.
func tell(ctx context.Context, conn *grpc.ClientConn, api, text string, patience time.Duration) (string, time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	res, err := authv3.NewAuthorizationClient(conn).Check(ctx, question(api, "/"+api+"/7", text))
	took := time.Since(start)
	switch {
	case grpcstatus.Code(err) == codes.DeadlineExceeded:
		return unanswered, took
	case err != nil:
		return err.Error(), took
	}
	return outcome(res), took
}

// expect is one check whose outcome is known.
func expect(t testing.TB, conn *grpc.ClientConn, api, text, want string) time.Duration {
	t.Helper()
	got, took := tell(t.Context(), conn, api, text, 5*time.Second)
	if got != want {
		t.Errorf("%s: %s, want %s", api, got, want)
	}
	return took
}

// crowd asks n checks at once, released together, and counts the outcomes.
func crowd(t testing.TB, conn *grpc.ClientConn, n, width int, patience time.Duration, check func(n int) (api, text string)) (map[string]int, []time.Duration) {
	t.Helper()
	return crowdOver(t, []*grpc.ClientConn{conn}, n, width, patience, check)
}

// crowdOver is crowd over several connections.
func crowdOver(t testing.TB, conns []*grpc.ClientConn, n, width int, patience time.Duration, check func(n int) (api, text string)) (map[string]int, []time.Duration) {
	t.Helper()
	outcomes, times := make(map[string]int), make([]time.Duration, n)
	var mu sync.Mutex
	var all sync.WaitGroup
	barrier := make(chan struct{})
	for w := range width {
		all.Go(func() {
			<-barrier
			for k := w; k < n; k += width {
				api, text := check(k)
				got, took := tell(t.Context(), conns[w%len(conns)], api, text, patience)
				mu.Lock()
				outcomes[got]++
				times[k] = took
				mu.Unlock()
			}
		})
	}
	close(barrier)
	all.Wait()
	slices.Sort(times)
	return outcomes, times
}

func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

// baseline is a bare call over the same connection, the median of some.
func baseline(t testing.TB, conn *grpc.ClientConn) time.Duration {
	t.Helper()
	times := make([]time.Duration, 21)
	for k := range times {
		start := time.Now()
		if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
		times[k] = time.Since(start)
	}
	slices.Sort(times)
	return times[len(times)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }

// within holds d against ten times the bound and prints it beside the baseline.
func within(t testing.TB, conn *grpc.ClientConn, what string, d, bound time.Duration) {
	t.Helper()
	t.Logf("%s: %s (bound %s; a bare call %s)", what, ms(d), bound, ms(baseline(t, conn)))
	if d > 10*bound {
		t.Errorf("%s took %s, more than ten times %s", what, d, bound)
	}
}

// verifierOf is the verifier of the only server, and its client.
func upstreamOf(t testing.TB, s *Server) *upstream {
	t.Helper()
	for _, u := range s.upstreams {
		return u
	}
	t.Fatal("no upstream")
	return nil
}

// believed is a token verified in process, without the port.
func believed(ctx context.Context, v *token.Verifier, text string, d token.Demand) error {
	parsed, err := token.Parse(text)
	if err != nil {
		return err
	}
	_, err = v.Verify(ctx, parsed, d)
	return err
}

// scrape is all metrics at an operations port.
func scrape(t testing.TB, ops string) string {
	t.Helper()
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}).Get("http://" + ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// metric is the value of a series at the operations port of a server.
func metric(t testing.TB, ops, series string) float64 {
	t.Helper()
	for line := range strings.Lines(scrape(t, ops)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no metric %s", series)
	return 0
}

// reserved is a free address of loopback.
func reserved(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
