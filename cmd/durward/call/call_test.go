package call

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway answers everything with these bytes.
func gateway(t *testing.T, answer string) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(conn, answer)
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return &url.URL{Scheme: "http", Host: l.Addr().String()}
}

func request(t *testing.T, to *url.URL, r Request) *http.Request {
	t.Helper()
	req, err := New(t.Context(), to, r)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

const (
	id     = "decision-id: 7\r\n" // never a decision's: the name lacks the x-
	marked = "x-decision-id: QW5ZK3TJ2M7XAB4C\r\n"
	ours   = "content-type: application/problem+json\r\n"
)

func problem(status, reason string) string {
	return `{"type":"urn:durward:reason:` + reason + `","title":"t","status":` + status + `,"reason":"` + reason + `","decision_id":"QW5ZK3TJ2M7XAB4C"}`
}

// Answers are told apart by all their marks.
func TestJudge(t *testing.T) {
	t.Parallel()
	const envoy = "server: envoy\r\n"
	for name, tt := range map[string]struct {
		head, body string
		method     string
		verdict    Verdict
		by         Origin
		reason     string
		err        error
	}{
		"allowed":                  {"200 OK", "{}", "GET", Allowed, Backend, "", nil},
		"allowed, 500":             {"500 Oops", "", "GET", Allowed, Backend, "", nil},
		"allowed, 503":             {"503 Later", "later", "GET", Allowed, Backend, "", nil},
		"allowed, redirect":        {"302 Found\r\nlocation: http://127.0.0.1:1/", "", "GET", Allowed, Backend, "", nil},
		"denied 401":               {"401 No", problem("401", "token_missing"), "GET", Denied, Durward, "token_missing", ErrDenied},
		"denied 403":               {"403 No", problem("403", "grant_missing"), "POST", Denied, Durward, "grant_missing", ErrDenied},
		"denied 404":               {"404 No", problem("404", "api_unknown"), "GET", Denied, Durward, "api_unknown", ErrDenied},
		"denied 503":               {"503 No", problem("503", "okta_unavailable"), "GET", Denied, Durward, "okta_unavailable", ErrUnavailable},
		"head denied":              {"403 No\r\ncache-control: no-store", "", "HEAD", Denied, Durward, "", ErrDenied},
		"head denied 405":          {"405 No\r\ncache-control: no-store", "", "HEAD", Denied, Durward, "", ErrDenied},
		"head denied 503":          {"503 No\r\ncache-control: no-store", "", "HEAD", Denied, Durward, "", ErrUnavailable},
		"head":                     {"200 OK\r\ncache-control: no-store", "", "HEAD", Allowed, Backend, "", nil},
		"head 404":                 {"404 No", "", "HEAD", Allowed, Backend, "", nil},
		"head 404 with a type":     {"404 No\r\ncache-control: no-store\r\ncontent-type: text/html", "", "HEAD", Allowed, Backend, "", nil},
		"problem of another type":  {"403 No", `{"type":"about:blank","status":403}`, "GET", Allowed, Backend, "", nil},
		"problem, other status":    {"403 No", problem("401", "token_missing"), "GET", Allowed, Backend, "", nil},
		"problem, other decision":  {"403 No", strings.Replace(problem("403", "grant_missing"), "QW5Z", "AAAA", 1), "GET", Allowed, Backend, "", nil},
		"problem, type and reason": {"403 No", strings.Replace(problem("403", "grant_missing"), `"reason":"grant_missing"`, `"reason":"scope_missing"`, 1), "GET", Allowed, Backend, "", nil},
		"problem, odd reason":      {"403 No", problem("403", `\u001b[2J`), "GET", Allowed, Backend, "", nil},
		"problem, no JSON":         {"403 No", "no", "GET", Allowed, Backend, "", nil},
		"envoy 400":                {"400 Bad", "", "GET", Undecided, Envoy, "", ErrUndecided},
		"envoy 404":                {"404 Bad", "", "GET", Undecided, Envoy, "", ErrUndecided},
		"envoy 426":                {"426 Bad", "", "GET", Undecided, Envoy, "", ErrUndecided},
		"envoy 431":                {"431 Bad", "", "GET", Undecided, Envoy, "", ErrUndecided},
		"envoy 503":                {"503 Bad", "", "GET", Undecided, Envoy, "", ErrUnavailable},
		"envoy 418":                {"418 Bad", "", "GET", Undecided, Envoy, "", ErrUndecided},
		"no gateway 200":           {"200 OK", "hello", "GET", Undecided, Unknown, "", ErrUndecided},
		"no gateway 503":           {"503 OK", "hello", "GET", Undecided, Unknown, "", ErrUndecided},
		"problem without decision": {"403 No", problem("403", "grant_missing"), "GET", Undecided, Unknown, "", ErrUndecided},
		"odd decision":             {"200 OK\r\nx-decision-id: \xff\x9b", "", "GET", Undecided, Unknown, "", ErrUndecided},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			head := "HTTP/1.1 " + tt.head + "\r\nconnection: close\r\n" + id
			if tt.by == Envoy || tt.by == Backend || tt.by == Durward {
				head += envoy
			}
			if tt.by == Backend || tt.by == Durward {
				head += marked
			}
			if strings.Contains(name, "problem") || strings.HasPrefix(name, "denied") {
				head += ours
			}
			req := request(t, gateway(t, head+"\r\n"+tt.body), Request{Method: tt.method, Path: "/orders/7"})
			a, body, err := Send(t.Context(), req, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if a.Verdict != tt.verdict || a.AnsweredBy != tt.by || string(a.Reason) != tt.reason || !errors.Is(a.Err(), tt.err) {
				t.Errorf("%s by %s, reason %q, %v", a.Verdict, a.AnsweredBy, a.Reason, a.Err())
			}
			if (a.Verdict == Undecided) != (a.Cause != "") || (a.Verdict == Undecided) != (a.DecisionID == "") {
				t.Errorf("cause %q, decision %q", a.Cause, a.DecisionID)
			}
			if string(body) != tt.body || a.Body != tt.body {
				t.Errorf("the body is %q and %q", body, a.Body)
			}
		})
	}
}

// The JSON form is an interface.
func TestJSON(t *testing.T) {
	t.Parallel()
	head := "HTTP/1.1 403 No\r\nconnection: close\r\nretry-after: 3\r\n" +
		`www-authenticate: Bearer realm="durward", error="insufficient_scope", scope="orders.write orders.admin"` + "\r\n" + marked + ours
	req := request(t, gateway(t, head+"\r\n"+problem("403", "scope_missing")), Request{Method: "POST", Path: "/orders?a=1&b='x'", Headers: []string{"Host: api.example.com"}})
	a, _, err := Send(t.Context(), req, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	a.Advise(Caller{Application: "mobile", Scopes: []string{"offline_access", "openid", "orders.read"}, Config: "my shop.yaml"}, req)
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"status": 403.0, "verdict": "denied", "answered_by": "durward", "reason": "scope_missing", "decision_id": "QW5ZK3TJ2M7XAB4C",
		"scopes_needed": []any{"orders.write", "orders.admin"}, "retry_after_seconds": 3.0,
		"content_type": "application/problem+json", "body": problem("403", "scope_missing"),
		"next": []any{
			"durward login mobile --scope orders.admin,orders.read,orders.write -c 'my shop.yaml'",
			`durward explain POST 'http://api.example.com/orders?a=1&b='\''x'\''' --as mobile --scope offline_access,openid,orders.read -c 'my shop.yaml'`,
			"durward help scope_missing",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAdvice(t *testing.T) {
	t.Parallel()
	req := request(t, &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Request{Method: "GET", Path: "/"})
	const explain = "durward explain GET http://127.0.0.1:1/ --as mobile"
	age, now := 300, 0
	for name, tt := range map[string]struct {
		answer Answer
		caller Caller
		want   []string
	}{
		"inactive":       {Answer{Verdict: Denied, Reason: "token_inactive"}, Caller{}, []string{"durward login mobile --force", explain, "durward help token_inactive"}},
		"inactive bound": {Answer{Verdict: Denied, Reason: "token_inactive"}, Caller{Bound: true}, []string{"durward login mobile --force --dpop", explain, "durward help token_inactive"}},
		"grant":          {Answer{Verdict: Denied, Reason: "grant_missing"}, Caller{}, []string{explain, "durward help grant_missing"}},
		"HEAD":           {Answer{Verdict: Denied}, Caller{}, []string{explain}},
		"allowed":        {Answer{Verdict: Allowed}, Caller{}, nil},
		"undecided":      {Answer{Verdict: Undecided}, Caller{}, nil},
		"scope bound": {Answer{Verdict: Denied, Reason: "scope_missing", ScopesNeeded: []string{"a"}}, Caller{Bound: true}, []string{
			"durward login mobile --scope a --dpop", explain, "durward help scope_missing",
		}},
		"step-up": {Answer{Verdict: Denied, Reason: "step_up_required", ACRValuesNeeded: []string{"phr", "urn:okta:loa:2fa:any"}, MaxAge: &age}, Caller{}, []string{
			"durward login mobile --acr-values 'phr urn:okta:loa:2fa:any' --max-age 300", explain, "durward help step_up_required",
		}},
		"step-up bound": {Answer{Verdict: Denied, Reason: "step_up_required", ACRValuesNeeded: []string{"phr"}}, Caller{Bound: true}, []string{
			"durward login mobile --acr-values phr --dpop", explain, "durward help step_up_required",
		}},
		"newer":   {Answer{Verdict: Denied, Reason: "step_up_required", MaxAge: &now}, Caller{}, []string{"durward login mobile --max-age 0", explain, "durward help step_up_required"}},
		"unnamed": {Answer{Verdict: Denied, Reason: "step_up_required"}, Caller{}, []string{"durward login mobile --force", explain, "durward help step_up_required"}},
	} {
		tt.caller.Application = "mobile"
		tt.answer.Advise(tt.caller, req)
		if diff := cmp.Diff(tt.want, tt.answer.Next); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What a challenge asks for is read from it, if it is of the right form.
func TestChallenge(t *testing.T) {
	t.Parallel()
	seconds := func(n int) *int { return &n }
	for challenge, want := range map[string]Answer{
		"": {},
		`Bearer realm="durward", error="insufficient_user_authentication", error_description="x", acr_values="phr urn:okta:loa:2fa:any", max_age="900"`: {
			ACRValuesNeeded: []string{"phr", "urn:okta:loa:2fa:any"}, MaxAge: seconds(900),
		},
		`Bearer max_age="0"`:                 {MaxAge: seconds(0)},
		`Bearer max_age="-1"`:                {},
		`Bearer max_age="99999999999999999"`: {},
		`Bearer acr_values="a\\b"`:           {},
		`Bearer acr_values=""`:               {},
		"Bearer acr_values=\"a\x1b[2J\"":     {},
		`Bearer xacr_values="a", xscope="b"`: {},
		`Bearer scope="a b", acr_values="c"`: {ScopesNeeded: []string{"a", "b"}, ACRValuesNeeded: []string{"c"}},
	} {
		var got Answer
		got.readChallenge(challenge)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q: %s", challenge, diff)
		}
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	to := gateway(t, "")
	_, _, err := Send(t.Context(), request(t, to, Request{Method: "GET", Path: "/"}), 10*time.Second)
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("no answer: %v", err)
	}
	slow := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-slow }))
	defer server.Close()
	defer close(slow)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = Send(t.Context(), request(t, u, Request{Method: "GET", Path: "/"}), 50*time.Millisecond)
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("timeout: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = Send(ctx, request(t, u, Request{Method: "GET", Path: "/"}), time.Minute)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestLargeAndBinaryBodies(t *testing.T) {
	t.Parallel()
	head := "HTTP/1.1 200 OK\r\nconnection: close\r\n" + marked + "\r\n"
	a, body, err := Send(t.Context(), request(t, gateway(t, head+strings.Repeat("x", MaxBody+7)), Request{Method: "GET", Path: "/"}), 30*time.Second)
	if err != nil || !a.Truncated || len(body) != MaxBody {
		t.Errorf("large: %v, truncated %t, %d bytes", err, a.Truncated, len(body))
	}
	a, _, err = Send(t.Context(), request(t, gateway(t, head+"\xff\x00"), Request{Method: "GET", Path: "/"}), 30*time.Second)
	if err != nil || a.Truncated || a.Body != "" || string(a.BodyBase64) != "\xff\x00" {
		t.Errorf("binary: %v %+v", err, a)
	}
}

// What is sent is what was typed.
func TestNew(t *testing.T) {
	t.Parallel()
	base, err := url.Parse("https://gw.example.com:8443/")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/orders/7":         "/orders/7",
		"/a%2Fb/../c//d?x=": "/a%2Fb/../c//d?x=",
		"//evil.example/x":  "//evil.example/x",
		"/?q=a%20b":         "/?q=a%20b",
	} {
		req := request(t, base, Request{Method: "GET", Path: path})
		if req.URL.RequestURI() != want || req.URL.Host != "gw.example.com:8443" || req.Body != nil {
			t.Errorf("%s: %s on %s", path, req.URL.RequestURI(), req.URL.Host)
		}
	}
	req := request(t, base, Request{Method: "POST", Path: "/", Headers: []string{"host: api.example.com", "X-A:  1 ", "x-a: 2"}, Body: []byte(`{"a":1}`)})
	if req.Host != "api.example.com" || req.ContentLength != 7 || req.Header.Get("Content-Type") != "application/json" {
		t.Errorf("host %q, %d bytes of %q", req.Host, req.ContentLength, req.Header.Get("Content-Type"))
	}
	if diff := cmp.Diff([]string{"1", "2"}, req.Header.Values("X-A")); diff != "" {
		t.Error(diff)
	}
	req = request(t, base, Request{Method: "POST", Path: "/", Body: []byte("a=b")})
	if got := req.Header.Get("Content-Type"); got != "application/octet-stream" {
		t.Error(got)
	}
	req = request(t, base, Request{Method: "POST", Path: "/", Headers: []string{"Content-Type: text/plain"}, Body: []byte("1")})
	if got := req.Header.Values("Content-Type"); len(got) != 1 || got[0] != "text/plain" {
		t.Error(got)
	}
	for name, r := range map[string]Request{
		"relative":      {Method: "GET", Path: "orders"},
		"absolute":      {Method: "GET", Path: "http://evil.example/"},
		"user":          {Method: "GET", Path: "@evil.example/"},
		"blank":         {Method: "GET", Path: "/a b"},
		"fragment":      {Method: "GET", Path: "/a#b"},
		"escape":        {Method: "GET", Path: "/%zz"},
		"line":          {Method: "GET", Path: "/a\r\nx: y"},
		"method":        {Method: "GET /x", Path: "/"},
		"no colon":      {Method: "GET", Path: "/", Headers: []string{"x"}},
		"header name":   {Method: "GET", Path: "/", Headers: []string{"x y: z"}},
		"header value":  {Method: "GET", Path: "/", Headers: []string{"x: y\r\nz: 1"}},
		"authorization": {Method: "GET", Path: "/", Headers: []string{"authorization: Bearer s3cret-canary"}},
	} {
		_, err := New(t.Context(), base, r)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if strings.Contains(err.Error(), "s3cret-canary") {
			t.Errorf("%s: the error tells the header", name)
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain\n\ttext ü € 😀":  "plain\n\ttext ü € 😀",
		"\x1b[2J\x1b]0;t\x07":  `\u001b[2J\u001b]0;t\u0007`,
		"over\rwritten\r\n":    "over\\u000dwritten\n",
		"\u009b31m":            `\u009b31m`,
		"\u202eevil\u2066":     `\u202eevil\u2066`,
		"\xff\xc0":             `\xff\xc0`,
		"\U000e0001\ufffd\x7f": "\\udb40\\udc01\ufffd\\u007f",
		"":                     "",
	} {
		if got := string(Printable([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	// JSON keeps its meaning.
	const value = "a\u009b\u202e\U000e0001"
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var back string
	if err := json.Unmarshal(Printable(text), &back); err != nil || back != value {
		t.Errorf("%q %v", back, err)
	}
}
