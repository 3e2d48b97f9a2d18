package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

const rejectedFiles = "the listener's certificate files cannot be used; the old ones stay in use"

// healthy reports whether the server answers this client.
func (c *secured) healthy(t *testing.T, address string, cert tls.Certificate) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := healthpb.NewHealthClient(c.dialAs(t, address, cert)).Check(ctx, new(healthpb.HealthCheckRequest))
	return err == nil
}

// New files take effect without a restart, bad ones do not, and both are told of.
func TestCertificatesAreReadAgain(t *testing.T) {
	t.Parallel()
	_, c := newSecured(t)
	s, log := begin(t, c.config)
	address, guard := s.Catalogue().Listeners.Check.Address, s.guards["check"]
	port := filepath.Join(c.dir, "port")
	first := shown(t, address)
	if got := testutil.ToFloat64(guard.expiry); got != float64(first.NotAfter.Unix()) {
		t.Errorf("expiry is %v, want %v", got, first.NotAfter)
	}
	kept := c.dialAs(t, address, c.envoy)
	if _, err := healthpb.NewHealthClient(kept).Check(t.Context(), new(healthpb.HealthCheckRequest)); err != nil {
		t.Fatal(err)
	}

	// The certificate comes before its key: nothing that could serve.
	next := c.ours.issue(t, dnsName(ourName))
	key := next.PrivateKey
	next.PrivateKey = nil
	writePair(t, port, next)
	eventually(t, "the certificate without its key is rejected", func() bool { return testutil.ToFloat64(guard.good) == 0 })
	for range 3 {
		guard.refresh()
	}
	var told int
	for _, line := range log.lines(t, rejectedFiles) {
		if line["listener"] == "check" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	if !shown(t, address).Equal(first) || !c.healthy(t, address, c.envoy) {
		t.Error("the old certificate no longer serves")
	}

	next.PrivateKey = key
	writePair(t, port, next)
	eventually(t, "the new certificate serves", func() bool { return shown(t, address).Equal(next.Leaf) })
	eventually(t, "the metrics follow", func() bool {
		return testutil.ToFloat64(guard.good) == 1 && testutil.ToFloat64(guard.expiry) == float64(next.Leaf.NotAfter.Unix())
	})

	// Clients of another authority, and no longer those of the old one.
	others := newSigner(t)
	newcomer := others.issue(t, dnsName(envoyName))
	if c.healthy(t, address, newcomer) {
		t.Error("a stranger is let in")
	}
	others.write(t, filepath.Join(c.dir, "client-ca"))
	eventually(t, "clients of the new authority are let in", func() bool { return c.healthy(t, address, newcomer) })
	if c.healthy(t, address, c.envoy) {
		t.Error("a client of the authority that was withdrawn is let in")
	}
	if _, err := healthpb.NewHealthClient(kept).Check(t.Context(), new(healthpb.HealthCheckRequest)); err != nil {
		t.Errorf("a connection from before: %v", err)
	}

	if err := os.Remove(filepath.Join(c.dir, "client-ca")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the absent file is rejected", func() bool { return testutil.ToFloat64(guard.good) == 0 })
	if !c.healthy(t, address, newcomer) || c.healthy(t, address, c.envoy) {
		t.Error("without the file others are let in than before")
	}
}

// TestClientAuthorityOverwritten: the authority of clients is another one from the next
// connection on, also where its file was written over and size and times stayed.
func TestClientAuthorityOverwritten(t *testing.T) {
	t.Parallel()
	_, c := newSecured(t)
	path := filepath.Join(c.dir, "client-ca")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	others, next := newSigner(t), []byte(nil)
	for range 1000 { // a signature is a byte shorter now and then
		if next = pemOf("CERTIFICATE", others.cert.Raw); len(next) == len(old) {
			break
		}
		others = newSigner(t)
	}
	s, log := begin(t, c.config)
	address, newcomer := s.Catalogue().Listeners.Check.Address, others.issue(t, dnsName(envoyName))
	if !c.healthy(t, address, c.envoy) || c.healthy(t, address, newcomer) || len(next) != len(old) {
		t.Fatalf("at the start, %d and %d bytes: %s", len(old), len(next), log)
	}
	at, err := os.Stat(path)
	if err == nil {
		err = errors.Join(os.WriteFile(path, next, 0o600), os.Chtimes(path, at.ModTime(), at.ModTime()))
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "clients of the new authority are let in", func() bool { return c.healthy(t, address, newcomer) })
	if c.healthy(t, address, c.envoy) {
		t.Error("a client of the authority that was withdrawn is let in")
	}
	s.guards["check"].refresh()
	s.guards["check"].refresh()
	if n := len(log.lines(t, "the listener's certificate was read again")); n > 2 { // one for each port
		t.Errorf("told %d times", n)
	}
}

// TestCAFileOfServer: an authority that is taken out of an authorization server's ca_file is
// believed no more, without a restart, and status tells of a file that cannot be used.
func TestCAFileOfServer(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	ca, path := newSigner(t), filepath.Join(c.dir, "okta-ca")
	ca.write(t, path)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"active":false}`))
	}))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })}}
	srv.StartTLS()
	defer srv.Close()
	c.issuer = srv.URL + "/oauth2/default"
	const keys = "audience: api://default\n    ca_file: okta-ca\n    tokens: opaque" // so that it is asked whatever the token
	writeFile(t, c.file(), strings.Replace(c.text(), "audience: api://default", keys, 1), 0o600)
	s, log := begin(t, c)
	ready(t, s)
	conn := dial(t, s.Catalogue().Listeners.Check.Address)
	answer := func() string { return ask(t, conn, "orders", "/orders/7", mint(t, okta)) }
	condition := func() string {
		for _, o := range s.status().Objects {
			if o.Kind == "authorization_server" {
				return o.State + " " + o.Reason
			}
		}
		return ""
	}
	believed := answer()
	if believed != "401 token_inactive" {
		t.Fatal(believed)
	}
	writeFile(t, path, "canary", 0o600)
	eventually(t, "status tells of the file", func() bool { return strings.Contains(condition(), "ca_file cannot be used") })
	if got := answer(); got != believed || strings.Contains(log.String(), "canary") {
		t.Errorf("while the file is bad: %s, and before: %s\n%s", got, believed, log)
	}
	newSigner(t).write(t, path)
	eventually(t, "the old authority is believed no more", func() bool { return strings.Contains(answer(), "503") })
}

// A new configuration may name other files and clients; a port stays what it was bound
// as, and a bad one changes nothing.
func TestReloadOfTLS(t *testing.T) {
	t.Parallel()
	_, c := newSecured(t)
	s, log := begin(t, c.config)
	address := s.Catalogue().Listeners.Check.Address
	other := c.clients.issue(t, dnsName("second.internal"))

	c.replace = strings.NewReplacer(envoyName, "second.internal")
	c.write(t)
	if err := s.Reload(t.Context()); err != nil || !c.healthy(t, address, other) || !c.healthy(t, address, c.envoy) {
		t.Errorf("another name: %v\n%s", err, log)
	}
	c.replace = strings.NewReplacer("client_ca_file: client-ca", "client_ca_file: absent", envoyURI, "spiffe://nobody")
	c.write(t)
	if err := s.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "DW318") || !c.healthy(t, address, c.envoy) {
		t.Errorf("an absent file: %v", err)
	}

	const message = "listeners changed; address, mode and whether they speak TLS change when durward is started again"
	if n := len(log.lines(t, message)); n != 0 {
		t.Errorf("told %d times that listeners changed", n)
	}
	c.config.write(t) // without TLS
	if err := s.Reload(t.Context()); err != nil || len(log.lines(t, message)) != 1 {
		t.Errorf("without TLS: %v\n%s", err, log)
	}
	if l := s.Catalogue().Listeners; l.Check.TLS == nil || l.XDS.TLS == nil {
		t.Errorf("Envoy would be told to speak plaintext to %+v", l)
	}
	if got := call(t, dial(t, address), "/grpc.health.v1.Health/Check"); got != codes.Unavailable || !c.healthy(t, address, other) {
		t.Errorf("plaintext afterwards: %v", got)
	}
}

// The start says which file is bad, and binds nothing for long.
func TestRefusesCertificates(t *testing.T) {
	t.Parallel()
	_, c := newSecured(t)
	writeFile(t, filepath.Join(c.dir, "port-key"), "canary", 0o600)
	if err := refused(t, c.config); !strings.Contains(err.Error(), "DW317") || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v, want DW317", err)
	}
}

// Before anything was read a guard lets nobody in.
func TestGuardOfNothing(t *testing.T) {
	t.Parallel()
	if err := isAllowed(tls.ConnectionState{}, []string{""}); err == nil {
		t.Error("a client without a certificate is allowed")
	}
	_, c := newSecured(t)
	cat, _, err := Load(c.file())
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(c.file(), quiet(), cat.Listeners)
	if err := s.bind(t.Context(), cat.Listeners); err != nil {
		t.Fatal(err)
	}
	s.serve()
	defer func() { _ = s.Close() }()
	if c.healthy(t, s.listeners.check.Addr().String(), c.envoy) {
		t.Error("it serves without a certificate")
	}
}

// A socket has its mode whatever the umask, and from the moment it is there.
func TestSocketMode(t *testing.T) {
	t.Parallel()
	dir := socketDir(t)
	for name, mode := range map[string]fs.FileMode{"owner": 0o600, "group": 0o660, "all": 0o666} {
		path := filepath.Join(dir, name)
		l, err := bindSocket(t.Context(), path, mode)
		if err != nil {
			t.Fatal(err)
		}
		if got := modeOf(t, path); got&^mode != 0 || got&0o600 != 0o600 {
			t.Errorf("bound with %v, want at most %v", got, mode)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if l, err = Listen(t.Context(), "check", "unix:"+path, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		if got := modeOf(t, path); got != mode {
			t.Errorf("listening with %v, want %v", got, mode)
		}
	}
}

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	at, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := at.Sys().(*syscall.Stat_t); !ok || at.Mode().Type() != fs.ModeSocket {
		t.Errorf("%s is %v", path, at.Mode())
	}
	return at.Mode().Perm()
}
