package ads_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/contract"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

func apiOf(c *authv3.AttributeContext) string {
	return c.GetContextExtensions()[contract.ContextExtensionAPI]
}

// checkedAs fails unless exactly one check came, under the name of that API, or none
// at all if api is empty.
func (g *gateway) checkedAs(t *testing.T, what, api string) {
	t.Helper()
	var got []string
	for _, c := range g.checker.take() {
		got = append(got, apiOf(c))
	}
	var want []string
	if api != "" {
		want = []string{api}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: checks by API (-want +got):\n%s", what, diff)
	}
}

func TestRealEnvoyRoutes(t *testing.T) {
	t.Parallel()
	one, two := backend(t, "one"), backend(t, "two")
	g := startGateway(t,
		api("orders", "/orders", one, "orders.example.com", "[2001:db8::1]"),
		api("orders-v2", "/orders/v2", two+"/v2", "*"),
		api("shop", "/", two+"/shop", "*.shop.example.com"),
		api("root", "/", one, "root.example.com"),
	)
	tests := []struct {
		target, host, api string
		status            int
		backend, uri      string
	}{
		{"/orders", "", "orders", 200, "one", "/"},
		{"/orders?q=1", "", "orders", 200, "one", "/?q=1"},
		{"/orders/", "", "orders", 200, "one", "/"},
		{"/orders/7", "", "orders", 200, "one", "/7"},
		{"/orders/7/?a=b&c=%2F", "", "orders", 200, "one", "/7/?a=b&c=%2F"},
		{"/orders//7", "", "orders", 200, "one", "/7"},
		{"//orders///7//", "", "orders", 200, "one", "/7/"},
		{"/orders/a%20b", "", "orders", 200, "one", "/a%20b"},
		{"/orders/%61", "", "orders", 200, "one", "/a"},
		{"/x/../orders/./7", "", "orders", 200, "one", "/7"},
		{"/orders/v2", "", "orders-v2", 200, "two", "/v2"},
		{"/orders/v2/", "", "orders-v2", 200, "two", "/v2/"},
		{"/orders/v2/7?q=1", "", "orders-v2", 200, "two", "/v2/7?q=1"},
		{"/orders/v2x", "", "orders", 200, "one", "/v2x"},
		{"/orders/v2", "other.org", "orders-v2", 200, "two", "/v2"},
		{"/", "root.example.com", "root", 200, "one", "/"},
		{"/?q", "root.example.com", "root", 200, "one", "/?q"},
		{"/a/b", "root.example.com", "root", 200, "one", "/a/b"},
		{"/", "a.shop.example.com", "shop", 200, "two", "/shop"},
		{"/x/", "a.b.shop.example.com", "shop", 200, "two", "/shop/x/"},
		{"/orders/7", "ORDERS.Example.COM:8443", "orders", 200, "one", "/7"},
		{"/orders/7", "orders.example.com.", "orders", 200, "one", "/7"},
		{"/orders/7", "[2001:db8::1]:10000", "orders", 200, "one", "/7"},
		{"http://orders.example.com/orders/7", "evil.org", "orders", 200, "one", "/7"},

		{"/ordersX", "", contract.NoAPI, 404, "", ""},
		{"/Orders", "", contract.NoAPI, 404, "", ""},
		{"/orders;a=1", "", contract.NoAPI, 404, "", ""},
		{"/orders/../x", "", contract.NoAPI, 404, "", ""},
		{"/", "", contract.NoAPI, 404, "", ""},
		{"/orders/7", "other.org", contract.NoAPI, 404, "", ""},
		{"/", "shop.example.com", contract.NoAPI, 404, "", ""},

		{"/orders/..%2Fx", "", "", 400, "", ""},
		{"/orders/%5Cx", "", "", 400, "", ""},
		{"/orders/%00", "", "", 400, "", ""},
		{"orders", "", "", 400, "", ""},
	}
	for _, tt := range tests {
		var headers []string
		if tt.host != "" {
			headers = append(headers, "host: "+tt.host)
		}
		what := tt.host + " " + tt.target
		a := g.send(t, "GET", tt.target, headers...)
		if a.status != tt.status || a.Backend != tt.backend || a.URI != tt.uri {
			t.Errorf("%s: %d, backend %q got %q; want %d, %q, %q", what, a.status, a.Backend, a.URI, tt.status, tt.backend, tt.uri)
		}
		if tt.backend != "" && a.Host != strings.TrimPrefix(map[string]string{"one": one, "two": two}[tt.backend], "http://") {
			t.Errorf("%s: the backend is asked as %s, not by its own host", what, a.Host)
		}
		g.checkedAs(t, what, tt.api)
	}
	g.noNACKs(t)
}

func TestRealEnvoyDoor(t *testing.T) {
	t.Parallel()
	g := startGateway(t, api("orders", "/orders", backend(t, "orders")))
	// What a check that changes nothing lets the backend see of a plain request.
	const bare = "authorization: Bearer bare"
	clean := g.send(t, "GET", "/orders", bare).Header
	names := slices.Sorted(maps.Keys(clean))
	if diff := cmp.Diff([]string{"Authorization", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id"}, names); diff != "" {
		t.Errorf("headers to the backend (-want +got):\n%s", diff)
	}

	forbidden := slices.Concat(contract.IdentityHeaders(), contract.RewriteHeaders(), []string{
		"x-auth-", "x-auth-new", "x-envoy-retry-on", "x-envoy-upstream-rq-timeout-ms", "x-envoy-original-path",
		"x-envoy-external-address", "x-envoy-internal", "x-ext-authz-check-result", "x-forwarded-for",
		"x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-uri",
		"x-forwarded-client-cert",
	})
	for _, name := range forbidden {
		for _, forged := range [][]string{
			{name + ": evil"},
			{strings.ToUpper(name) + ": evil"},
			{http.CanonicalHeaderKey(name) + ":"},
			{name + ": a", strings.ToUpper(name) + ": b", name + ":"},
		} {
			a := g.send(t, "GET", "/orders", append(forged, bare)...)
			got, want := a.Header.Clone(), clean.Clone()
			got.Del("X-Request-Id")
			want.Del("X-Request-Id")
			if diff := cmp.Diff(want, got); a.status != 200 || diff != "" {
				t.Errorf("%q: %d, the backend sees (-want +got):\n%s", forged, a.status, diff)
			}
		}
	}
	// What the check says comes through, once.
	a := g.send(t, "GET", "/orders", "authorization: Bearer a", "X-Auth-Subject: evil", "x-auth-subject: evil", "x-decision-id: evil")
	for name, want := range map[string][]string{"X-Auth-Subject": {"ours"}, "X-Decision-Id": {"ours"}, "Authorization": nil} {
		if diff := cmp.Diff(want, a.Header.Values(name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	if a := g.send(t, "GET", "/orders", "x-request-id: chosen-by-caller"); a.Header.Get("X-Request-Id") == "chosen-by-caller" {
		t.Error("the caller chooses the request id")
	}
	if a := g.send(t, "GET", "/orders"); len(a.header.Values("X-Envoy-Upstream-Service-Time")) != 0 {
		t.Error("the caller sees x-envoy headers")
	}
	g.checker.take()

	for _, name := range []string{"x_auth_subject", "X-Auth_Subject", "x_decision_id", "anything_else"} {
		if a := g.send(t, "GET", "/orders", name+": evil"); a.status != 400 {
			t.Errorf("%s: %d, want 400", name, a.status)
		}
		g.checkedAs(t, name, "")
	}
	g.noNACKs(t)
}

func TestRealEnvoyChecks(t *testing.T) {
	t.Parallel()
	g := startGateway(t, api("orders", "/orders", backend(t, "orders")))

	a := g.send(t, "GET", "/orders/7?q=1", "authorization: Bearer a", "dpop: p", "dpop: q", "cookie: c",
		"content-type: text/plain", "traceparent: 00-1-2-00", "x-other: 1", "X-Auth-Subject: evil")
	if a.status != 200 {
		t.Fatalf("status %d", a.status)
	}
	checks := g.checker.take()
	if len(checks) != 1 {
		t.Fatalf("%d checks", len(checks))
	}
	request := checks[0].GetRequest().GetHttp()
	got := make(map[string][]string)
	for _, h := range request.GetHeaderMap().GetHeaders() {
		got[h.GetKey()] = append(got[h.GetKey()], string(h.GetRawValue()))
	}
	if len(got["x-request-id"]) != 1 {
		t.Errorf("request ids %q", got["x-request-id"])
	}
	delete(got, "x-request-id")
	want := map[string][]string{
		"authorization": {"Bearer a"}, "dpop": {"p", "q"}, "content-type": {"text/plain"}, "traceparent": {"00-1-2-00"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers of the check (-want +got):\n%s", diff)
	}
	if request.GetPath() != "/orders/7?q=1" || request.GetHost() != "orders.example.com" || len(request.GetHeaders()) != 0 {
		t.Errorf("check of %s%s, headers %v", request.GetHost(), request.GetPath(), request.GetHeaders())
	}
	if diff := cmp.Diff(map[string]string{contract.ContextExtensionAPI: "orders"}, checks[0].GetContextExtensions()); diff != "" {
		t.Errorf("context extensions (-want +got):\n%s", diff)
	}

	a = g.send(t, "GET", "/orders", "authorization: Bearer deny")
	if a.status != 403 || a.body != "denied by the checker" {
		t.Errorf("a denied call gets %d %q", a.status, a.body)
	}
	// Answers that say more than the contract are refused whole.
	if a := g.send(t, "GET", "/orders", "authorization: Bearer overreach"); a.status != 500 {
		t.Errorf("an answer that sets another header leads to %d", a.status)
	}
	g.checker.take()

	// Ways around routes and checks.
	for _, tt := range []struct {
		method, target string
		headers        []string
		want           int
	}{
		{"GET", "/orders", []string{"connection: upgrade", "upgrade: websocket"}, 403},
		{"CONNECT", "orders.example.com:443", nil, 404},
		{"OPTIONS", "*", nil, 404},
	} {
		if a := g.send(t, tt.method, tt.target, tt.headers...); a.status != tt.want {
			t.Errorf("%s %s %q: %d, want %d", tt.method, tt.target, tt.headers, a.status, tt.want)
		}
		g.checkedAs(t, tt.method, "")
	}

	g.stopChecker()
	for _, target := range []string{"/orders", "/nowhere"} {
		if a := g.send(t, "GET", target); a.status != 503 {
			t.Errorf("%s with a dead checker: %d, want 503", target, a.status)
		}
	}
	g.noNACKs(t)
}

// A change of the catalogue reaches callers, and no call looks in vain for a cluster on
// the way.
func TestRealEnvoyFollows(t *testing.T) {
	t.Parallel()
	g := startGateway(t, api("orders", "/orders", backend(t, "a")))
	// The first removal waits for the default timeout of checks, the others hardly.
	stop, outcome := make(chan struct{}), make(chan map[string]int)
	for range 2 {
		go func() {
			seen := make(map[string]int)
			for {
				select {
				case <-stop:
					outcome <- seen
					return
				default:
					a, err := g.try("GET", "/orders")
					seen[fmt.Sprint(a.status, err)]++
				}
			}
		}()
	}
	for i := range 10 {
		url := backend(t, fmt.Sprint("b", i))
		cat := compile(t, g.check, g.xds, api("orders", "/orders", url), api("new", "/new", url))
		cat.CheckTimeout = 400 * time.Millisecond
		if err := publish(t.Context(), g.server, cat); err != nil {
			t.Fatal(err)
		}
		g.acked(t)
		time.Sleep(cat.CheckTimeout + 150*time.Millisecond) // until the former cluster is gone
	}
	for deadline := time.Now().Add(10 * time.Second); g.stat(t, "cluster_manager.cluster_removed") != "10"; {
		if time.Now().After(deadline) {
			t.Errorf("%s clusters were removed, want the 10 that were left", g.stat(t, "cluster_manager.cluster_removed"))
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	close(stop)
	// On a busy machine checks take longer than their timeout: those calls get 503, too.
	one, two := <-outcome, <-outcome
	if n := g.stat(t, "http.edge.no_cluster"); n != "0" {
		t.Errorf("%s calls found no cluster; outcomes %v and %v", n, one, two)
	}
	if one["200 <nil>"]+two["200 <nil>"] < 100 {
		t.Errorf("outcomes %v and %v", one, two)
	}
	// As long as the default allows, so that a stall cannot fail what follows.
	last := backend(t, "last")
	g.publish(t, api("orders", "/orders", last), api("new", "/new", last))
	g.acked(t)
	if a := g.send(t, "GET", "/new/1"); a.status != 200 || a.Backend != "last" {
		t.Errorf("the new API answers %d from %q", a.status, a.Backend)
	}
	g.noNACKs(t)
}

func TestRealEnvoyVerifiesBackends(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(echoHandler("tls")) // for 127.0.0.1 and example.com
	t.Cleanup(srv.Close)
	port := srv.URL[strings.LastIndexByte(srv.URL, ':'):]
	trusted := writePEM(t, srv.Certificate())
	old := httptest.NewUnstartedServer(echoHandler("old"))
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	t.Cleanup(old.Close)

	secure := func(name, url, ca string) *durwardv1.API {
		a := api(name, "/"+name, url)
		a.Backend.Tls = &durwardv1.BackendTLS{CaFile: ca}
		return a
	}
	g := startGateway(t,
		secure("good", "https://127.0.0.1"+port, trusted),
		secure("other-name", "https://localhost"+port, trusted),
		secure("old", old.URL, writePEM(t, old.Certificate())),
		secure("untrusted", "https://127.0.0.1"+port, writePEM(t, otherAuthority(t))),
	)
	for name, want := range map[string]int{"good": 200, "other-name": 503, "old": 503, "untrusted": 503} {
		if a := g.send(t, "GET", "/"+name); a.status != want {
			t.Errorf("%s: %d %q, want %d", name, a.status, a.body, want)
		}
	}
	g.noNACKs(t)
}

func otherAuthority(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func writePEM(t *testing.T, cert *x509.Certificate) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Clients that never end must not keep a shutdown from ending.
func TestRealEnvoyOutlivesTheControlPlane(t *testing.T) {
	t.Parallel()
	g := startGateway(t, api("orders", "/orders", backend(t, "orders")))
	g.server.Close()
	deadline := time.Now().Add(10 * time.Second)
	for g.metric(t, "durward_xds_streams") != 0 {
		if time.Now().After(deadline) {
			t.Fatal("the stream is still open")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if a := g.send(t, "GET", "/orders"); a.status != 200 {
		t.Errorf("without control plane: %d", a.status)
	}
}
