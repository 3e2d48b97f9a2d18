package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// foreignTLS ends TLS by a pair of files, and offers HTTP/2.
const foreignTLS = `{ name: envoy.transport_sockets.tls, typed_config: {
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext,
      common_tls_context: { alpn_protocols: [h2, http/1.1], tls_certificates: [ { certificate_chain: { filename: "%[1]s" }, private_key: { filename: "%[1]s-key" } } ] } } }`

// TestAttackForeignSNI has row Q10: whatever name a caller asks for as it connects, and
// whichever filter chain that leads to, the host of the request alone is judged.
func TestAttackForeignSNI(t *testing.T) {
	t.Parallel()
	authority, pair := newSigner(t), filepath.Join(t.TempDir(), "door")
	writePair(t, pair, authority.issue(t, dnsName("vault.example.com", "api.example.com")))
	roots := x509.NewCertPool()
	roots.AddCert(authority.cert)
	socket := fmt.Sprintf(foreignTLS, pair)
	const chains, end = "    filter_chains:\n    - filters:\n", "http.router.v3.Router } }\n"
	doors := map[string][]string{
		"one chain": {chains, "    filter_chains:\n    - transport_socket: " + socket + "\n      filters:\n"},
		"two chains": {
			chains, `    listener_filters: [ { name: envoy.filters.listener.tls_inspector, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector } } ]
    filter_chains:
    - filter_chain_match: { server_names: [vault.example.com] }
      transport_socket: ` + socket + "\n      filters:\n",
			end, end + "    default_filter_chain: { transport_socket: " + socket + ", filters: [ *manager ] }\n",
		},
	}
	for name, filter := range map[string]string{"plain": plainFilter, "documented": documentedFilter()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForeign(t, filter)
			alice := f.token(t, "mobile", "alice", "orders.read")
			for name, door := range doors {
				g := f.beside(t, append(door, "failure_mode_allow: false", "include_tls_session: true\n              failure_mode_allow: false")...)
				for _, sni := range []string{"", "vault.example.com", "api.example.com"} {
					g.tls = &tls.Config{RootCAs: roots, ServerName: sni, MinVersion: tls.VersionTLS12}
					if sni == "" { // no name is asked for, so that none is verified
						g.tls.InsecureSkipVerify = true
					}
					g.judgesHosts(t, name+", SNI "+sni, alice)
				}
			}
		})
	}
}

// judgesHosts by HTTP/1.1, a connection for each, and by HTTP/2, over one connection.
func (f *foreign) judgesHosts(t *testing.T, what, alice string) {
	t.Helper()
	shared := &http2.Transport{TLSClientConfig: f.tls, DialTLSContext: func(ctx context.Context, _, _ string, _ *tls.Config) (net.Conn, error) {
		config := f.tls.Clone()
		config.NextProtos = []string{http2.NextProtoTLS}
		return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", f.gateway)
	}}
	defer shared.CloseIdleConnections()
	for url, want := range map[string]string{
		"vault.example.com/vault/keys":     "200",
		"VAULT.example.com.:1/vault/keys":  "200",
		"api.example.com/orders/7":         "200",
		"vault.example.com/orders/7":       "200",
		"api.example.com/vault/keys":       "404 api_unknown",
		"other.example.com/vault/keys":     "404 api_unknown",
		"vault.example.com.evil/vault/key": "404 api_unknown",
		"vault.example.com/nothing":        "404 api_unknown",
	} {
		host, path, _ := strings.Cut(url, "/")
		f.wants(t, what, "GET /"+path, alice, "host: "+host+"\r\n", want)
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+url, nil))
		req.Header.Set("Authorization", "Bearer "+alice)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		res, err := shared.RoundTrip(req.WithContext(ctx))
		if err != nil {
			cancel()
			t.Fatal(err)
		}
		got, seen := verdict(res), f.backend.take()
		_ = res.Body.Close()
		cancel()
		if got != want || (got == "200") != (len(seen) == 1) {
			t.Errorf("%s, HTTP/2, %s: %s, want %s; the backend was reached %d times", what, url, got, want, len(seen))
		}
	}
}
