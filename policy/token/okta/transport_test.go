package okta

import (
	"crypto/tls"
	"testing"
	"time"
)

// TestTransportBounds: nothing of a connection is without end.
func TestTransportBounds(t *testing.T) {
	t.Parallel()
	tr := newTransport(nil)
	if d := tr.TLSHandshakeTimeout; d < time.Second || d > 10*time.Second {
		t.Errorf("a handshake may take %s", d)
	}
	if d := tr.IdleConnTimeout; d < 10*time.Second || d > 5*time.Minute {
		t.Errorf("an idle connection is kept for %s", d)
	}
	// A place for every call under way, for keys and metadata beside them, and no more.
	if n := tr.MaxConnsPerHost; n <= maxFlying || n > 4*maxFlying || tr.MaxIdleConnsPerHost != maxFlying {
		t.Errorf("%d connections, %d idle ones for %d calls", n, tr.MaxIdleConnsPerHost, maxFlying)
	}
	if tr.MaxResponseHeaderBytes <= 0 || tr.TLSClientConfig.MinVersion < tls.VersionTLS12 {
		t.Errorf("%d bytes of header, TLS %x", tr.MaxResponseHeaderBytes, tr.TLSClientConfig.MinVersion)
	}
}
