package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/durward/durward/policy/oktatest"
)

// signer is an authority of certificates, made for one test.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	a := &signer{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = a.sign(t, template, template, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *signer) sign(t *testing.T, template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue signs a certificate for an hour, for both ends of a connection, unless shape
// says otherwise.
func (a *signer) issue(t *testing.T, shape func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	shape(template)
	key := newKey(t)
	cert := a.sign(t, template, a.cert, key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func dnsName(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func uriName(t *testing.T, name string) func(*x509.Certificate) {
	t.Helper()
	u, err := url.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *x509.Certificate) { c.URIs = []*url.URL{u} }
}

func (a *signer) write(t *testing.T, path string) {
	t.Helper()
	writePair(t, path, tls.Certificate{Certificate: [][]byte{a.cert.Raw}})
}

// writePair writes path and, if there is a key, path-key. Each is another file than
// before, as kubelet and cert-manager do it.
func writePair(t *testing.T, path string, c tls.Certificate) {
	t.Helper()
	put := func(path, kind string, der []byte) {
		writeFile(t, path+".new", string(pemOf(kind, der)), 0o600)
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put(path, "CERTIFICATE", c.Certificate[0])
	if c.PrivateKey == nil {
		return
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	put(path+"-key", "PRIVATE KEY", der)
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

const (
	envoyURI  = "spiffe://example.com/ns/edge/envoy"
	envoyName = "envoy.internal"
	ourName   = "durward.internal"
)

// secured is a configuration whose check and xDS ports speak TLS only.
type secured struct {
	config
	// ours signs the ports' certificate, clients those of whoever may call.
	ours, clients *signer
	envoy         tls.Certificate
	// replace edits the text of the configuration.
	replace *strings.Replacer
}

func newSecured(t *testing.T) (*oktatest.Server, *secured) {
	t.Helper()
	okta, c := newOrg(t)
	s := &secured{config: c, ours: newSigner(t), clients: newSigner(t)}
	s.ours.write(t, filepath.Join(c.dir, "our-ca"))
	s.clients.write(t, filepath.Join(c.dir, "client-ca"))
	writePair(t, filepath.Join(c.dir, "port"), s.ours.issue(t, dnsName(ourName)))
	s.envoy = s.clients.issue(t, uriName(t, envoyURI))
	writePair(t, filepath.Join(c.dir, "envoy"), s.envoy)
	s.write(t)
	return okta, s
}

// tlsText is the tls of a port, with Envoy's certificate in a file of that name.
func (s *secured) tlsText(envoy string) string {
	return fmt.Sprintf(`tls: { cert_file: port, key_file: port-key, client_ca_file: client-ca, allowed_sans: [%q, %q],
    envoy: { cert_file: %q, key_file: %q, ca_file: %q, server_name: %s } }`,
		envoyURI, envoyName, filepath.Join(s.dir, envoy), filepath.Join(s.dir, envoy)+"-key", filepath.Join(s.dir, "our-ca"), ourName)
}

func (s *secured) write(t *testing.T) {
	t.Helper()
	s.writeFor(t, "envoy", "envoy")
}

// writeFor names the certificates by which Envoy calls the two ports.
func (s *secured) writeFor(t *testing.T, check, xds string) {
	t.Helper()
	text := s.text()
	for port, envoy := range map[string]string{"check": check, "xds": xds} {
		old := port + `: { address: "127.0.0.1:0" }`
		if strings.Count(text, old) != 1 {
			t.Fatalf("no %s in\n%s", old, text)
		}
		text = strings.Replace(text, old, port+`: { address: "127.0.0.1:0", `+s.tlsText(envoy)+" }", 1)
	}
	if s.replace != nil {
		text = s.replace.Replace(text)
	}
	writeFile(t, s.file(), text, 0o600)
}

// dialAs connects to a port with a client's certificates.
func (s *secured) dialAs(t *testing.T, address string, certs ...tls.Certificate) *grpc.ClientConn {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.ours.cert)
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithNoProxy(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: roots, ServerName: ourName,
		// A client that shows its certificate whatever the server asks for.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certs) == 0 {
				return new(tls.Certificate), nil
			}
			return &certs[0], nil
		},
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// shown is the certificate of the port, whether or not it would let us in.
func shown(t *testing.T, address string) *x509.Certificate {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", address, &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0]
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
