package serve

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
)

// Methods, sizes, and where a request ends.
var shapeRows = map[string]streetRow{
	"Q15": {checkMethods, sendMethods},
	"Q25": {checkSizes, sendSizes},
	"Q28": {checkEnds, sendEnds},
	"Q29": {checkBodies, sendBodies},
}

// noMethod is told to whoever may know the operation; the row of the catalogue of attacks
// says 403.
const noMethod = "405 operation_unknown"

func checkMethods(t *testing.T, s *street) {
	for outcome, methods := range map[string][]string{
		allow: {"GET", "POST"}, noScope: {"PUT", "DELETE"},
		noMethod:  {"FOO", "TRACE", "TRACK", "OPTIONS", "PATCH", "CONNECT", "PROPFIND", "QUERY", "M-SEARCH", "GET_"},
		malformed: {"", "get", "gEt", "GET ", " GET", "GET\t", "GET\r\nX: y", "GET\x00", "GET/", "G\u00c9T", "*", strings.Repeat("G", 1<<10)},
	} {
		for _, method := range methods {
			p := s.usual()
			p.method = method
			s.check(t, p, outcome)
		}
	}
	p := s.usual()
	p.method = "HEAD"
	s.check(t, p, "405 ") // without a body, as to any HEAD
	p.path = "/orders/headed"
	s.check(t, p, allow)
	preflight := s.usual().with("origin", "https://app.example.com", "access-control-request-method", "GET")
	preflight.method, preflight.headers = "OPTIONS", preflight.headers[2:]
	s.check(t, preflight, "401 token_missing")
}

func sendMethods(t *testing.T, s *street) {
	want := map[string]string{
		s.head("HEAD /orders/7"):      "405",
		s.head("HEAD /orders/headed"): "200 HEAD /headed",
		s.anonymous(s.head("OPTIONS /orders/7", "Origin: https://app.example.com", "Access-Control-Request-Method: GET")): "401 token_missing",
	}
	for outcome, methods := range map[string][]string{
		"200 GET /7": {"GET"}, noScope: {"PUT", "DELETE"}, noMethod: {"TRACE", "OPTIONS", "PATCH", "PROPFIND"},
		"400": {"get", "gEt", "FOO", "GET_", "QUERY", "M-SEARCH", "GET\x00", "G\u00c9T", strings.Repeat("G", 1<<10)},
	} {
		for _, method := range methods {
			want[s.head(method+" /orders/7")] = outcome
		}
	}
	s.sends(t, want)
}

// many are n headers in turn.
func many(n int, name func(i int) string, value string) []string {
	fields := make([]string, 0, 2*n)
	for i := range n {
		fields = append(fields, name(i), value)
	}
	return fields
}

func numbered(i int) string { return fmt.Sprintf("x-many-%d", i) }
func cookie(int) string     { return "cookie" }

func checkSizes(t *testing.T, s *street) {
	usual, _ := s.answers(t, s.usual())
	for what, fields := range map[string][]string{
		"60 KiB":        {"x-long", strings.Repeat("a", 60<<10)},
		"60 KiB cookie": {"cookie", strings.Repeat("a", 60<<10)},
		"1000 headers":  many(1000, numbered, "a"),
		"10000 headers": many(10_000, numbered, "a"),
		"1000 cookies":  many(1000, cookie, "session=aaaaaaaaaaaaaaaa"),
	} {
		before := len(s.log.String())
		for range 20 {
			start := time.Now()
			for _, encoded := range []bool{true, false} {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				res, err := authv3.NewAuthorizationClient(s.conn).Check(ctx, s.usual().with(fields...).request(encoded))
				cancel()
				if err != nil || outcome(res) != allow || proto.Size(res) > 2*proto.Size(usual) {
					t.Fatalf("%s: %v, %d bytes of answer", what, err, proto.Size(res))
				}
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("%s: two checks took %s", what, took)
			}
		}
		if logged := len(s.log.String()) - before; logged > 40<<10 {
			t.Errorf("%s: 40 checks wrote %d bytes of log", what, logged)
		}
	}
	s.check(t, s.usual().with(many(1000, func(int) string { return "authorization" }, "Bearer a")...), malformed)
}

func sendSizes(t *testing.T, s *street) {
	s.sends(t, map[string]string{
		s.head("GET /orders/7", linesOf(many(80, numbered, "a"))...):                  "200 GET /7",
		s.head("GET /orders/7", linesOf(many(1000, numbered, "a"))...):                "431",
		s.head("GET /orders/7", linesOf(many(1000, cookie, "a=b"))...):                "431",
		s.head("GET /orders/7", "Cookie: "+strings.Repeat("session=a; ", 1000)+"z=1"): "200 GET /7",
		s.head("GET /orders/7", "X-Long: "+strings.Repeat("a", 40<<10)):               "200 GET /7",
		s.head("GET /orders/7", "X-Long: "+strings.Repeat("a", 61<<10)):               "431",
		s.head("GET /orders/7", "X-Long: "+strings.Repeat("a", 600<<10)):              "431",
		s.head("GET /orders/7?" + strings.Repeat("a", 40<<10)):                        "200 GET /7?" + strings.Repeat("a", 40<<10),
		s.head("GET /orders/" + strings.Repeat("a", 20<<10)):                          malformed,
	})
	// With those of identity they are more than 120: Envoy gives up after the allow.
	s.cutOff(t, func() {
		s.sends(t, map[string]string{s.head("GET /orders/7", linesOf(many(112, numbered, "a"))...): "500"})
	})
	start := time.Now()
	for range 10 {
		if got, _ := s.sendH2(t, "", append(s.usualH2(), many(1000, cookie, "a=b")...)...); strings.Contains(got, "200") {
			t.Errorf("h2, 1000 cookies: %s", got)
		}
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("ten refusals took %s", took)
	}
}

func checkEnds(t *testing.T, s *street) {
	for _, fields := range [][]string{
		{"content-length", "6", "transfer-encoding", "chunked"}, {"content-length", "5", "content-length", "6"}, {"transfer-encoding", "xchunked"}, {"content-length", "-1"}, {"expect", "100-continue"}, {"upgrade", "h2c"},
	} {
		s.check(t, s.usual().with(fields...), allow) // no length decides
		p := s.usual().with(fields...)
		p.path = "/orders/admin"
		s.check(t, p, noScope)
	}
}

// smuggled is a request in another's body, with the token of the first.
func (s *street) smuggled() string {
	return s.head("GET /orders/open/smuggled", "X-Smuggled: yes")
}

// post begins a request with a body: lines say how long it is.
func (s *street) post(body string, lines ...string) string {
	return s.head("POST /orders/7", lines...) + body
}

func sendEnds(t *testing.T, s *street) {
	const refused = "400"
	in := s.smuggled()
	length := fmt.Sprintf("Content-Length: %d", len(in))
	for what, c := range map[string]struct {
		request string
		wants   []string
	}{
		"CL.TE":              {s.post("0\r\n\r\n"+in, length, "Transfer-Encoding: chunked"), []string{refused}},
		"TE.CL":              {s.post("5c\r\n"+in+"\r\n0\r\n\r\n", "Content-Length: 4", "Transfer-Encoding: chunked"), []string{refused}},
		"TE.TE":              {s.post("0\r\n\r\n"+in, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"), []string{refused, "501"}},
		"twice chunked":      {s.post("0\r\n\r\n"+in, "Transfer-Encoding: chunked, chunked"), []string{refused, "501"}},
		"xchunked":           {s.post("0\r\n\r\n"+in, "Transfer-Encoding: xchunked"), []string{refused, "501"}},
		"blank before colon": {s.post("0\r\n\r\n"+in, "Transfer-Encoding : chunked"), []string{refused}},
		"vertical tab":       {s.post("0\r\n\r\n"+in, "Transfer-Encoding: \x0bchunked"), []string{refused, "501"}},
		"two lengths":        {s.post(in, length, "Content-Length: 0"), []string{refused}},
		"list of lengths":    {s.post(in, length+", 0"), []string{refused}},
		"signed length":      {s.post("hello", "Content-Length: +5"), []string{refused}},
		"negative length":    {s.post("hello", "Content-Length: -5"), []string{refused}},
		"hexadecimal length": {s.post("hello", "Content-Length: 0x5"), []string{refused}},
		"bare CR":            {s.post("", "X-A: b\rContent-Length: 5"), []string{"200 POST /7"}}, // Envoy drops it
		"body is a request":  {s.post(in, length), []string{"200 POST /7"}},
		"chunked request":    {s.post(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(in), in), "Transfer-Encoding: chunked"), []string{"200 POST /7"}},
		"chunk extension":    {s.post("5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", "Transfer-Encoding: chunked"), []string{"200 POST /7", refused}},
		"trailers":           {s.post("0\r\nX-Auth-Subject: forged\r\nAuthorization: Bearer x\r\n\r\n", "Transfer-Encoding: chunked"), []string{"200 POST /7"}},
		"after close":        {s.post("", "Content-Length: 0") + in, []string{"200 POST /7"}},
		"GET with a body":    {strings.Replace(s.post(in, length), "POST", "GET", 1), []string{"200 GET /7"}},
		"pipelined, refused": {strings.Replace(s.post("", "Content-Length: 0"), "Connection: close\r\n", "", 1) + s.head("GET /orders/admin"), []string{"200 403 scope_missing POST /7"}},
		"pipelined, allowed": {strings.Replace(s.post("", "Content-Length: 0"), "Connection: close\r\n", "", 1) + s.head("GET /orders/8"), []string{"200 200 POST /7 GET /8"}},
		"upgrade to h2c":     {s.head("GET /orders/7", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), []string{"200 GET /7"}},
		"expect and a body":  {s.post(in, length, "Expect: 100-continue"), []string{"100 200 POST /7", "200 POST /7"}},
	} {
		got, seen := s.send(t, c.request)
		if !slices.Contains(c.wants, got) {
			t.Errorf("%s: %s, want %q", what, got, c.wants)
		}
		for _, a := range seen {
			mustBeOurs(t, a)
			if strings.Contains(a.RequestURI, "smuggled") || a.Header.Get("X-Smuggled") != "" || len(a.Trailer) > 0 && a.Trailer.Get("X-Auth-Subject") != "" {
				t.Errorf("%s: the backend got %s %v %v", what, a.RequestURI, a.Header, a.Trailer)
			}
		}
	}
	s.cutOff(t, func() { s.brokenChunks(t) })
	s.cutOff(t, func() { s.downgrades(t) })
}

// brokenChunks are refused after their heads may have gone on: the backend sees at most
// the one request, and not its end.
func (s *street) brokenChunks(t *testing.T) {
	t.Helper()
	in := s.smuggled()
	for what, body := range map[string]string{
		"bare LF in extension": "5;a\nhello\r\n0\r\n\r\n" + in, "line in quotes": "5;a=\"\r\nhello\"\r\n0\r\n\r\n" + in, "overflow": "ffffffffffffffff5\r\nhello\r\n0\r\n\r\n" + in,
		"negative": "-5\r\nhello\r\n0\r\n\r\n" + in, "hexadecimal prefix": "0x5\r\nhello\r\n0\r\n\r\n" + in, "no digits": "\r\nhello\r\n0\r\n\r\n" + in, "no end": "5\r\nhelloX0\r\n\r\n" + in,
	} {
		_ = exchange(t, s.gateway, s.post(body, "Transfer-Encoding: chunked"), 500*time.Millisecond)
		seen, _ := s.origin.take()
		if len(seen) > 1 || len(seen) == 1 && (seen[0].RequestURI != "/7" || seen[0].Method != "POST" || seen[0].Header.Get("X-Smuggled") != "") {
			t.Errorf("%s: the backend got %d requests, %v", what, len(seen), seen)
		}
	}
}

// downgrades are frames that HTTP/1.1 would have another end for. All at once, for Envoy
// takes its second to close.
func (s *street) downgrades(t *testing.T) {
	t.Helper()
	in := s.smuggled()
	var asking sync.WaitGroup
	for what, c := range map[string]struct {
		fields []string
		want   string
	}{
		"length 0": {[]string{"content-length", "0"}, "reset"}, "short": {[]string{"content-length", "4"}, "reset"}, "long": {[]string{"content-length", "100000"}, "reset"},
		"transfer-encoding": {[]string{"transfer-encoding", "chunked"}, "closed"}, "connection": {[]string{"connection", "keep-alive"}, "closed"}, "te": {[]string{"te", "chunked"}, "closed"},
		"length in a value": {[]string{"x-a", "b\r\ncontent-length: 0"}, "closed"}, "two lengths": {[]string{"content-length", fmt.Sprint(len(in)), "content-length", "0"}, "closed"},
	} {
		p := newPeer(t, s.gateway)
		asking.Go(func() {
			if got := p.speakH2(in, append(s.usualH2(":method", "POST"), c.fields...)...); got != c.want {
				t.Errorf("h2, %s: %s, want %s", what, got, c.want)
			}
		})
	}
	asking.Wait()
	seen, _ := s.origin.take()
	for _, a := range seen {
		if a.RequestURI != "/7" || a.Method != "POST" || a.Header.Get("X-Smuggled") != "" {
			t.Errorf("h2: the backend got %s %s", a.Method, a.RequestURI)
		}
	}
	if got, seen := s.sendH2(t, in, s.usualH2(":method", "POST")...); got != "200 POST /7" || seen[0].body != in {
		t.Errorf("h2: %s", got)
	}
}

func checkBodies(t *testing.T, s *street) {
	form := "access_token=" + s.token
	ask := func(p probe, want string) {
		t.Helper()
		for _, partial := range []string{"", "true", "false"} {
			for _, raw := range []bool{true, false} {
				req := p.with("content-type", "application/x-www-form-urlencoded", "x-envoy-auth-partial-body", partial).request(raw)
				http := req.Attributes.Request.Http
				http.Body, http.RawBody, http.Size = form, []byte(form), int64(len(form))
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				res := must(authv3.NewAuthorizationClient(s.conn).Check(ctx, req))
				cancel()
				if got := outcome(res); got != want {
					t.Errorf("%s, partial %q: %s, want %s", p.path, partial, got, want)
				}
			}
		}
	}
	p := s.usual()
	p.method = "POST"
	ask(p, allow) // a second token in a body is no second credential
	anonymous := p
	anonymous.headers = nil
	ask(anonymous, "401 token_missing")
	p.method, p.path = "PUT", "/orders/7?_method=POST"
	ask(p, noScope)
}

func sendBodies(t *testing.T, s *street) {
	form := "access_token=" + s.token + "&_method=DELETE"
	length := fmt.Sprintf("Content-Length: %d", len(form))
	kind := "Content-Type: application/x-www-form-urlencoded"
	request := s.post(form, kind, length, "X-Envoy-Auth-Partial-Body: forged")
	s.sends(t, map[string]string{s.anonymous(request): "401 token_missing", strings.Replace(request, "POST", "PUT", 1): noScope})
	chunked := s.post(fmt.Sprintf("1\r\na\r\n%x\r\n%s\r\n0\r\n\r\n", len(form), form), kind, "Transfer-Encoding: chunked")
	for body, request := range map[string]string{form: request, "a" + form: chunked} {
		got, seen := s.send(t, request)
		if got != "200 POST /7" || seen[0].body != body {
			t.Errorf("%s, %v", got, seen)
			continue
		}
		mustBeOurs(t, seen[0])
	}
}
