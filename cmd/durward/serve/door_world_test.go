package serve

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// door is a gateway whose configuration lets more in than plain requests, before a
// backend that opens websockets.
type door struct {
	*world
	gateway string
	rooms   *rooms
	token   string
}

// doorText has, on each kind of host, an API with websockets and one without.
const doorText = `version: 1
gateways:
  - { name: edge, listen: "127.0.0.1:0", url: "%[3]s://127.0.0.1:10000"%[4]s }
  - { name: inner, listen: "127.0.0.2:0", url: "http://127.0.0.2:10000" }
listeners: { check: { address: "127.0.0.1:0" }, xds: { address: "127.0.0.1:0" }, ops: { address: "127.0.0.1:0" }, admin: { address: "127.0.0.1:0" } }
authorization_servers:
  - { name: default, issuer: "%[1]s", audience: "api://default", introspection: { client_id: 0oaGATEWAY, client_secret_file: secret } }
token_policies: [ { name: default, authorization_server: default, verify: jwt } ]
organizations: [ { name: retail, applications: [ { name: mobile, client_ids: [0oaMOBILE] } ] } ]
apis:
  - name: chat
    frontend: { hosts: [chat.example.com, "*.wild.example.com"], path: /chat }
    backend: { url: "http://%[2]s", timeout: 1s }
    token_policy: default
    websocket: { max_duration: 3s }
    operations: [ { methods: [GET, POST], path: "/{room}", scopes: { all: [orders.read] } }, { methods: [GET], path: "/{room}/secret", scopes: { all: [orders.admin] } } ]
  - name: anywhere
    frontend: { hosts: ["*"], path: /any }
    backend: { url: "http://%[2]s" }
    token_policy: default
    websocket: {}
    operations: [ { methods: [GET], path: "/{room}", scopes: { all: [orders.read] } } ]
  - name: plain
    frontend: { hosts: [chat.example.com, "*.wild.example.com", "*"], path: /plain }
    backend: { url: "http://%[2]s" }
    token_policy: default
    operations: [ { methods: [GET, POST], path: "/{room}", scopes: { all: [orders.read] } } ]
  - name: upload
    frontend: { hosts: [chat.example.com, "*"], path: /upload }
    backend: { url: "http://%[2]s" }
    token_policy: default
    max_request_bytes: 100000
    operations: [ { methods: [POST], path: "/{room}", scopes: { all: [orders.read] } } ]
  - name: inside
    gateways: [inner]
    frontend: { hosts: [chat.example.com, "*"], path: /inside }
    backend: { url: "http://%[2]s" }
    token_policy: default
    operations: [ { methods: [GET], path: "/{room}", scopes: { all: [orders.read] } } ]
  - name: drafted
    published: false
    mode: shadow
    frontend: { hosts: [chat.example.com, "*"], path: /drafted }
    backend: { url: "http://%[2]s" }
    token_policy: default
    operations: [ { methods: [GET], path: "/{room}", scopes: { all: [orders.read] } } ]
grants:
  - { api: inside, organization: retail, applications: [mobile] }
  - { api: drafted, organization: retail, applications: [mobile] }
  - { api: chat, organization: retail, applications: [mobile] }
  - { api: anywhere, organization: retail, applications: [mobile] }
  - { api: plain, organization: retail, applications: [mobile] }
  - { api: upload, organization: retail, applications: [mobile] }
`

// newDoor starts a server and an Envoy of a gateway with these further keys.
func newDoor(t *testing.T, scheme, keys string) *door {
	t.Helper()
	d := &door{world: &world{is: newIssuer(t)}, rooms: newRooms(t)}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "secret"), "0123456789abcdef0123456789abcdef\n", 0o600)
	writeFile(t, config{dir: dir}.file(), fmt.Sprintf(doorText, d.is.name("default"), d.rooms.address, scheme, keys), 0o600)
	d.Server, d.log = begin(t, config{dir: dir})
	ready(t, d.Server)
	d.conn = dial(t, d.Catalogue().Listeners.Check.Address)
	d.gateway = d.world.gateway(t)
	d.token = d.good()
	return d
}

// rooms is a backend that opens a websocket where it is asked to, but in rooms that are
// closed, and echoes what comes over it.
type rooms struct {
	address string

	mu   sync.Mutex
	seen []arrival
}

func newRooms(t *testing.T) *rooms {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	b := &rooms{address: l.Addr().String()}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { b.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait() // Envoy has ended by now
	})
	return b
}

func (b *rooms) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if strings.Contains(req.URL.Path, "hasty") { // answers before it has read anything
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nroom")
			return
		}
		body, err := io.ReadAll(req.Body)
		b.mu.Lock()
		b.seen = append(b.seen, arrival{req, string(body)})
		b.mu.Unlock()
		if err != nil {
			return
		}
		if req.Header.Get("Upgrade") != "" && !strings.Contains(req.URL.Path, "closed") {
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+req.Header.Get("Upgrade")+"\r\n\r\n")
			_, _ = io.Copy(c, r)
			return
		}
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nroom"); err != nil {
			return
		}
	}
}

func (b *rooms) take() []arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.seen
	b.seen = nil
	return seen
}

// knock is an upgrade: host and path, and lines beside those that it needs. One that
// begins as a needed line replaces it.
type knock struct {
	at, token string
	lines     []string
}

func (k knock) request(method string) string {
	host, path, _ := strings.Cut(k.at, "/")
	lines := []string{"Host: " + host, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	if k.token != "" {
		lines = append(lines, "Authorization: Bearer "+k.token)
	}
	for _, line := range k.lines {
		name, _, _ := strings.Cut(line, ":")
		for i, old := range lines {
			if strings.HasPrefix(old, name+":") {
				lines[i] = ""
			}
		}
		lines = append(lines, line)
	}
	text := method + " /" + path + " HTTP/1.1\r\n"
	for _, line := range lines {
		if line != "" {
			text += line + "\r\n"
		}
	}
	return text + "\r\n"
}

// open returns the answer to an upgrade and the connection, whether it became a websocket
// or not.
func (d *door) open(t *testing.T, request string) (*http.Response, net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.DialTimeout("tcp", d.gateway, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, &http.Request{Method: http.MethodGet})
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	return res, c, r
}
