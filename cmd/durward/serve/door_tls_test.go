package serve

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
)

// handshake connects to the gateway, with a name of the server or none.
func (d *door) handshake(t *testing.T, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	config.InsecureSkipVerify = true
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", d.gateway, config)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, c.SetDeadline(time.Now().Add(20 * time.Second))
}

// over sends a request on a connection and returns the verdict.
func over(c net.Conn, r *bufio.Reader, request string) string {
	if _, err := io.WriteString(c, request); err != nil {
		return err.Error()
	}
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	if res.Close {
		return verdict(res) + " and the connection ends"
	}
	return verdict(res)
}

func (d *door) get(at, token string) string {
	host, path, _ := strings.Cut(at, "/")
	request := "GET /" + path + " HTTP/1.1\r\nHost: " + host + "\r\n"
	if token != "" {
		request += "Authorization: Bearer " + token + "\r\n"
	}
	return request + "\r\n"
}

func withSerial(serial int64) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.DNSNames, c.SerialNumber = []string{"chat.example.com", "*.wild.example.com"}, big.NewInt(serial)
	}
}

// namesAsked (Q10): the name that a caller asks for in the handshake, or that it asks for
// none, decides nothing: each host has the policy that it has under its own name.
func namesAsked(t *testing.T) {
	pair := filepath.Join(t.TempDir(), "door")
	writePair(t, pair, newSigner(t).issue(t, withSerial(1)))
	d := newDoor(t, "https", fmt.Sprintf(", tls: { cert_file: %q, key_file: %q }", pair, pair+"-key"))
	stranger := d.wrong("aud", `"api://other"`)
	for _, name := range []string{"chat.example.com", "a.wild.example.com", "other.example.net", "secret.internal", ""} {
		c, err := d.handshake(t, &tls.Config{ServerName: name})
		if err != nil {
			t.Fatalf("name %q: %v", name, err)
		}
		r := bufio.NewReader(c)
		for _, host := range []string{"chat.example.com", "CHAT.example.com", "a.wild.example.com", "other.example.net"} {
			for at, want := range map[string][3]string{
				host + "/plain/1":   {"200", "401 token_missing", "401 audience_mismatch"},
				host + "/none":      {"404 api_unknown", "404 api_unknown", "404 api_unknown"},
				host + "/inside/1":  {"404 api_unknown", "404 api_unknown", "404 api_unknown"},
				host + "/drafted/1": {"404 api_unknown", "404 api_unknown", "404 api_unknown"},
			} {
				for i, token := range []string{d.token, "", stranger} {
					if got := over(c, r, d.get(at, token)); got != want[i] {
						t.Errorf("name %q, %s: %s, want %s", name, at, got, want[i])
					}
				}
			}
		}
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if _, err := d.handshake(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}); err == nil {
			t.Errorf("%s is spoken", tls.VersionName(version))
		}
	}
	for _, protocol := range []string{"h2", "http/1.1"} {
		c, err := d.handshake(t, &tls.Config{NextProtos: []string{protocol}})
		if err != nil || c.ConnectionState().NegotiatedProtocol != protocol {
			t.Errorf("%s is not spoken: %v", protocol, err)
		}
	}
}

// renewed holds that callers see the next certificate once it is there, and that one who
// is connected stays so.
func (d *door) renewed(t *testing.T, serial int64, renew func()) {
	t.Helper()
	old, err := d.handshake(t, &tls.Config{ServerName: "chat.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(old)
	allowed := d.get("chat.example.com/plain/1", d.token)
	if got := over(old, r, allowed); got != "200" {
		t.Fatal(got)
	}
	_, before := get(t, d.Server, "/metrics")
	renew()
	eventually(t, "the next certificate is shown", func() bool {
		c, err := d.handshake(t, &tls.Config{ServerName: "chat.example.com"})
		if err != nil {
			t.Errorf("a caller is turned away meanwhile: %v", err)
			return true
		}
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == serial
	})
	for range 3 {
		if got := over(old, r, allowed); got != "200" {
			t.Errorf("the old connection: %s", got)
		}
	}
	_, after := get(t, d.Server, "/metrics")
	for _, kind := range []string{"listener", "secret", "cluster", "route", "scope"} {
		counted := `durward_xds_resources_sent_total{type="` + kind + `"} `
		_, was, _ := strings.Cut(before, counted)
		_, is, _ := strings.Cut(after, counted)
		was, _, _ = strings.Cut(was, "\n")
		is, _, _ = strings.Cut(is, "\n")
		if was != is || is == "" {
			t.Errorf("resources of type %s were sent again: %q, then %q", kind, was, is)
		}
	}
}

// The files of the certificate may be replaced one by one, or a directory at once.
func TestGatewayCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	a, dir := newSigner(t), t.TempDir()
	pair := filepath.Join(dir, "door")
	writePair(t, pair, a.issue(t, withSerial(1)))
	d := newDoor(t, "https", fmt.Sprintf(", tls: { cert_file: %q, key_file: %q }", pair, pair+"-key"))
	d.renewed(t, 2, func() { writePair(t, pair, a.issue(t, withSerial(2))) })
	d.renewed(t, 3, func() { writePair(t, pair, a.issue(t, withSerial(3))) })
}

// As kubelet does it: the directory that the files are links into is another one.
func TestGatewayCertificateIsRenewedAsKubeletDoes(t *testing.T) {
	t.Parallel()
	a, dir := newSigner(t), t.TempDir()
	mount := func(version string, serial int64) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		writePair(t, filepath.Join(dir, version, "tls"), a.issue(t, withSerial(serial)))
		link := filepath.Join(dir, "..next")
		if err := os.Symlink(version, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("..1", 1)
	for _, name := range []string{"tls", "tls-key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	pair := filepath.Join(dir, "tls")
	d := newDoor(t, "https", fmt.Sprintf(", tls: { cert_file: %q, key_file: %q, min_version: \"1.3\" }", pair, pair+"-key"))
	d.renewed(t, 2, func() { mount("..2", 2) })
	if _, err := d.handshake(t, &tls.Config{MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 is spoken where 1.3 is the minimum")
	}
}

// agent is an SDS server, as a SPIRE agent is one.
type agent struct {
	secretv3.UnimplementedSecretDiscoveryServiceServer
	name string

	mu      sync.Mutex
	current tls.Certificate
	changed chan struct{}
}

// put makes c the certificate of all who ask.
func (a *agent) put(c tls.Certificate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current = c
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *agent) StreamSecrets(stream secretv3.SecretDiscoveryService_StreamSecretsServer) error {
	req, err := stream.Recv()
	if err != nil {
		return err
	}
	for version := 1; ; version++ {
		a.mu.Lock()
		c, changed := a.current, a.changed
		a.mu.Unlock()
		for _, name := range req.GetResourceNames() {
			if name != a.name {
				return fmt.Errorf("asked for %q", name)
			}
		}
		inline := func(kind string, der []byte) *corev3.DataSource {
			return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: pemOf(kind, der)}}
		}
		secret := &tlsv3.Secret{Name: a.name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: inline("CERTIFICATE", c.Certificate[0]),
			PrivateKey:       inline("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(c.PrivateKey))),
		}}}
		err := stream.Send(&discoveryv3.DiscoveryResponse{
			VersionInfo: fmt.Sprint(version), Nonce: fmt.Sprint(version), TypeUrl: req.GetTypeUrl(), Resources: []*anypb.Any{must(anypb.New(secret))},
		})
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

// The key of the certificate goes from the SDS server to Envoy alone.
func TestGatewayCertificateFromAnSDSServer(t *testing.T) {
	t.Parallel()
	authority := newSigner(t)
	a := &agent{name: "spiffe://example.com/edge", current: authority.issue(t, withSerial(1)), changed: make(chan struct{})}
	socket := filepath.Join(t.TempDir(), "agent.sock")
	l := must(net.Listen("unix", socket))
	srv := grpc.NewServer()
	secretv3.RegisterSecretDiscoveryServiceServer(srv, a)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	d := newDoor(t, "https", fmt.Sprintf(", tls: { sds: { address: %q, name: %q } }", "unix:"+socket, a.name))
	d.renewed(t, 2, func() { a.put(authority.issue(t, withSerial(2))) })
}
