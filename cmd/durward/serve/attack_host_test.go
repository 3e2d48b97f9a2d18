package serve

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Who is asked, and who asks.
var hostRows = map[string]streetRow{
	"Q09": {checkHosts, sendHosts},
	"Q12": {checkPseudo, sendPseudo},
	"Q27": {checkSources, sendSources},
}

var (
	sameHosts = []string{
		"named.example.com", "NAMED.Example.COM", "named.example.com.", "named.example.com:443", "named.example.com:0443", "named.example.com:10000",
		"named.example.com.:80", "a.wild.example.com", "A.B.WILD.example.com:1", "[2001:db8::1]", "[2001:DB8::1]:443",
	}
	otherHosts = []string{"evil.example.com", "wild.example.com", "named.example.com.evil", "xnamed.example.com", "example.com", "xn--nmed-loa.example.com", "127.0.0.1", "[::1]", "[2001:db8::2]"}
	noHosts    = []string{
		"root@named.example.com", "named.example.com@evil", "named.example.com,evil.example.com", "named.example.com evil.example.com", ":443", "named..example.com",
		".named.example.com", "[2001:db8::1", "[2001:db8::1%25eth0]", "[2001:db8:0::1]", "named.example.com/named", "named%2eexample.com", "*.wild.example.com", "*", "*.", "*:80", "#", "n\u00e4med.example.com", `named.example.com\`,
	}
)

func checkHosts(t *testing.T, s *street) {
	for outcome, hosts := range map[string][]string{
		allow: sameHosts, noAPI: otherHosts,
		malformed: append([]string{"", "named.example.com..", "named.example.com:", "named.example.com:x", "named.example.com:443:443", "2001:db8::1", "named.example.com\x00", "named.example.com\r\nevil"}, noHosts...),
	} {
		for _, host := range hosts {
			p := s.usual()
			p.api, p.host, p.path = "named", host, "/named/7"
			s.check(t, p, outcome)
		}
	}
	// A route that names an API of another host opens nothing.
	p := s.usual()
	p.api, p.host, p.path = "named", "hidden.example.com", "/named/7"
	s.check(t, p, noAPI)
	p.api = "hidden"
	s.check(t, p, noScope)
}

func sendHosts(t *testing.T, s *street) {
	want := map[string]string{
		s.head("GET /named/7", "Host: hidden.example.com"):                             noScope,
		s.head("GET /named/7", "Host: HIDDEN.example.com.:7"):                          noScope,
		s.head("GET /named/7", "Host: named.example.com", "Host: hidden.example.com"):  malformed, // Envoy joins the two
		s.head("GET /named/7", "Host: named.example.com", "Host: named.example.com"):   malformed,
		s.head("GET /named/7", "Host:"):                                                malformed,
		s.head("GET /named/7", "Host: named.example.com", "X-Forwarded-Host: hidden"):  "200 GET /7",
		strings.Replace(s.head("GET /named/7"), "Host: api.example.com\r\n", "", 1):    "400",
		strings.Replace(s.head("GET /named/7"), "Host:", "Host :", 1):                  "400",
		strings.Replace(s.head("GET /named/7"), "Host: ", "Host: named\r\n .bad: ", 1): "400",
	}
	for _, host := range sameHosts {
		want[s.head("GET /named/7", "Host: "+host)] = "200 GET /7"
	}
	for _, host := range otherHosts {
		want[s.head("GET /named/7", "Host: "+host)] = noAPI
	}
	// Envoy takes one dot or port off, and we would take another.
	for _, host := range []string{"named.example.com..", "named.example.com:443:443", "named.example.com.:443.", "[2001:db8::1]:443:443", "other.example.com.."} {
		want[s.head("GET /named/7", "Host: "+host)] = "400"
	}
	for _, host := range noHosts {
		got, _ := s.send(t, s.head("GET /named/7", "Host: "+host))
		if got != malformed && got != "400" { // ours or Envoy's own
			t.Errorf("host %q: %s", host, got)
		}
	}
	s.sends(t, want)
}

const bucketText = `version: 1
gateways: [ { name: edge, listen: "127.0.0.1:0", url: "http://127.0.0.1:10000" } ]
listeners: { check: { address: "127.0.0.1:0" }, xds: { address: "127.0.0.1:0" }, ops: { address: "127.0.0.1:0" }, admin: { address: "127.0.0.1:0" } }
authorization_servers:
  - { name: default, issuer: "%[1]s", audience: "api://default", introspection: { client_id: 0oaGATEWAY, client_secret_file: secret } }
token_policies: [ { name: default, authorization_server: default, verify: jwt } ]
organizations: [ { name: retail, applications: [ { name: mobile, client_ids: [0oaMOBILE] } ] } ]
apis:
  - name: watched
    frontend: { hosts: ["*"], path: / }
    backend: { url: "http://%[2]s" }
    token_policy: default
    mode: shadow
    operations: [ { methods: [GET], path: /none, scopes: { all: [orders.admin] } } ]
  - name: five
    frontend: { hosts: ["*"], path: /5 }
    backend: { url: "http://%[2]s" }
    token_policy: default
    operations: [ { methods: [GET], path: "/{id}", scopes: { all: [orders.admin] } } ]
grants:
  - { api: watched, organization: retail, applications: [mobile] }
  - { api: five, organization: retail, applications: [mobile] }
`

// Requests without a table of their own are looked up by a number that Envoy computes from
// the path. A host by which a caller chose the number would lead around the API at /5, which
// enforces, to the one that only watches.
func TestAttackNoHostChoosesATable(t *testing.T) {
	t.Parallel()
	s := streetOf(t, bucketText)
	s.sends(t, map[string]string{s.head("GET /other/7"): "200 GET /other/7", s.head("GET /5/7"): noScope})
	for _, host := range []string{"*", "*.", "*:80", "#", "#.", "#:80", "=*", "*/5", "#/5", "*/5/", "#/5/", "*/53", "=#/5"} {
		for _, path := range []string{"/5/7", "/5/7?x", "//5/7", "/x/../5/7"} {
			got, seen := s.send(t, s.head("GET "+path, "Host: "+host))
			if len(seen) > 0 || got != malformed && got != "400" { // ours or Envoy's own
				t.Errorf("host %q, %s: %s", host, path, got)
			}
		}
		if got, seen := s.sendH2(t, "", s.usualH2(":authority", host, ":path", "/5/7")...); len(seen) > 0 || got != malformed && got != "400" && got != "closed" {
			t.Errorf("h2, host %q: %s", host, got)
		}
	}
}

func checkPseudo(t *testing.T, s *street) {
	for _, fields := range [][]string{
		{":path", "/orders/8"},
		{":path", "/orders/7?"},
		{":path", ""},
		{":path", "/orders/admin"},
		{":method", "PUT"},
		{":method", "get"},
		{":authority", "evil"},
		{":authority", "API.example.com"},
		{"host", "hidden.example.com"},
		{":path", "/orders/7", ":path", "/orders/8"},
		{":Path", "/orders/8"},
		{"Host", "evil"},
	} {
		s.check(t, s.usual().with(fields...), malformed)
	}
	s.check(t, s.usual().with(":path", "/orders/7", ":method", "GET", ":authority", "api.example.com", "host", "api.example.com", ":scheme", "https"), allow)
}

// speakH2 sends one request in frames, fields being names and values in turn, and returns
// the status, with our reason if the answer is ours; "closed" is an answer too.
func (p *peer) speakH2(data string, fields ...string) string {
	var block, body bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: data == ""})
	if data != "" {
		_ = p.WriteData(1, true, []byte(data))
	}
	told := ""
	d := hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			told = f.Value
		}
	})
	for ended := false; !ended; {
		frame, err := p.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			_, _ = d.Write(frame.HeaderBlockFragment())
			ended = frame.StreamEnded()
		case *http2.DataFrame:
			body.Write(frame.Data())
			ended = frame.StreamEnded()
		case *http2.RSTStreamFrame:
			return strings.TrimSpace(told + " reset")
		}
	}
	if _, reason, found := strings.Cut(body.String(), `"reason":"`); found {
		reason, _, _ = strings.Cut(reason, `"`)
		told += " " + reason
	}
	return told
}

// sendH2 is send for HTTP/2.
func (s *street) sendH2(t *testing.T, data string, fields ...string) (string, []arrival) {
	t.Helper()
	told := newPeer(t, s.gateway).speakH2(data, fields...)
	seen, broken := s.origin.take()
	for _, a := range seen {
		told += " " + a.Method + " " + a.RequestURI
	}
	if len(broken) > 0 {
		told += fmt.Sprint(" broken: ", broken)
	}
	return told, seen
}

// closesOn wants that Envoy ends the connection at each request, and that none arrives.
// All at once, for Envoy takes its second to close.
func (s *street) closesOn(t *testing.T, requests map[string][]string) {
	t.Helper()
	var asking sync.WaitGroup
	for what, fields := range requests {
		p := newPeer(t, s.gateway)
		asking.Go(func() {
			if got := p.speakH2("", fields...); got != "closed" {
				t.Errorf("h2, %s: %s, want the end of the connection", what, got)
			}
		})
	}
	asking.Wait()
	if seen, broken := s.origin.take(); len(seen)+len(broken) > 0 {
		t.Errorf("the backend got %v %q", seen, broken)
	}
}

// usualH2 are the fields of a request that is allowed, with changes: a name with the value
// "-" is left out.
func (s *street) usualH2(changes ...string) []string {
	var fields []string
	usual := []string{":method", "GET", ":scheme", "http", ":path", "/orders/7", ":authority", "api.example.com", "authorization", "Bearer " + s.token}
	for i := 0; i < len(usual); i += 2 {
		value := usual[i+1]
		for j := 0; j < len(changes); j += 2 {
			if changes[j] == usual[i] {
				value = changes[j+1]
			}
		}
		if value != "-" {
			fields = append(fields, usual[i], value)
		}
	}
	return fields
}

func sendPseudo(t *testing.T, s *street) {
	for _, line := range []string{":path: /orders/8", ":method: PUT", ":authority: evil", ":: x"} {
		s.sends(t, map[string]string{strings.Replace(s.head("GET /orders/7"), "\r\n\r\n", "\r\n"+line+"\r\n\r\n", 1): "400"})
	}
	for want, fields := range map[string][]string{
		"200 GET /7": s.usualH2(),
		noScope:      append(s.usualH2(":path", "/named/7", ":authority", "hidden.example.com"), "host", "named.example.com"),
	} {
		if got, _ := s.sendH2(t, "", fields...); got != want {
			t.Errorf("h2: %s, want %s", got, want)
		}
	}
	s.closesOn(t, map[string][]string{
		"two paths":        append(s.usualH2(), ":path", "/orders/8"),
		"another path":     append([]string{":path", "/orders/8"}, s.usualH2()...),
		"two methods":      append([]string{":method", "PUT"}, s.usualH2()...),
		"two authorities":  append([]string{":authority", "hidden.example.com"}, s.usualH2()...),
		"unknown":          append([]string{":evil", "x"}, s.usualH2()...),
		"no path":          s.usualH2(":path", "-"),
		"no method":        s.usualH2(":method", "-"),
		"no authority":     s.usualH2(":authority", "-"),
		"empty path":       s.usualH2(":path", ""),
		"absolute path":    s.usualH2(":path", "http://evil/orders/7"),
		"lines in path":    s.usualH2(":path", "/orders/7\r\nx: y"),
		"lines in method":  s.usualH2(":method", "GET /orders/7 HTTP/1.1\r\nx: y"),
		"upper-case name":  append(s.usualH2(), "X-Upper", "x"),
		"lines in a value": append(s.usualH2(), "x-line", "a\r\nx-auth-subject: root"),
		"NUL in a value":   append(s.usualH2(), "x-nul", "a\x00b"),
	})
}

// forgedPeers say that the caller is somebody at 203.0.113.9.
var forgedPeers = []string{
	"x-forwarded-for", "203.0.113.9", "x-real-ip", "203.0.113.9", "forwarded", "for=203.0.113.9", "x-envoy-external-address", "203.0.113.9",
	"true-client-ip", "203.0.113.9", "cf-connecting-ip", "203.0.113.9", "x-client-ip", "203.0.113.9",
}

func checkSources(t *testing.T, s *street) {
	const ruled = "403 claim_mismatch"
	for source, want := range map[string][2]string{ // near, far
		"127.0.0.1": {allow, ruled}, "::ffff:127.0.0.1": {allow, ruled}, "203.0.113.9": {ruled, allow}, "203.0.114.9": {ruled, ruled}, "::1": {ruled, ruled},
		"": {ruled, ruled}, "127.0.0.1, 203.0.113.9": {ruled, ruled}, "localhost": {ruled, ruled}, "127.0.0.1:80": {ruled, ruled},
	} {
		for i, path := range []string{"/orders/near/1", "/orders/far/1"} {
			p := s.usual().with(forgedPeers...)
			p.path, p.source = path, source
			s.check(t, p, want[i])
		}
	}
}

func sendSources(t *testing.T, s *street) {
	var lines []string
	for i := 0; i < len(forgedPeers); i += 2 {
		lines = append(lines, http.CanonicalHeaderKey(forgedPeers[i])+": "+forgedPeers[i+1])
	}
	s.sends(t, map[string]string{
		s.head("GET /orders/far/1", lines...): "403 claim_mismatch",
		s.head("GET /orders/far/1", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 203.0.113.9, 203.0.113.9"): "403 claim_mismatch",
	})
	got, seen := s.send(t, s.head("GET /orders/near/1", lines...))
	if got != "200 GET /near/1" {
		t.Fatal(got)
	}
	for _, name := range []string{"x-forwarded-for", "forwarded", "x-envoy-external-address"} {
		if values := seen[0].Header.Values(name); strings.Contains(fmt.Sprint(values), "203.0.113") {
			t.Errorf("the backend got %s: %q", name, values)
		}
	}
}
