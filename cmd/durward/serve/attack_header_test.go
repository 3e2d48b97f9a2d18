package serve

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/policy/contract"
)

// What callers write into headers that only a gateway may set, or that some server reads
// as another method, path or person.
var headerRows = map[string]streetRow{
	"Q13": {checkRewrites, sendRewrites},
	"Q14": {checkOverrides, sendOverrides},
	"Q18": {checkIdentities, sendIdentities},
	"Q19": {checkVariants, sendVariants},
	"Q20": {checkHops, sendHops},
	"Q21": {checkAbsent, sendAbsent},
	"Q22": {checkInternal, sendInternal},
	"Q23": {checkLists, sendLists},
	"Q24": {checkOctets, sendOctets},
}

// mustOwn holds that an allow sets or removes each header that is ours, once and not both,
// replacing every copy, and that none is empty.
func mustOwn(t *testing.T, res *authv3.CheckResponse) {
	t.Helper()
	ok := res.GetOkResponse()
	if ok == nil {
		t.Fatalf("no allow: %s", outcome(res))
	}
	handled := map[string]int{}
	for _, h := range ok.GetHeaders() {
		handled[h.GetHeader().GetKey()]++
		if h.GetHeader().GetValue() == "" || strings.Contains(h.GetHeader().GetValue(), "forged") || h.GetAppend() == nil || h.GetAppend().GetValue() {
			t.Errorf("header %v", h)
		}
	}
	for _, name := range ok.GetHeadersToRemove() {
		handled[name]++
	}
	for _, name := range slices.Concat(contract.IdentityHeaders(), contract.RewriteHeaders(), []string{"x-claim-email", "x-claim-team", "authorization", "dpop"}) {
		if handled[name] != 1 {
			t.Errorf("%s is set or removed %d times", name, handled[name])
		}
	}
}

// checkOwned sends headers with a good token, without one, and to a shadow API.
func (s *street) checkOwned(t *testing.T, fields ...string) {
	t.Helper()
	forged := s.usual().with(fields...)
	open, shadow := forged, forged
	open.path, open.headers = "/orders/open/1", fields
	shadow.api, shadow.path = "shadow", "/shadow/1"
	for _, p := range []probe{forged, open, shadow} {
		mapped, raw := s.answers(t, p)
		mustOwn(t, mapped)
		mustOwn(t, raw)
	}
	forged.path = "/orders/admin"
	s.check(t, forged, noScope)
	open.path = "/orders/7"
	s.check(t, open, "401 token_missing")
}

// sendOwned is checkOwned through Envoy; nothing forged reaches the backend.
func (s *street) sendOwned(t *testing.T, lines ...string) {
	t.Helper()
	for request, want := range map[string]string{
		s.head("GET /orders/7", lines...):                   "200 GET /7",
		s.head("GET /orders/open/1", lines...):              "200 GET /open/1",
		s.anonymous(s.head("GET /orders/open/1", lines...)): "200 GET /open/1",
		s.head("GET /shadow/1", lines...):                   "200 GET /1",
		s.head("GET /orders/admin", lines...):               noScope,
		s.anonymous(s.head("GET /orders/7", lines...)):      "401 token_missing",
	} {
		got, seen := s.send(t, request)
		if got != want {
			t.Errorf("%.40q with %.80q: %s, want %s", request, lines, got, want)
		}
		for _, a := range seen {
			mustBeOurs(t, a)
			subject := ""
			if a.RequestURI == "/7" {
				subject = "alice@example.com"
			}
			if got := a.Header.Get(contract.HeaderSubject); got != subject {
				t.Errorf("%.40q with %.80q: subject %q", request, lines, got)
			}
		}
	}
}

// linesOf makes lines of names and values in turn.
func linesOf(fields []string) []string {
	var lines []string
	for i := 0; i < len(fields); i += 2 {
		lines = append(lines, fields[i]+": "+fields[i+1])
	}
	return lines
}

// rewrites would lead somewhere else, each holding the word by which a backend's copy is
// found.
var rewrites = []string{
	"x-original-url", "/forged/orders/admin", "x-rewrite-url", "/forged/admin", "x-original-uri", "/forged", "x-original-host", "forged", "x-forwarded-uri", "/forged",
	"x-forwarded-prefix", "/forged", "x-forwarded-proto", "forged", "x-forwarded-host", "forged", "x-forwarded-port", "forged", "x-forwarded-server", "forged", "x-forwarded-path", "/forged",
	"forwarded", "for=forged;host=forged;proto=https", "x-envoy-original-path", "/forged", "x-envoy-original-host", "forged",
}

func checkRewrites(t *testing.T, s *street) { s.checkOwned(t, rewrites...) }

func sendRewrites(t *testing.T, s *street) {
	s.sendOwned(t, linesOf(rewrites)...)
	_, seen := s.send(t, s.head("GET /orders/7", linesOf(rewrites)...))
	if len(seen) != 1 || seen[0].Host != s.origin.address { // the backend's own name
		t.Fatalf("the backend got %v", seen)
	}
}

var overrides = []string{"x-http-method", "forged", "x-http-method-override", "forged", "x-method-override", "forged", "x-original-method", "forged"}

// The body of a form may hold _method too: no check sees bodies.
func checkOverrides(t *testing.T, s *street) {
	s.checkOwned(t, overrides...)
	for _, header := range []string{"x-http-method", "x-http-method-override", "x-method-override", "x-original-method"} {
		p := s.usual().with(header, "GET")
		p.method, p.path = "DELETE", "/orders/7?_method=GET"
		s.check(t, p, noScope)
	}
}

func sendOverrides(t *testing.T, s *street) {
	s.sendOwned(t, linesOf(overrides)...)
	lines := []string{"X-HTTP-Method: GET", "X-HTTP-Method-Override: GET", "X-Method-Override: GET", "X-Original-Method: GET"}
	s.sends(t, map[string]string{
		s.head("DELETE /orders/7?_method=GET", lines...):                noScope,
		s.head("POST /orders/7", append(lines, "Content-Length: 0")...): "200 POST /7",
		s.head("GET /orders/7?_method=DELETE", lines...):                "200 GET /7?_method=DELETE",
	})
}

// identities are all our headers in a spelling, each twice.
func identities(spelling func(string) string, value string) []string {
	var fields []string
	for _, name := range append(contract.IdentityHeaders(), "x-claim-email", "x-claim-team", "x-claim-unmapped", "x-auth-unknown") {
		fields = append(fields, spelling(name), value, spelling(name), value)
	}
	return fields
}

func same(name string) string { return name }

func checkIdentities(t *testing.T, s *street) {
	for _, spelling := range []func(string) string{same, strings.ToUpper, http.CanonicalHeaderKey} {
		for _, value := range []string{"forged", ""} {
			s.checkOwned(t, identities(spelling, value)...)
		}
	}
	s.checkOwned(t, "x-auth-subject", strings.Repeat("forged", 32<<10))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	huge := s.usual().with("x-auth-subject", strings.Repeat("forged", 1<<20/6))
	if _, err := authv3.NewAuthorizationClient(s.conn).Check(ctx, huge.request(true)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a question of a MiB: %v", err)
	}
}

func sendIdentities(t *testing.T, s *street) {
	for _, spelling := range []func(string) string{same, strings.ToUpper, http.CanonicalHeaderKey} {
		for _, value := range []string{"forged", ""} {
			s.sendOwned(t, linesOf(identities(spelling, value))...)
		}
	}
	s.sendOwned(t, "X-Auth-Subject: "+strings.Repeat("forged", 8<<10))
	s.sends(t, map[string]string{s.head("GET /orders/7", "X-Auth-Subject: "+strings.Repeat("forged", 1<<20/6)): "431"})
}

func checkVariants(t *testing.T, s *street) {
	for _, separator := range []string{"_", "."} {
		s.checkOwned(t, identities(func(name string) string { return strings.ReplaceAll(name, "-", separator) }, "forged")...)
	}
}

func sendVariants(t *testing.T, s *street) {
	for _, name := range []string{"x_auth_subject", "X_AUTH_SUBJECT", "x-auth_subject", "x_claim_email", "X_Original_Url", "x_http_method_override", "_", "authorization_"} {
		s.sends(t, map[string]string{
			s.head("GET /orders/7", name+": forged"):                   "400",
			s.anonymous(s.head("GET /orders/open/1", name+": forged")): "400",
		})
	}
	for _, name := range []string{"X-Auth\r-Subject", "\rX-Auth-Subject", "X-Auth-Subject\r", "X-Auth-Subject ", "X-Auth-Subject\x00", "X-Auth\x00-Subject", "X-\u017fAuth-Subject"} {
		s.sends(t, map[string]string{s.head("GET /orders/7", name+": forged"): "400"})
	}
	got, seen := s.send(t, s.head("GET /orders/7", "X-Before: a", " X-Auth-Subject: more of it"))
	if got != "200 GET /7" || !slices.Equal(seen[0].Header.Values(contract.HeaderSubject), []string{"alice@example.com"}) {
		t.Errorf("a folded line: %s, %v", got, seen)
	}
	// Dots make other names, which no backend folds as CGI folds underscores; nobody owns
	// them, and ours are set beside them.
	got, seen = s.send(t, s.head("GET /orders/7", "x.auth.subject: other", "x-auth-subject.: other", "xx-auth-subject: other"))
	if got != "200 GET /7" || seen[0].Header.Get(contract.HeaderSubject) != "alice@example.com" || len(seen[0].Header.Values(contract.HeaderSubject)) != 1 {
		t.Errorf("%s, %v", got, seen)
	}
	if got, _ := s.sendH2(t, "", append(s.usualH2(), "x_auth_subject", "forged")...); got != "reset" {
		t.Errorf("h2: %s", got)
	}
}

var hops = []string{
	"x-auth-subject", "close, x-auth-subject", "x-auth-subject, x-auth-scopes, x-decision-id, x-auth-user-id", "keep-alive, X-Auth-Subject", "authorization", "te, x-auth-subject", "x-auth-subject, x-auth-subject",
}

func checkHops(t *testing.T, s *street) {
	for _, value := range hops {
		s.checkOwned(t, "connection", value, "te", "trailers, x-auth-subject", "keep-alive", "x-auth-subject", "proxy-connection", "x-auth-subject", "x-auth-subject", "forged")
	}
}

func sendHops(t *testing.T, s *street) {
	for _, value := range hops {
		want := "200 GET /7"
		if value == "authorization" {
			want = "401 token_missing" // Envoy drops what the caller names before it asks
		}
		request := s.head("GET /orders/7", "TE: trailers, x-auth-subject", "Keep-Alive: x-auth-subject", "Proxy-Connection: x-auth-subject", "X-Auth-Subject: forged")
		got, seen := s.send(t, strings.Replace(request, "Connection: close", "Connection: close, "+value, 1))
		if got != want {
			t.Errorf("Connection: %s: %s, want %s", value, got, want)
		}
		for _, a := range seen {
			mustBeOurs(t, a)
			for name, mine := range map[string]string{contract.HeaderSubject: "alice@example.com", contract.HeaderScopes: "orders.read", contract.HeaderUserID: "00uALICE"} {
				if got := a.Header.Values(name); !slices.Equal(got, []string{mine}) || strings.Contains(strings.ToLower(fmt.Sprint(a.Header["Connection"])), "x-auth") {
					t.Errorf("Connection: %s: %s %q, connection %q", value, name, got, a.Header["Connection"])
				}
			}
		}
	}
}

// holding is a good token with a claim; one of no text is left out.
func (s *street) holding(claim, value string) string {
	if value == "" {
		return s.good()
	}
	return s.wrong(claim, value)
}

func checkAbsent(t *testing.T, s *street) {
	for _, change := range [][2]string{{"email", ""}, {"email", `""`}, {"email", "null"}, {"email", "[]"}, {"groups", "[]"}, {"uid", `"00uALICE"`}} {
		p := s.usual().with(identities(same, "forged")...)
		p.headers[1] = "Bearer " + s.holding(change[0], change[1])
		mapped, raw := s.answers(t, p)
		mustOwn(t, mapped)
		mustOwn(t, raw)
		if !slices.Contains(raw.GetOkResponse().GetHeadersToRemove(), "x-claim-email") || !slices.Contains(raw.GetOkResponse().GetHeadersToRemove(), contract.HeaderGroups) {
			t.Errorf("%s %s: an absent claim is not removed", change[0], change[1])
		}
	}
}

func sendAbsent(t *testing.T, s *street) {
	for _, value := range []string{"", `""`, "null", "[]", `"alice"`} {
		request := strings.Replace(s.head("GET /orders/7", linesOf(identities(same, "forged"))...), s.token, s.holding("email", value), 1)
		got, seen := s.send(t, request)
		if got != "200 GET /7" {
			t.Errorf("email %s: %s", value, got)
			continue
		}
		mustBeOurs(t, seen[0])
		if email := seen[0].Header.Values("x-claim-email"); len(email) != 0 && (value != `"alice"` || email[0] != "alice") {
			t.Errorf("email %s: %q", value, email)
		}
	}
}

var internals = []string{
	"x-envoy-auth-partial-body", "forged", "x-envoy-auth-failure-mode-allowed", "forged", "x-envoy-original-path", "/forged", "x-envoy-internal", "forged", "x-envoy-retry-on", "forged",
	"x-envoy-upstream-alt-stat-name", "forged", "x-envoy-downstream-service-cluster", "forged", "x-envoy-hedge-on-per-try-timeout", "forged", "x-envoy-decorator-operation", "forged",
	"x-ext-authz-check-result", "forged", "x-ext-authz-received", "forged", "x-jwt-claim-sub", "forged", "x-forwarded-user", "forged", "x-forwarded-client-cert", "forged", "x-forwarded-access-token", "forged",
}

func checkInternal(t *testing.T, s *street) { s.checkOwned(t, internals...) }

func sendInternal(t *testing.T, s *street) { s.sendOwned(t, linesOf(internals)...) }

func checkLists(t *testing.T, s *street) {
	s.judgesLists(t, func(t *testing.T, path, role, want string) {
		p := s.usual().with("role", "user,admin", "role", "admin", "x-role", "admin")
		p.headers[1], p.path = "Bearer "+s.holding("role", role), path
		s.check(t, p, want)
	})
}

// judgesLists: headers never decide, and of a claim each item counts for itself.
func (s *street) judgesLists(t *testing.T, ask func(t *testing.T, path, role, want string)) {
	t.Helper()
	const no = "403 claim_mismatch"
	for role, want := range map[string][2]string{ // contains admin, equals user
		"": {no, no}, `"user"`: {no, allow}, `"admin"`: {no, no}, `"user,admin"`: {no, no}, `["user","admin"]`: {allow, no}, `["user"]`: {no, no},
		`["user,admin"]`: {no, no}, `["administrator"]`: {no, no}, `[["admin"]]`: {no, no}, `["ADMIN"]`: {no, no},
	} {
		ask(t, "/orders/role/admin", role, want[0])
		ask(t, "/orders/role/user", role, want[1])
	}
}

func sendLists(t *testing.T, s *street) {
	s.judgesLists(t, func(t *testing.T, path, role, want string) {
		request := s.head("GET "+path, "Role: user,admin", "Role: admin", "X-Role: admin")
		if want == allow {
			want = "200 GET " + strings.TrimPrefix(path, "/orders")
		}
		s.sends(t, map[string]string{strings.Replace(request, s.token, s.holding("role", role), 1): want})
	})
}

// spelled is a message as bytes, which need be no message.
type spelled []byte

// spelling sends messages as they are spelled.
type spelling struct{}

func (spelling) Name() string { return "proto" }

func (spelling) Marshal(v any) ([]byte, error) {
	if text, ok := v.(spelled); ok {
		return text, nil
	}
	return nil, fmt.Errorf("a %T is sent", v)
}

func (spelling) Unmarshal(text []byte, v any) error { return proto.Unmarshal(text, v.(proto.Message)) }

func checkOctets(t *testing.T, s *street) {
	for _, octets := range []string{"\xff", "\x80", "\xc0\xaf", "\xed\xa0\x80", "é", "\x00", "\r\n", "\x7f"} {
		s.check(t, s.usual().with("x-other", octets, "traceparent", octets, "cookie", octets, "x-request-id", octets, "content-type", octets), allow)
		for _, value := range []string{"Bearer " + s.token + octets, "Bearer " + octets + s.token, "Bearer " + s.token[:20] + octets + s.token[20:]} {
			p := s.usual()
			p.headers = []string{"authorization", value}
			s.check(t, p, malformed)
		}
	}
	// What Envoy builds from other octets is no CheckRequest at all: an error of gRPC, which
	// Envoy takes for an outage, and no allow.
	for _, place := range []string{"/orders/OCTET", "OCTET.example.com", "GOCTET"} {
		p := s.usual().with("x-octet", "a")
		switch place[0] {
		case '/':
			p.path = place
		case 'O':
			p.host = place
		default:
			p.method = place
		}
		text := must(proto.Marshal(p.request(false)))
		broken := spelled(strings.ReplaceAll(string(text), "OCTET", "\xff\xfe\xed\xa0\x80"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := s.conn.Invoke(ctx, checkMethod, broken, new(authv3.CheckResponse), grpc.ForceCodec(spelling{}))
		cancel()
		if err == nil {
			t.Errorf("%s: an answer to what is no CheckRequest", place)
		}
	}
}

func sendOctets(t *testing.T, s *street) {
	for _, octets := range []string{"\xff", "\x80", "\xc0\xaf", "é"} {
		s.sends(t, map[string]string{
			s.head("GET /orders/7", "X-Other: "+octets, "Cookie: "+octets, "Traceparent: "+octets, "Content-Type: "+octets): "200 GET /7",
			strings.Replace(s.head("GET /orders/7"), s.token, s.token+octets, 1):                                            malformed,
			strings.Replace(s.head("GET /orders/7"), s.token, octets+s.token, 1):                                            malformed,
			s.head("GET /orders/7" + octets):                         "400",
			s.head("GET /named/7", "Host: named.example.com"+octets): "400",
			s.head("GET" + octets + " /orders/7"):                    "400",
		})
	}
	for octet, want := range map[string]string{"\x00": "400", "\x01": "400", "\x7f": "400", "\r": "200 GET /7"} {
		got, seen := s.send(t, s.head("GET /orders/7", "X-Other: a"+octet+"b"))
		if got != want || len(seen) > 0 && seen[0].Header.Get("X-Other") != "ab" { // Envoy drops a lone CR
			t.Errorf("%q: %s, %v", octet, got, seen)
		}
	}
}
