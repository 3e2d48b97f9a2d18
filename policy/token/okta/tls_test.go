package okta_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// authority is a CA of our own.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  string
}

func newAuthority(t *testing.T, key crypto.Signer) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key, pemText(t, "CERTIFICATE", der, nil)}
}

// issue makes a server certificate for 127.0.0.1 and okta.example, changed.
func (a authority) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"okta.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, keys().rsa.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: keys().rsa}
}

func tlsServer(t *testing.T, c *tls.Config) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		writeJSON(w, 200, `{"active":false}`)
	}))
	srv.TLS = c
	srv.Config.ErrorLog = nil
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

// TestF13 (F13): a server that cannot prove who it is gets no token; the metric tells
// that from other outages.
func TestF13(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t, keys().p256), newAuthority(t, keys().p384)
	trust := file(t, other.pem+ca.pem)
	same := func(*x509.Certificate) {}
	for name, c := range map[string]struct {
		tls    *tls.Config
		caFile string
		code   string
	}{
		"good":      {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, same)}}, trust, "200"},
		"no CA":     {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, same)}}, "", "tls"},
		"wrong CA":  {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, same)}}, file(t, other.pem), "tls"},
		"expired":   {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })}}, trust, "tls"},
		"not yet":   {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })}}, trust, "tls"},
		"name":      {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, func(c *x509.Certificate) { c.IPAddresses = nil })}}, trust, "tls"},
		"NUL SAN":   {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"127.0.0.1\x00.evil.example"} })}}, trust, "tls"},
		"CN alone":  {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames, c.Subject.CommonName = nil, nil, "127.0.0.1" })}}, trust, "tls"},
		"no server": {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })}}, trust, "tls"},
		"TLS 1.1":   {&tls.Config{Certificates: []tls.Certificate{ca.issue(t, same)}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, trust, "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := prometheus.NewPedanticRegistry()
			m := okta.NewMetrics(registry)
			srv := tlsServer(t, c.tls)
			cl := client(t, srv.URL, func(cfg *okta.Config) { cfg.CAFile, cfg.Metrics = c.caFile, m })
			got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
			if c.code == "200" && err != nil {
				t.Error(err)
			}
			if c.code != "200" {
				mustFail(t, got, err, token.Unavailable)
			}
			want := "# HELP durward_okta_requests_total Requests sent to Okta, by endpoint and HTTP status.\n" +
				"# TYPE durward_okta_requests_total counter\n" +
				`durward_okta_requests_total{code="` + c.code + `",endpoint="introspect"} 1` + "\n"
			if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "durward_okta_requests_total"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAuthoritiesAreReadAgain: an authority that is taken out of the file, in place and with
// the old times, is believed no more, not even on a connection that is open; a file that is
// gone or half written changes nothing, and is told of.
func TestAuthoritiesAreReadAgain(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t, keys().p256), newAuthority(t, keys().p384)
	srv := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, func(*x509.Certificate) {})}})
	path, registry := file(t, ca.pem), prometheus.NewPedanticRegistry()
	var log journal
	cl := client(t, srv.URL, func(c *okta.Config) {
		c.Name, c.CAFile, c.Metrics, c.Log = "main", path, okta.NewMetrics(registry), log.logger()
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cl.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	asks := func() error {
		_, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		return err
	}
	becomes := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never: %s\n%s", what, &log)
			}
		}
	}
	write := func(text string) {
		t.Helper()
		stat, err := os.Stat(path)
		if err == nil {
			err = errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, time.Time{}, stat.ModTime()))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := asks(); err != nil {
		t.Fatal(err)
	}
	stale := func() bool { return cl.Status().StaleCA }
	for _, broken := range []string{"", "canary", other.pem + ca.pem[:len(ca.pem)/2], pemText(t, "CERTIFICATE", []byte{1}, nil)} {
		write(broken)
		becomes("told of a broken file", stale)
		if err := asks(); err != nil {
			t.Errorf("a broken file: %v", err)
		}
		write(ca.pem)
		becomes("told that it is mended", func() bool { return !stale() })
	}
	write(other.pem)
	becomes("the old authority is believed no more", func() bool { return asks() != nil })
	write(other.pem + ca.pem)
	becomes("the new authority is believed", func() bool { return asks() == nil })
	if text := log.String(); strings.Count(text, "CA file cannot be used") != 4 || strings.Count(text, "CA file was read again") != 6 {
		t.Errorf("the log says\n%s", text)
	}
}

// TestCodes: how a request ended has a name of a closed list.
func TestCodes(t *testing.T) {
	t.Parallel()
	for want, answer := range map[string]func(*http.Request) (*http.Response, error){
		"refused":  dead,
		"timeout":  silent,
		"dns":      func(*http.Request) (*http.Response, error) { return nil, &net.DNSError{Err: "no such host", Name: "x"} },
		"reset":    func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		"none":     func(*http.Request) (*http.Response, error) { return nil, errors.New("something") },
		"oversize": func(*http.Request) (*http.Response, error) { return plain(200, "", strings.Repeat(" ", 1<<17)) },
		"other":    func(*http.Request) (*http.Response, error) { return plain(799, "", "") },
		"418":      func(*http.Request) (*http.Response, error) { return plain(418, "", "") },
	} {
		registry := prometheus.NewPedanticRegistry()
		m := okta.NewMetrics(registry)
		cl := client(t, "https://example.okta.com", timeout(10*time.Millisecond), func(c *okta.Config) { c.Transport, c.Metrics = roundTrip(answer), m })
		got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		mustFail(t, got, err, token.Unavailable)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range families {
			if f.GetName() == "durward_okta_requests_total" {
				found = len(f.GetMetric()) == 1 && f.GetMetric()[0].GetLabel()[0].GetValue() == want
			}
		}
		if !found {
			t.Errorf("%s: %v", want, families)
		}
	}
}

// TestProxy: HTTPS_PROXY is read once per process, so another one asks.
func TestProxy(t *testing.T) {
	if issuer := os.Getenv("OKTA_TEST_ISSUER"); issuer != "" {
		cl := client(t, issuer, func(c *okta.Config) { c.CAFile = os.Getenv("OKTA_TEST_CA") })
		if _, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Parallel()
	ca := newAuthority(t, keys().p256)
	srv := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, func(*x509.Certificate) {})}})
	var tunnels atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "okta.example:443" {
			t.Errorf("the proxy was sent %s %s", r.Method, r.Host)
		}
		tunnels.Add(1)
		tunnel(t, w, srv.Listener.Addr().String())
	}))
	defer proxy.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestProxy$")
	cmd.Env = append(os.Environ(), "HTTPS_PROXY="+proxy.URL, "NO_PROXY=", "no_proxy=",
		"OKTA_TEST_ISSUER=https://okta.example", "OKTA_TEST_CA="+file(t, ca.pem))
	if out, err := cmd.CombinedOutput(); err != nil || tunnels.Load() != 1 {
		t.Errorf("%d tunnels, %v: %s", tunnels.Load(), err, out)
	}
}

// tunnel connects the client to where the name would have led it.
func tunnel(t *testing.T, w http.ResponseWriter, to string) {
	server, err := net.Dial("tcp", to)
	if err != nil {
		t.Error(err)
		return
	}
	client, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
	_ = client.Close()
}
