package serve

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
	"golang.org/x/net/dns/dnsmessage"
)

// nameServer is a name server that answers every question alike.
type nameServer struct {
	// v4 and v6 are what names resolve to; both nil is NXDOMAIN.
	v4, v6 atomic.Pointer[net.IP]
	slow   atomic.Int64
}

// serve answers until the socket closes.
func (r *nameServer) serve(c net.PacketConn) {
	b := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		time.Sleep(time.Duration(r.slow.Load()))
		var m dnsmessage.Message
		if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		m.Response, m.Additionals = true, nil
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		v4, v6 := r.v4.Load(), r.v6.Load()
		switch {
		case v4 == nil && v6 == nil:
			m.RCode = dnsmessage.RCodeNameError
		case q.Type == dnsmessage.TypeA && v4 != nil:
			m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: [4]byte((*v4).To4())}}}
		case q.Type == dnsmessage.TypeAAAA && v6 != nil:
			m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: [16]byte((*v6).To16())}}}
		}
		if out, err := m.Pack(); err == nil {
			_, _ = c.WriteTo(out, from)
		}
	}
}

func (r *nameServer) point(v4, v6 string) {
	set := func(p *atomic.Pointer[net.IP], text string) {
		p.Store(nil)
		if ip := net.ParseIP(text); ip != nil {
			p.Store(&ip)
		}
	}
	set(&r.v4, v4)
	set(&r.v6, v6)
}

// transport dials by this resolver.
func (r *nameServer) transport(t *testing.T) *http.Transport {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); r.serve(c) }()
	t.Cleanup(func() { _ = c.Close(); <-done })
	dialer := &net.Dialer{Timeout: time.Second, Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", c.LocalAddr().String())
	}}}
	return &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 8}
}

// F12: names do not resolve, slowly, to another address, or to a dead one first.
func faultNames(t *testing.T) {
	i, s, conn := single(t)
	i.url = strings.Replace(i.url, "127.0.0.1", "okta.test", 1) // from here on
	names := new(nameServer)
	names.point("127.0.0.1", "")
	transport := names.transport(t)
	client, err := okta.NewClient(okta.Config{Issuer: i.url, ClientID: "gateway", ClientSecret: "secret", Auth: okta.SecretBasic, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	v, err := token.NewVerifier(token.Config{Issuers: []string{i.url}, Audience: "api://default", Opaque: true}, token.Parts{Server: client, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close(); client.Close() })
	s.authz.Swap(&authz.Generation{Catalogue: s.Catalogue(), Verifiers: map[string]*token.Verifier{"main": v}})
	known := i.mint(t, time.Hour)
	expect(t, conn, "main-long", known, "allow")

	names.point("", "") // an open connection lives on
	expect(t, conn, "main-long", i.mint(t, time.Hour), "allow")
	transport.CloseIdleConnections()
	expect(t, conn, "main-long", i.mint(t, time.Hour), "503 okta_unavailable")
	expect(t, conn, "main-long", known, "allow")

	names.point("127.0.0.1", "")
	names.slow.Store(int64(2 * time.Second))
	got, took := tell(t.Context(), conn, "main-long", i.mint(t, time.Hour), 700*time.Millisecond)
	if got != "503 okta_unavailable" {
		t.Errorf("slow names: %s after %s", got, took)
	}
	within(t, conn, "a cached token while names are slow", expect(t, conn, "main-long", known, "allow"), 2*time.Millisecond)
	names.slow.Store(0)
	time.Sleep(2100 * time.Millisecond) // until the resolver has answered what was under way

	names.point("127.0.0.1", "::1") // nobody listens on ::1
	expect(t, conn, "main-long", i.mint(t, time.Hour), "allow")

	i.down()
	_, port, _ := net.SplitHostPort(i.address)
	i.address = net.JoinHostPort("127.0.0.2", port)
	i.up(t)
	names.point("127.0.0.2", "")
	start := time.Now()
	eventually(t, "the new address is found", func() bool {
		got, _ := tell(t.Context(), conn, "main-long", i.mint(t, time.Hour), time.Second)
		return got == "allow"
	})
	within(t, conn, "another address", time.Since(start), time.Second)
}

// authority signs certificates for 127.0.0.1, but for what change says.
type authority struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	key := signers[2]()
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, cert}
}

func (a *authority) issue(t *testing.T, change func(*x509.Certificate)) *tls.Config {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "okta"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &signers[3]().PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: signers[3]()}}, MinVersion: tls.VersionTLS12}
}

// F13: the authorization server's certificate proves nothing.
func faultCertificates(t *testing.T) {
	trusted, stranger := newAuthority(t, "trusted"), newAuthority(t, "stranger")
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusted.cert.Raw})
	if err := writePrivate(bundle, string(text)); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		ca     *authority
		change func(*x509.Certificate)
		want   string
	}{
		"good":       {trusted, func(*x509.Certificate) {}, "allow"},
		"expired":    {trusted, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "503 okta_unavailable"},
		"wrong CA":   {stranger, func(*x509.Certificate) {}, "503 okta_unavailable"},
		"other name": {trusted, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 9)} }, "503 okta_unavailable"},
		"NUL in the name": {trusted, func(c *x509.Certificate) {
			c.IPAddresses, c.DNSNames = nil, []string{"127.0.0.1\x00.evil.example"}
		}, "503 okta_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIdp(t, func(i *idp) { i.tls = tt.ca.issue(t, tt.change) })
			e := newEdge(t, i)
			e.caFile = bundle
			s, conn := e.launch(t)
			for _, api := range []string{"main-long", "main-jwt", "main-both"} {
				expect(t, conn, api, i.mint(t, time.Hour), tt.want)
			}
			_, metrics := get(t, s, "/metrics")
			counted := strings.Contains(metrics, `durward_okta_requests_total{code="tls",endpoint="introspect"}`)
			if counted != (tt.want != "allow") {
				t.Errorf("code=\"tls\" counted: %t", counted)
			}
			if tt.want != "allow" && i.asked.Load()+i.fetched.Load() > 0 {
				t.Error("something was sent to a stranger")
			}
		})
	}
}
