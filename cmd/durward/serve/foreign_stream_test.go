package serve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// sockets is a backend that opens every websocket, and then says what it is told.
type sockets struct {
	*backend
	talking sync.WaitGroup
}

func (s *sockets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.backend.ServeHTTP(w, r)
	if r.Header.Get("Upgrade") == "" {
		return
	}
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // who asked sees it
	}
	s.talking.Go(func() {
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err == nil {
			_, _ = io.Copy(c, buffered)
		}
	})
}

// streamBound is how long a request may last at the foreign Envoy.
const streamBound = 5 * time.Second

// TestAttackForeignWebsocket has rows Q16 and Q17 before an Envoy that lets websockets
// through: the handshake is judged as any request, what follows is not, and the route's own
// bound ends it.
func TestAttackForeignWebsocket(t *testing.T) {
	t.Parallel()
	for name, filter := range map[string]string{"plain": plainFilter, "documented": documentedFilter()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForeign(t, filter)
			s := &sockets{backend: f.backend}
			origin := httptest.NewServer(s)
			t.Cleanup(func() { origin.Close(); s.talking.Wait() }) // after Envoy has ended
			f.withSockets(t, portOf(t, strings.TrimPrefix(origin.URL, "http://"))).websockets(t)
		})
	}
}

func (f *foreign) withSockets(t *testing.T, port string) *foreign {
	t.Helper()
	cluster := "load_assignment: { cluster_name: backend, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: "
	_, rest, _ := strings.Cut(f.bootstrap, cluster)
	old, _, _ := strings.Cut(rest, " ")
	return f.beside(t, cluster+old, cluster+port,
		"route: { cluster: backend }", fmt.Sprintf("route: { cluster: backend, max_stream_duration: { max_stream_duration: %s } }", streamBound),
		"stat_prefix: foreign", "stat_prefix: foreign\n          upgrade_configs: [ { upgrade_type: websocket } ]\n          http2_protocol_options: { allow_connect: true }")
}

const handshake = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"

func (f *foreign) websockets(t *testing.T) {
	t.Helper()
	bob, weak := f.token(t, "mobile", "bob", "orders.read"), f.token(t, "mobile", "bob", "orders.write")
	f.wants(t, "anonymous", "GET /sockets/7", "", handshake, "401 token_missing")
	f.wants(t, "scope", "GET /sockets/7", weak, handshake, "403 scope_missing")
	f.wants(t, "application", "GET /sockets/7", f.token(t, "partner", "bob", "orders.read"), handshake, "403 grant_missing")
	f.wants(t, "operation", "POST /sockets/7", bob, handshake+"content-length: 0\r\n", "405 operation_unknown")
	f.wants(t, "API", "GET /nothing", bob, handshake, "404 api_unknown")
	f.wants(t, "path", "GET /sockets/x/../7", bob, handshake, foreignMalformed)
	f.wants(t, "by query", "GET /sockets/7?access_token="+bob, "", handshake, "401 token_missing")
	f.wants(t, "by query, too", "GET /sockets/7?access_token="+bob, bob, handshake, foreignMalformed)
	f.wants(t, "by protocol", "GET /sockets/7", "", handshake+"sec-websocket-protocol: bearer, "+bob+"\r\n", "401 token_missing")
	for _, protocol := range []string{"h2c", "foo"} {
		a := f.send(t, "GET /sockets/7", bob, strings.Replace(handshake, "websocket", protocol, 1))
		if seen := f.backend.take(); a.status == http.StatusSwitchingProtocols || len(seen) > 0 && seen[0].Header.Get("Upgrade") != "" {
			t.Errorf("%s: %s, the backend saw %v", protocol, a, seen)
		}
	}
	f.extends(t, bob, weak)
	f.outlives(t, bob)
	// Whether an API has websockets is told to our own Envoys alone.
	s, _ := f.open(t, "/orders/7", f.token(t, "mobile", "alice", "orders.read"))
	s.says(t, "hello")
}

// extends asks for the same over HTTP/2.
func (f *foreign) extends(t *testing.T, bob, weak string) {
	t.Helper()
	for token, want := range map[string]int{"": 401, weak: 403, bob: 200} {
		fields := []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/sockets/7", ":authority", "api.example.com", "sec-websocket-version", "13"}
		if token != "" {
			fields = append(fields, "authorization", "Bearer "+token)
		}
		got := f.h2(t, fields...)
		if seen := f.backend.take(); got != want || (want == 200) != (len(seen) == 1) {
			t.Errorf("extended CONNECT: %d, want %d, the backend saw %v", got, want, seen)
		}
	}
}

// outlives: a websocket goes on when its token is revoked, which opens no other, until
// Envoy ends it.
func (f *foreign) outlives(t *testing.T, bob string) {
	t.Helper()
	s, opened := f.open(t, "/sockets/7", bob)
	s.says(t, "before")
	if err := f.okta.Revoke(bob); err != nil {
		t.Fatal(err)
	}
	f.wants(t, "revoked", "GET /sockets/7", bob, handshake, "401 token_inactive")
	s.says(t, "after")
	_ = s.SetReadDeadline(time.Now().Add(10 * streamBound))
	if n, err := s.read.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the websocket is not ended: %d %v", n, err)
	}
	if took := time.Since(opened); took < streamBound-time.Second {
		t.Errorf("the websocket ended after %s", took)
	}
}

// socket is a websocket whose frames nobody on its way reads.
type socket struct {
	net.Conn
	read *bufio.Reader
}

// open opens one, and wants that the backend is told who the caller is.
func (f *foreign) open(t *testing.T, path, token string) (*socket, time.Time) {
	t.Helper()
	c := f.dial(t)
	t.Cleanup(func() { _ = c.Close() })
	s, opened := &socket{c, bufio.NewReader(c)}, time.Now()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nhost: api.example.com\r\n"+handshake+"x-auth-subject: root\r\nauthorization: Bearer "+token+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(s.read, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	seen := f.backend.take()
	if res.StatusCode != http.StatusSwitchingProtocols || len(seen) != 1 {
		t.Fatalf("%s: %s, the backend saw %v", path, res.Status, seen)
	}
	tellsNoForeignLie(t, path, seen[0].Header, []string{"root", token})
	return s, opened
}

// says sends text and wants it back.
func (s *socket) says(t *testing.T, text string) {
	t.Helper()
	back := make([]byte, len(text))
	if _, err := io.WriteString(s, text); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s.read, back); err != nil || string(back) != text {
		t.Fatalf("said %q, got back %q: %v", text, back, err)
	}
}
