package serve

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// bytes that no path or host holds do not arrive as others that one may.
func (f *foreign) bytes(t *testing.T, alice string) {
	t.Helper()
	for _, b := range []string{"\xff", "\x80", "é", "\xc0\xaf", "\x7f", "\x01", "\x00", "\t|", " |"} {
		for _, path := range []string{"/files/" + b, "/orders/a" + b, "/" + b} {
			got := f.sendRaw(t, "GET "+path+" HTTP/1.1\r\nhost: api.example.com\r\nauthorization: Bearer "+alice+"\r\n\r\n")
			if seen := f.backend.take(); len(seen) > 0 || got.status != 400 {
				t.Errorf("%q: %s, the backend saw %v", path, got, seen)
			}
			two := f.h2(t, ":method", "GET", ":scheme", "http", ":path", path, ":authority", "api.example.com", "authorization", "Bearer "+alice)
			if seen := f.backend.take(); len(seen) > 0 || two == 200 {
				t.Errorf("%q over HTTP/2: %d, the backend saw %v", path, two, seen)
			}
		}
	}
}

// upgrades are none where nobody allowed them.
func (f *foreign) upgrades(t *testing.T, alice string) {
	t.Helper()
	for _, protocol := range []string{"websocket", "h2c", "foo"} {
		lines := "connection: upgrade\r\nupgrade: " + protocol + "\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
		for _, text := range []string{"", alice} {
			a := f.send(t, "GET /orders/7", text, lines)
			if seen := f.backend.take(); a.status == http.StatusSwitchingProtocols || len(seen) > 0 && (text == "" || seen[0].Header.Get("Upgrade") != "") {
				t.Errorf("%s: %s, the backend saw %v", protocol, a, seen)
			}
		}
	}
	if got := f.h2(t, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/orders/7", ":authority", "api.example.com", "authorization", "Bearer "+alice); got == 200 {
		t.Error("extended CONNECT passed")
	}
	if seen := f.backend.take(); len(seen) > 0 {
		t.Errorf("the backend saw %v", seen)
	}
}

// crowds of headers pass without their lies, or not at all.
func (f *foreign) crowds(t *testing.T, alice string) {
	t.Helper()
	for _, n := range []int{40, 90, 1000} {
		var lines strings.Builder
		for i := range n {
			lines.WriteString("x_auth_" + strconv.Itoa(i) + ": root\r\nx-auth-" + strconv.Itoa(i) + ": root\r\n")
		}
		a := f.send(t, "GET /orders/7", alice, lines.String())
		seen := f.backend.take()
		if n == 40 && a.status != 200 || n == 1000 && a.status < 400 || (a.status == 200) != (len(seen) == 1) {
			t.Errorf("%d: %s, the backend was reached %d times", n, a, len(seen))
		}
		for _, r := range seen {
			tellsNoForeignLie(t, strconv.Itoa(n), r.Header, []string{"root"})
		}
		f.wants(t, strconv.Itoa(n), "GET /orders/7", "", strings.Repeat("cookie: a=b\r\n", min(n, 50)), "401 token_missing")
	}
}

// probes get what everybody gets.
func (f *foreign) probes(t *testing.T) {
	t.Helper()
	for _, agent := range []string{"user-agent: kube-probe/1.33\r\n", "user-agent:\r\n", "user-agent: GoogleHC/1.0\r\nx-envoy-internal: true\r\n"} {
		f.wants(t, agent, "GET /orders/7", "", agent, "401 token_missing")
		for _, path := range []string{"/healthz", "/ping", "/ready", "/"} {
			f.wants(t, agent, "GET "+path, "", agent, "404 api_unknown")
		}
	}
}

// addresses are the connection's alone.
func (f *foreign) addresses(t *testing.T, alice string) {
	t.Helper()
	const lines = "host: vault.example.com\r\nx-forwarded-for: 192.0.2.7\r\nforwarded: for=192.0.2.7\r\nx-real-ip: 192.0.2.7\r\nx-envoy-external-address: 192.0.2.7\r\n"
	trusting := f.beside(t, "stat_prefix: foreign", "stat_prefix: foreign\n          use_remote_address: true\n          xff_num_trusted_hops: 1")
	for name, f := range map[string]*foreign{"no hop": f, "one hop": trusting} {
		f.wants(t, name, "GET /vault/near", alice, lines, "200")
		f.wants(t, name, "GET /vault/far", alice, lines, "403 claim_mismatch")
	}
}

// smuggles: the backend gets as many requests as were allowed.
func (f *foreign) smuggles(t *testing.T, alice string) {
	t.Helper()
	head := "host: api.example.com\r\nauthorization: Bearer " + alice + "\r\n"
	inner := "GET /orders/8 HTTP/1.1\r\nhost: api.example.com\r\n\r\n"
	passed := 0
	for _, request := range []string{
		"GET /orders/7 HTTP/1.1\r\n" + head + "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"GET /orders/7 HTTP/1.1\r\n" + head + "content-length: 0\r\ncontent-length: 5\r\n\r\n" + inner,
		"GET /orders/7 HTTP/1.1\r\n" + head + "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
		"GET /orders/7 HTTP/1.1\r\n" + head + "transfer-encoding : chunked\r\n\r\n0\r\n\r\n" + inner,
		"GET /orders/7 HTTP/1.1\r\n" + head + "content-length: 0\r\n\r\n" + inner,
		"GET /orders/7 HTTP/1.1\r\n" + head + "transfer-encoding: chunked\r\n\r\n0;a=\"\r\n\r\n" + inner,
	} {
		allowed := f.allowed(t)
		_ = f.sendRaw(t, request)
		// What follows on the connection is judged by itself; without a token it is denied.
		seen := f.backend.take()
		if n := f.allowed(t) - allowed; len(seen) != n {
			t.Errorf("%q: %d allowed, the backend saw %d", request, n, len(seen))
		}
		for _, r := range seen {
			passed++
			if r.RequestURI != "/orders/7" {
				t.Errorf("%q: the backend saw %s", request, r.RequestURI)
			}
		}
	}
	if passed == 0 {
		t.Error("not one was good enough to pass")
	}
}

// allowed counts the decisions to allow.
func (f *foreign) allowed(t *testing.T) (n int) {
	t.Helper()
	_, metrics := get(t, f.Server, "/metrics")
	for line := range strings.Lines(metrics) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.HasPrefix(name, "durward_decisions_total{") && strings.Contains(name, `outcome="allow"`) {
			n += must(strconv.Atoi(value))
		}
	}
	return n
}

// h2 sends header fields over HTTP/2 and returns the status, 0 where there is none.
func (f *foreign) h2(t *testing.T, fields ...string) int {
	t.Helper()
	p := newPeer(t, f.gateway)
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for err == nil {
		var frame http2.Frame
		if frame, err = p.ReadFrame(); err != nil {
			break
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = p.WriteSettingsAck()
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return 0
		case *http2.MetaHeadersFrame:
			status, _ := strconv.Atoi(frame.PseudoValue("status"))
			return status
		}
	}
	if !errors.Is(err, http2.ErrFrameTooLarge) {
		return 0 // closed
	}
	t.Fatal(err)
	return 0
}
