package serve

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/durward/durward/policy/oktatest"
)

func TestServes(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	s, log := begin(t, c)
	conn := dial(t, s.Catalogue().Listeners.Check.Address)
	token := mint(t, okta)
	for _, tt := range []struct{ api, path, token, want string }{
		{"orders", "/orders/7", token, "allow"},
		{"orders", "/orders/7", "", "401 token_missing"},
		{"orders", "/orders/7", "no-token-of-okta", "401 token_malformed"},
		{"-", "/nothing", token, "404 api_unknown"},
	} {
		if got := ask(t, conn, tt.api, tt.path, tt.token); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.api, tt.path, got, tt.want)
		}
	}
	ready(t, s)
	if code, body := get(t, s, "/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	for _, service := range []string{"", authv3.Authorization_ServiceDesc.ServiceName} {
		res, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || res.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v %v", service, res, err)
		}
	}
	if got := len(log.lines(t, "decision")); got != 4 {
		t.Errorf("%d decisions are logged, want 4", got)
	}

	// Every metric is well named, and neither they nor the log nor a probe tell a token.
	problems, err := testutil.GatherAndLint(s.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v %v", problems, err)
	}
	_, metrics := get(t, s, "/metrics")
	_, verbose := get(t, s, "/readyz?verbose")
	for _, family := range []string{"durward_decisions_total", "durward_check_duration_seconds", "durward_okta_requests_total", "durward_catalog_info"} {
		if !strings.Contains(metrics, "\n"+family) {
			t.Errorf("/metrics has no %s", family)
		}
	}
	for name, text := range map[string]string{"metrics": metrics, "log": log.String(), "readyz": verbose} {
		for _, secret := range []string{token, okta.Client("gateway").Secret, "no-token-of-okta", "alice"} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s tells %q", name, secret)
			}
		}
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	s, log := begin(t, c)
	ready(t, s)
	conn := dial(t, s.Catalogue().Listeners.Check.Address)
	token, first, initial := mint(t, okta), s.upstreams, s.Catalogue().Revision
	probes := okta.Calls(oktatest.Metadata)
	successful := func() float64 { return testutil.ToFloat64(s.state.loaded) }

	c.apis = append(c.apis, "returns")
	c.write(t)
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, conn, "returns", "/returns/7", token); got != "allow" {
		t.Errorf("the new API: %s", got)
	}
	for key, u := range s.upstreams {
		if first[key] != u {
			t.Error("an unchanged authorization server has a new verifier")
		}
	}
	if got := okta.Calls(oktatest.Metadata); got != probes {
		t.Errorf("Okta was probed %d times more", got-probes)
	}
	serving := s.Catalogue().Revision
	if serving == initial {
		t.Error("the revision did not change")
	}

	// What is wrong keeps the old one, whole, wherever it is wrong.
	good := c.text()
	for name, broken := range map[string]struct{ text, told string }{
		"text":    {good + "apis: {\n", "durward.yaml:"},
		"name":    {good + "  - { api: none, organization: retail, applications: [] }\n", "DW102"},
		"secret":  {strings.Replace(good, "client_secret_file: secret", "client_secret_file: absent", 1), "absent: no such file"},
		"nothing": {"", "DW008"},
	} {
		writeFile(t, c.file(), strings.ReplaceAll(broken.text, "/returns", "/elsewhere"), 0o600)
		err := s.Reload(t.Context())
		var config *ConfigError
		if !errors.As(err, &config) || !strings.Contains(err.Error(), broken.told) {
			t.Errorf("%s: error %v, want a *ConfigError with %q", name, err, broken.told)
		}
		if got := ask(t, conn, "returns", "/returns/7", token); got != "allow" || s.Catalogue().Revision != serving {
			t.Errorf("%s: %s by revision %s", name, got, s.Catalogue().Revision)
		}
		code, body := get(t, s, "/readyz?verbose")
		if code != http.StatusOK || !strings.Contains(body, "rejected") || !strings.Contains(body, broken.told) || successful() != 0 {
			t.Errorf("%s: metric %v, /readyz?verbose %d %s", name, successful(), code, body)
		}
		rejected := log.lines(t, "configuration rejected; the old one goes on serving")
		if last := rejected[len(rejected)-1]; !strings.Contains(last["finding"].(string), broken.told) {
			t.Errorf("%s: the log says %v", name, last)
		}
	}
	if err := os.Remove(c.file()); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: error %v", err)
	}

	c.write(t)
	if err := s.Reload(t.Context()); err != nil || successful() != 1 {
		t.Errorf("the good one again: %v, metric %v", err, successful())
	}
	if _, body := get(t, s, "/readyz?verbose"); strings.Contains(body, "rejected") {
		t.Errorf("/readyz?verbose of a good configuration: %s", body)
	}
	if got := testutil.CollectAndCount(s.state.info); got != 1 {
		t.Errorf("%d revisions are said to serve", got)
	}
}

// A changed secret is read without a reload; a wrong one denies as an outage of ours.
func TestNewSecretIsRead(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	writeFile(t, filepath.Join(c.dir, "secret"), "the wrong one", 0o600)
	s, _ := begin(t, c)
	conn := dial(t, s.Catalogue().Listeners.Check.Address)
	token := mint(t, okta)
	if got := ask(t, conn, "orders", "/orders/7", token); got != "503 okta_unavailable" {
		t.Errorf("with a wrong secret: %s", got)
	}
	writeFile(t, filepath.Join(c.dir, "secret"), okta.Client("gateway").Secret+"\r\n", 0o600)
	deadline, got := time.Now().Add(20*time.Second), ""
	for got != "allow" && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
		got = ask(t, conn, "orders", "/orders/7", token)
	}
	if got != "allow" || len(s.upstreams) != 1 {
		t.Errorf("with the right one: %s, %d upstreams", got, len(s.upstreams))
	}
}

func TestReloadSaysThatAddressesStay(t *testing.T) {
	t.Parallel()
	_, c := newOrg(t)
	s, log := begin(t, c)
	before := s.Catalogue().Listeners.Check.Address
	const message = "listeners changed; address, mode and whether they speak TLS change when durward is started again"
	if err := s.Reload(t.Context()); err != nil || len(log.lines(t, message)) != 0 {
		t.Errorf("unchanged: %v %s", err, log)
	}
	c.check = "127.0.0.1:1"
	c.write(t)
	if err := s.Reload(t.Context()); err != nil || len(log.lines(t, message)) != 1 {
		t.Errorf("changed: %v %s", err, log)
	}
	if got := s.Catalogue().Listeners.Check.Address; got != before {
		t.Errorf("Envoy would be told %s, but we are at %s", got, before)
	}
}

// SIGHUP reads the configuration again, though it did not change, also one that came before
// Wait.
func TestHangup(t *testing.T) {
	_, c := newOrg(t)
	s, log := begin(t, c)
	hangUp := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangUp()
	watching(t, s)
	for i := range 2 {
		eventually(t, "the configuration is read again", func() bool {
			return len(log.lines(t, "configuration reloaded")) == i+1
		})
		if i == 0 {
			hangUp()
		}
	}
}

// A port that ends by itself ends the server.
func TestWaitReportsALostPort(t *testing.T) {
	t.Parallel()
	_, c := newOrg(t)
	s, _ := begin(t, c)
	if err := s.listeners.xds.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "xds port") {
		t.Errorf("Wait: %v", err)
	}
}

func TestDeadOkta(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	token := mint(t, okta)
	if err := okta.Down(); err != nil {
		t.Fatal(err)
	}
	s, log := begin(t, c)
	ready(t, s)
	var loud []string
	for line := range strings.Lines(log.String()) {
		if !strings.Contains(line, `"level":"INFO"`) {
			loud = append(loud, line)
		}
	}
	if len(loud) != 1 || !strings.Contains(loud[0], `"level":"WARN"`) || !strings.Contains(loud[0], c.issuer) {
		t.Errorf("want one warning that names the issuer, got %q", loud)
	}
	conn := dial(t, s.Catalogue().Listeners.Check.Address)
	if got := ask(t, conn, "orders", "/orders/7", token); got != "503 okta_unavailable" {
		t.Errorf("Okta dead: %s", got)
	}
	if err := okta.Up(); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, conn, "orders", "/orders/7", token); got != "allow" {
		t.Errorf("Okta up again: %s", got)
	}
}

// Until the server has been asked once, whatever it says, requests had better go to
// another replica.
func TestNotReadyBeforeOktaWasTried(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(asked) })
	okta.Respond(oktatest.Metadata, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		first()
		<-answer
	}))
	s, _ := begin(t, c)
	<-asked
	if code, body := get(t, s, "/readyz?verbose"); code != http.StatusServiceUnavailable || !strings.Contains(body, "not tried yet") {
		t.Errorf("before: %d %s", code, body)
	}
	close(answer)
	ready(t, s)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	_, c := newOrg(t)
	s, _ := begin(t, c)
	check, xds := dial(t, s.Catalogue().Listeners.Check.Address), dial(t, s.Catalogue().Listeners.XDS.Address)
	call := func(conn *grpc.ClientConn, method string, req any) codes.Code {
		return status.Code(conn.Invoke(t.Context(), method, req, new(emptypb.Empty)))
	}
	const method = authv3.Authorization_Check_FullMethodName
	for name, tt := range map[string]struct {
		got, want codes.Code
	}{
		"just under 256 KiB": {call(check, method, question("orders", "/"+strings.Repeat("a", 255<<10), "")), codes.OK},
		"over 256 KiB":       {call(check, method, question("orders", "/"+strings.Repeat("a", 256<<10), "")), codes.ResourceExhausted},
		"unknown service":    {call(check, "/durward.v1.Nothing/Do", new(emptypb.Empty)), codes.Unimplemented},
		"xDS on check": {
			call(check, "/envoy.service.cluster.v3.ClusterDiscoveryService/FetchClusters", new(discoveryv3.DiscoveryRequest)), codes.Unimplemented,
		},
		"check on xDS": {call(xds, method, question("orders", "/", "")), codes.Unimplemented},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %s, want %s", name, tt.got, tt.want)
		}
	}
}
