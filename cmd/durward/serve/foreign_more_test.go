package serve

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/policy/oktatest"
	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/dpop"
)

// TestAttackForeignContent has the rows about lists, bodies and kinds of content, before an
// Envoy that sends what it got.
func TestAttackForeignContent(t *testing.T) {
	t.Parallel()
	for name, filter := range map[string]string{"plain": plainFilter, "documented": documentedFilter(), "listed": listedFilter} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newForeign(t, filter)
			alice := f.token(t, "mobile", "alice", "orders.read")
			t.Run("Q13", func(t *testing.T) { f.rewrites(t, alice) })
			t.Run("Q14", func(t *testing.T) { f.overrides(t, alice) })
			t.Run("Q20", func(t *testing.T) { f.hops(t, alice) })
			t.Run("Q23", func(t *testing.T) { f.lists(t, alice) })
			t.Run("Q30", func(t *testing.T) { f.rpc(t, alice) })
			t.Run("Q29", func(t *testing.T) { f.bodies(t, alice) })
		})
	}
}

// rewrites by headers do not change what is judged.
func (f *foreign) rewrites(t *testing.T, alice string) {
	t.Helper()
	const open = "x-original-url: /files/public\r\nx-rewrite-url: /files/public\r\nx-original-uri: /files/public\r\nx-forwarded-uri: /files/public\r\n" +
		"x-envoy-original-path: /files/public\r\nx-forwarded-prefix: /files\r\nx-forwarded-proto: https\r\n"
	f.wants(t, "open", "GET /orders/7", "", open, "401 token_missing")
	f.wants(t, "elsewhere", "GET /nothing", alice, strings.ReplaceAll(open, "/files/public", "/orders/7"), "404 api_unknown")
	const vault = "x-forwarded-host: vault.example.com\r\nx-original-host: vault.example.com\r\nx-host: vault.example.com\r\nforwarded: host=vault.example.com\r\n"
	f.wants(t, "host", "GET /vault/keys", alice, vault, "404 api_unknown")
}

// overrides of the method neither open nor close anything.
func (f *foreign) overrides(t *testing.T, alice string) {
	t.Helper()
	lines := func(method string) string {
		return strings.ReplaceAll("x-http-method: M\r\nx-http-method-override: M\r\nx-method-override: M\r\nx-original-method: M\r\n", ": M\r", ": "+method+"\r")
	}
	f.wants(t, "write as read", "POST /orders?_method=GET", alice, lines("GET")+"content-length: 0\r\n", "403 scope_missing")
	f.wants(t, "read as write", "GET /orders/7?_method=DELETE", alice, lines("DELETE"), "200")
	f.wants(t, "unknown", "PUT /orders/7?_method=GET", alice, lines("GET")+"content-length: 0\r\n", "405 operation_unknown")
}

// hops: Envoy drops what the caller names before it asks, and adds ours after it.
func (f *foreign) hops(t *testing.T, alice string) {
	t.Helper()
	for _, value := range hops {
		want := "200"
		if value == "authorization" {
			want = "401 token_missing"
		}
		a, seen := f.wants(t, value, "GET /orders/7", alice, "connection: "+value+"\r\nproxy-connection: x-auth-subject\r\n", want)
		f.showsAlice(t, value, a, seen)
	}
}

// lists: a claim's items count one by one, headers never, and credentials are no list.
func (f *foreign) lists(t *testing.T, alice string) {
	t.Helper()
	const forged = "groups: sales,admin\r\ngroups: admin\r\nx-auth-groups: admin\r\nx-groups: admin\r\nrole: admin\r\n"
	bob := f.token(t, "mobile", "bob", "orders.read")
	for path, want := range map[string][2]string{ // of Everyone and sales, of Everyone
		"/sales":  {"200", "403 claim_mismatch"},
		"/ruled":  {"200", "403 claim_mismatch"},
		"/admin":  {"403 claim_mismatch", "403 claim_mismatch"},
		"/sole":   {"403 claim_mismatch", "403 claim_mismatch"},
		"/joined": {"403 claim_mismatch", "403 claim_mismatch"},
	} {
		f.wants(t, "alice", "GET /roles"+path, alice, forged, want[0])
		f.wants(t, "bob", "GET /roles"+path, bob, forged, want[1])
	}
	const basic = "authorization: Basic YTpi\r\n"
	one, other := "authorization: Bearer "+alice+"\r\n", "authorization: Bearer "+bob+"\r\n"
	for name, lines := range map[string]string{
		"the same twice": one + one, "two people's": one + other, "a list": "authorization: Bearer " + alice + ", Bearer " + bob + "\r\n",
		"a list of tokens": "authorization: Bearer " + alice + "," + bob + "\r\n", "another scheme last": one + basic,
		"a comma": "authorization: Bearer " + alice + ",\r\n", "a parameter": "authorization: Bearer " + alice + ", realm=x\r\n",
	} {
		f.wants(t, name, "GET /orders/7", "", lines, foreignMalformed)
	}
	f.wants(t, "another scheme first", "GET /orders/7", "", basic+one, "401 token_missing")
	f.wants(t, "nothing first", "GET /orders/7", "", "authorization:\r\n"+one, "200") // Envoy joins no two where one is empty
	f.provesTwice(t)
}

// provesTwice: of two good proofs neither counts.
func (f *foreign) provesTwice(t *testing.T) {
	t.Helper()
	key := newKey(t)
	bound := f.mint(t, oktatest.TokenRequest{Client: "mobile", User: "alice@example.com", Scopes: []string{"openid", "orders.read"}, JKT: must(dpop.Thumbprint(key))})
	line := func() string {
		return "dpop: " + must(dpop.Sign(key, dpop.Statement{
			Method: "GET", URL: scaffold.Local().GatewayURL + "/orders/7", Token: must(token.Parse(bound)), IssuedAt: time.Now(),
		})) + "\r\n"
	}
	authorization := "authorization: DPoP " + bound + "\r\n"
	f.wants(t, "two proofs", "GET /orders/7", "", authorization+line()+line(), "401 proof_invalid")
	f.wants(t, "one proof", "GET /orders/7", "", authorization+line(), "200")
}

// rpc: the path decides, whatever the content says that it is. Nothing normalises the path.
func (f *foreign) rpc(t *testing.T, alice string) {
	t.Helper()
	for kind, speaks := range kinds {
		for path, want := range map[string][2]string{
			"/pkg.Svc/Method":          {"200", "200"},
			"/pkg.Svc/Method?x=/Admin": {"200", "200"},
			"/pkg.Svc/Admin":           {noScope, "200 grpc 7 scope_missing"},
			"/pkg.Svc/method":          {noOperation, "200 grpc 12 operation_unknown"},
			"/pkg.svc/Method":          {noAPI, "200 grpc 12 api_unknown"},
			"/rest/pkg.Svc/Method":     {noAPI, "200 grpc 12 api_unknown"},
			"/pkg.Svc/x/../Method":     {malformed, "200 grpc 3 request_malformed"},
			"//pkg.Svc/Method":         {malformed, "200 grpc 3 request_malformed"},
			"/pkg.Svc/Method;x":        {malformed, "200 grpc 3 request_malformed"},
			"/pkg.Svc%2FMethod":        {malformed, "200 grpc 3 request_malformed"},
		} {
			outcome := want[0]
			if speaks {
				outcome = want[1]
			}
			if strings.Contains(kind, ";") { // gRPC to us alone, so that Envoy leaves the status
				status, _, _ := strings.Cut(want[0], " ")
				outcome = strings.Replace(outcome, "200 grpc", status+" grpc", 1)
			}
			f.wants(t, kind, "POST "+path, alice, "content-type: "+kind+"\r\ncontent-length: 0\r\nx-grpc-web: 1\r\nte: trailers\r\n", outcome)
		}
	}
}

// bodies never decide, where Envoy sends none, a part of them, or all.
func (f *foreign) bodies(t *testing.T, alice string) {
	t.Helper()
	f.judgesBodies(t, alice, "none")
	for name, with := range map[string]string{
		"part":  "{ max_request_bytes: 16, allow_partial_message: true }",
		"bytes": "{ max_request_bytes: 16, allow_partial_message: true, pack_as_bytes: true }",
		"whole": "{ max_request_bytes: 65536 }",
	} {
		g := f.beside(t, "failure_mode_allow: false", "with_request_body: "+with+"\n              failure_mode_allow: false")
		g.judgesBodies(t, alice, name)
	}
	// A question of more than 256 KiB is not read: there is no answer, and nothing passes.
	g := f.beside(t, "failure_mode_allow: false", "with_request_body: { max_request_bytes: 4194304 }\n              failure_mode_allow: false")
	large := "POST /pkg.Svc/Method"
	for _, size := range []int{100 << 10, 300 << 10} {
		got := g.post(t, large, alice, "", strings.Repeat("a", size))
		seen := g.backend.take()
		if fits := size < 256<<10; fits != (got.status == 200) || fits != (len(seen) == 1) || got.status != 200 && got.status != 403 && got.status != 503 {
			t.Errorf("a body of %d bytes: %s, the backend was reached %d times", size, got, len(seen))
		}
	}
}

func (f *foreign) judgesBodies(t *testing.T, alice, sent string) {
	t.Helper()
	form := "access_token=" + alice + "&_method=GET&" + strings.Repeat("x", 64)
	for _, lines := range []string{"", "x-envoy-auth-partial-body: true\r\n", "x-envoy-auth-partial-body: false\r\nX-Envoy-Auth-Partial-Body: forged\r\n"} {
		lines += "content-type: application/x-www-form-urlencoded\r\n"
		for _, body := range []string{form, "{}", "\xff\x00\x80", ""} {
			what := fmt.Sprintf("%s, %q, %.5q", sent, lines, body)
			for line, c := range map[string][2]string{ // the token, and the outcome
				"POST /pkg.Svc/Method":               {alice, "200"},
				"POST /pkg.Svc/Method?chunked":       {alice, "200"},
				"POST /pkg.Svc/Admin":                {alice, "403 scope_missing"},
				"POST /pkg.Svc/Method?anonymous":     {"", "401 token_missing"},
				"POST /orders":                       {alice, "403 scope_missing"},
				"PUT /pkg.Svc/Method?_method=POST":   {alice, "405 operation_unknown"},
				"POST /pkg.Svc/Method/../Admin":      {alice, foreignMalformed},
				"POST /pkg.Svc/Method?access_token=": {alice, foreignMalformed},
			} {
				got := f.post(t, line, c[0], lines, body)
				seen := f.backend.take()
				if got.String() != c[1] || (got.status == 200) != (len(seen) == 1) {
					t.Errorf("%s, %s: %s, want %s; the backend was reached %d times", what, line, got, c[1], len(seen))
				}
				for _, r := range seen {
					if text := string(must(io.ReadAll(r.Body))); text != body || len(r.Header.Values("X-Envoy-Auth-Partial-Body")) > 0 {
						t.Errorf("%s, %s: the backend saw %q, %v", what, line, text, r.Header)
					}
				}
			}
		}
	}
}

// post is send with a body; a line that ends in "chunked" sends it so.
func (f *foreign) post(t *testing.T, line, token, lines, body string) foreignAnswer {
	t.Helper()
	if token != "" {
		lines += "authorization: Bearer " + token + "\r\n"
	}
	length := fmt.Sprintf("content-length: %d\r\n\r\n%s", len(body), body)
	if strings.HasSuffix(line, "chunked") {
		length = "transfer-encoding: chunked\r\n\r\n"
		if body != "" {
			length += fmt.Sprintf("1;x=y\r\n%s\r\n%x\r\n%s\r\n", body[:1], len(body)-1, body[1:])
		}
		length += "0\r\n\r\n"
	}
	return f.sendRaw(t, line+" HTTP/1.1\r\nhost: api.example.com\r\n"+lines+length)
}
