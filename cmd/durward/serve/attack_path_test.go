package serve

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// The paths of requests, and what stands for one. Whatever a path is written like, the
// caller's token opens orders.read alone.
var pathRows = map[string]streetRow{
	"Q01": {checkDots, sendDots},
	"Q02": {checkEscapes, sendEscapes},
	"Q03": {checkTwice, sendTwice},
	"Q04": {checkSlashes, sendSlashes},
	"Q05": {checkParameters, sendParameters},
	"Q06": {checkQueries, sendQueries},
	"Q07": {checkCase, sendCase},
	"Q08": {checkForms, sendForms},
	"Q11": {checkTargets, sendTargets},
	"Q26": {checkProbes, sendProbes},
	"Q30": {checkRPC, sendRPC},
}

const (
	allow     = "allow"
	malformed = "400 request_malformed"
	// no other API, and no operation of this one: a row of the catalogue of attacks may
	// say 403, the table of reasons 404 to whoever may know.
	noAPI       = "404 api_unknown"
	noOperation = "404 operation_unknown"
	noScope     = "403 scope_missing"
)

// all gives every path the same outcome.
func all(outcome string, paths ...string) map[string]string {
	want := make(map[string]string)
	for _, p := range paths {
		want[p] = outcome
	}
	return want
}

// also adds to want.
func also(want map[string]string, more ...map[string]string) map[string]string {
	for _, m := range more {
		maps.Copy(want, m)
	}
	return want
}

func checkDots(t *testing.T, s *street) {
	s.checkPaths(t, "orders", also(all(malformed,
		"/orders/../admin", "/orders/7/../admin", "/orders/./7", "/orders/7/.", "/orders/7/..", "/orders/..", "/orders/.", "/..", "/.", "/../orders/7",
		"/orders/.%2e/7", "/orders/%2e./7", "/orders/%2e%2e/7", "/orders/%2E/7", "/orders/files/../admin", "/orders/files/x/../secret/1", "/orders/files/.%2E/admin",
	), all(noOperation, "/orders/.../7", "/orders/..x/7"), all(allow, "/orders/...", "/orders/.7", "/orders/7.", "/orders/..7")))
}

func sendDots(t *testing.T, s *street) {
	// Envoy repairs: what it asks about is what the backend gets.
	s.sendsPaths(t, map[string]string{
		"/orders/x/../7":              "200 GET /7",
		"/orders/./7":                 "200 GET /7",
		"/orders/%2e/7":               "200 GET /7",
		"/orders/x/.%2E/7":            "200 GET /7",
		"/orders/x/%2e%2e/7":          "200 GET /7",
		"/../../orders/7":             "200 GET /7",
		"/orders/files/../admin":      noScope,
		"/orders/files/.%2e/admin":    noScope,
		"/orders/files/x/../secret/1": noScope,
		"/orders/files/x/%2e%2E/y/..": "200 GET /files/",
		"/orders/7/..":                noOperation,
		"/orders/../admin":            noAPI,
		"/orders/7/../../admin":       noAPI,
		"/..":                         noAPI,
		"/orders/...":                 "200 GET /...",
	})
}

func checkEscapes(t *testing.T, s *street) {
	for c := range 256 {
		want := allow
		switch {
		case c < ' ' || c == 0x7f || c == '/' || c == '\\', strings.IndexByte("-._~", byte(c)) >= 0,
			'0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			want = malformed
		}
		s.checkPaths(t, "orders", all(want, fmt.Sprintf("/orders/a%%%02x", c), fmt.Sprintf("/orders/a%%%02X", c)))
	}
	s.checkPaths(t, "orders", all(malformed,
		"/orders/files%2fsecret", "/orders/files/%2Fsecret/1", "/orders/files/x%5c..%5Csecret", "/orders/7%00", "/orders/%zz", "/orders/%", "/orders/7%2", "/orders/%u002f", "/orders/%c0%2f",
	))
	// An overlong slash is no slash to whoever reads UTF-8: one segment, and no more.
	s.checkPaths(t, "orders", also(all(allow, "/orders/%c0%af", "/orders/..%c0%af", "/orders/%e0%80%af", "/orders/files/..%c0%afsecret"), all(noOperation, "/orders/%c0%af/7")))
	// A spelling that leads elsewhere once decoded is no way in.
	s.checkPaths(t, "orders", all(malformed, "/orders/%61dmin", "/orders/adm%69n", "/orders/files/%73ecret/1"))
}

func sendEscapes(t *testing.T, s *street) {
	s.sendsPaths(t, also(all("400",
		"/orders/files%2fsecret", "/orders/files%2Fsecret", "/orders/x%5c7", "/orders/x%5C7", "/orders/7%00", "/orders/7%2500%00",
		"/orders/\x80", "/orders/é",
	), all(malformed, "/orders/%01", "/orders/7%0d%0a", "/orders/7%7f", "/orders/%zz", "/orders/%", "/orders/7%2", "/orders/%u002f"), map[string]string{
		"/orders/%61dmin":              noScope, // Envoy decodes what stands for itself
		"/orders/%37":                  "200 GET /7",
		"/orders/files/%73ecret/1":     noScope,
		"/orders/a%20b":                "200 GET /a%20b",
		"/orders/%c0%af":               "200 GET /%c0%af",
		"/orders/files/..%c0%afsecret": "200 GET /files/..%c0%afsecret",
		"/orders/%ff":                  "200 GET /%ff",
	}))
}

var doubled = []string{"/orders/%252f", "/orders/%252F7", "/orders/files/%252e%252e/secret/1", "/orders/files/%252E%252e", "/orders/files/..%255csecret", "/orders/%2525", "/orders/files/%25252e", "/orders/%2500"}

// Q03 wants one literal segment, and 400 where a wildcard would let it through: we have
// no safe reading of any.
func checkTwice(t *testing.T, s *street) {
	s.checkPaths(t, "orders", also(all(malformed, doubled...), all(allow, "/orders/100%25", "/orders/%25x")))
}

func sendTwice(t *testing.T, s *street) {
	s.sendsPaths(t, also(all(malformed, doubled...), map[string]string{"/orders/100%25": "200 GET /100%25"}))
}

func checkSlashes(t *testing.T, s *street) {
	s.checkPaths(t, "orders", all(malformed,
		"//orders/7", "/orders//7", "/orders/7//", "/orders/files//secret/1", "//admin@host/x", "//evil/orders/7", "///", "//", "/orders/files///", "/orders//",
	))
}

func sendSlashes(t *testing.T, s *street) {
	s.sendsPaths(t, map[string]string{
		"//orders/7":                 "200 GET /7",
		"/orders//7":                 "200 GET /7",
		"/orders/files//secret/1":    noScope,
		"/orders//admin":             noScope,
		"/orders///files////x":       "200 GET /files/x",
		"//admin/x":                  noAPI,
		"//admin@host/x":             noAPI,
		"//api.example.com/orders/7": noAPI,
		"/orders/files/":             "200 GET /files/",
	})
}

func checkParameters(t *testing.T, s *street) {
	s.checkPaths(t, "orders", also(all(malformed,
		"/orders/7;a=b", "/orders/admin;a=b", "/orders;/7", "/orders/;/7", "/orders/..;/admin", "/orders/files/..;/admin", "/orders/files/x;/../secret", "/orders/files/secret;/1",
		`/orders/x\7`, `/orders\7`, `/orders/files\..\admin`, `/orders/files/\secret`,
	), all(allow, "/orders/7,a", "/orders/7=a", "/orders/a:b@c"), all(noScope, "/orders/admin/7,x")))
}

func sendParameters(t *testing.T, s *street) {
	s.sendsPaths(t, also(all(malformed,
		"/orders/7;a=b", "/orders/admin;a=b", "/orders/;/7", "/orders/files/secret;/1", "/orders/files/secret;a=b/1",
	), map[string]string{
		// Since 1.39 Envoy takes "..;" for a dot segment, and the rest is judged.
		"/orders/files/..;/admin": noScope,
		"/orders/x/..;/7":         "200 GET /7",
		"/orders;/7":              malformed,
		`/orders\7`:               "200 GET /7",
		`/orders/files\..\admin`:  noScope,
		`/orders/files\secret\1`:  noScope,
		"/orders/7,a":             "200 GET /7,a",
	}))
}

func checkQueries(t *testing.T, s *street) {
	s.checkPaths(t, "orders", map[string]string{
		"/orders/7?x=/../admin":             allow,
		"/orders/7?/orders/admin":           allow,
		"/orders/7??x":                      allow,
		"/orders/7?a#b":                     allow,
		"/orders/admin?x=/orders/7":         noScope,
		"/orders/admin?/../7":               noScope,
		"/orders/admin?_method=GET":         noScope,
		"/orders?/7":                        noOperation,
		"/orders/7#/../admin":               malformed,
		"/orders/files/#/secret":            malformed,
		"/orders/7%3f/../admin":             malformed,
		"/orders/7%3Fx":                     allow,
		"/orders/7%23x":                     allow,
		"/orders/admin%3fx":                 allow, // an id that no server reads as admin
		"/orders/admin%23":                  allow,
		"/orders/files/secret%3f":           allow,
		"?/orders/7":                        malformed,
		"/admin?/orders/7":                  noAPI,
		"/orders/7?access_token=" + s.token: malformed,
	})
}

func sendQueries(t *testing.T, s *street) {
	s.sendsPaths(t, map[string]string{
		"/orders/7?x=/../admin":     "200 GET /7?x=/../admin",
		"/orders/7?/../admin":       "200 GET /7?/../admin",
		"/orders/admin?x=/orders/7": noScope,
		"/orders/admin?/../7":       noScope,
		"/admin?/orders/7":          noAPI,
		"/orders/7#/../admin":       "400",
		"/orders/7?a#b":             "400",
		"/orders/admin%23":          "200 GET /admin%23",
		"/orders/7%3Fx":             "200 GET /7%3Fx",
		"/orders/x%3f/../7":         "200 GET /7",
		"?/orders/7":                "400",
	})
}

func checkCase(t *testing.T, s *street) {
	s.checkPaths(t, "orders", also(
		all(noAPI, "/Orders/7", "/ORDERS/7", "/orderS/admin"),
		all(noOperation, "/orders/Admin/x", "/orders/ADMIN/x", "/orders/Files/secret/1"),
		all(allow, "/orders/Admin", "/orders/ADMIN", "/orders/files/Secret/1"), // an id and a file: other names than those protected
		all(malformed, "/order\u017f/7", "/orders/\u212a", "/orders/adm\u0131n", "/orders/adm\u0130n"),
		all(allow, "/orders/adm%C4%B1n", "/orders/%E2%84%AA"),
		all(noAPI, "/order%C5%BF/7"),
	))
}

func sendCase(t *testing.T, s *street) {
	s.sendsPaths(t, also(
		all(noAPI, "/Orders/7", "/ORDERS/7", "/order%C5%BF/7"),
		all(noOperation, "/orders/Admin/x", "/orders/Files/secret/1"),
		all("400", "/order\u017f/7", "/orders/adm\u0131n"),
		map[string]string{"/orders/Admin": "200 GET /Admin", "/orders/adm%C4%B1n": "200 GET /adm%C4%B1n", "/orders/aDmin/": noOperation},
	))
}

func checkForms(t *testing.T, s *street) {
	s.checkPaths(t, "orders", also(
		all(noOperation, "/orders", "/orders/", "/orders/7/", "/orders/7/x", "/orders/headed/"),
		all(noScope, "/orders/admin", "/orders/admin/", "/orders/admin/x.json"),
		all(noAPI, "/ordersx", "/orders.json", "/order", "/orders%20", "/"),
		all(allow, "/orders/7", "/orders/7.json", "/orders/admin.json", "/orders/admin.", "/orders/headed."), // ids of their own
	))
}

func sendForms(t *testing.T, s *street) {
	s.sendsPaths(t, also(
		all(noOperation, "/orders", "/orders/", "/orders/7/", "/orders/7/x"),
		all(noScope, "/orders/admin", "/orders/admin/", "/orders/admin/x.json"),
		all(noAPI, "/ordersx", "/orders.json", "/order", "/orders%20", "/"),
		map[string]string{"/orders/7.json": "200 GET /7.json", "/orders/admin.": "200 GET /admin."},
	))
}

func checkTargets(t *testing.T, s *street) {
	s.checkPaths(t, "orders", all(malformed,
		"http://evil/orders/7", "https://api.example.com/orders/7", "*", "", "orders/7", "admin", "api.example.com:443", "\\orders\\7", " /orders/7", "/orders/7 ", "\t/orders/7",
	))
}

func sendTargets(t *testing.T, s *street) {
	s.sends(t, map[string]string{
		// The authority of the target replaces the host, and its path is judged.
		s.head("GET http://evil.example/orders/7"):                                 "200 GET /7",
		s.head("GET http://hidden.example.com/named/7", "Host: named.example.com"): noScope,
		s.head("GET http://named.example.com/named/7", "Host: hidden.example.com"): "200 GET /7",
		s.head("GET http://named.example.com@hidden.example.com/named/7"):          noScope,
		s.head("GET http://evil.example/admin"):                                    noAPI,
		s.head("GET http://evil.example"):                                          noAPI,
		s.head("GET ftp://api.example.com/orders/7"):                               "400",
		s.head("GET orders/7"):                                                     "400",
		s.head("GET admin"):                                                        "400",
		s.head("GET "):                                                             "400",
		s.head("GET *"):                                                            "400",
		s.head(`GET \orders\7`):                                                    "400",
		s.head("OPTIONS *"):                                                        "404", // by Envoy itself, for no route has it
		s.head("GET  /orders/7"):                                                   "200 GET /7",
		s.head("GET /orders/7 x"):                                                  "400",
		strings.Replace(s.head("GET /orders/7"), " HTTP/1.1", "", 1):               "426",
		strings.Replace(s.head("GET /orders/7"), " HTTP/1.1", " HTTP/1.0", 1):      "426",
	})
}

var healthPaths = []string{"/ping", "/health", "/healthz/", "/ready", "/livez", "/_health", "/status", "/", "/metrics", "/robots.txt", "/oauth2/auth", "/favicon.ico"}

var agents = []string{"kube-probe/1.31", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "Envoy/HC", "Go-http-client/1.1", "", "Prometheus/3.0"}

func checkProbes(t *testing.T, s *street) {
	for _, agent := range agents {
		p := s.usual().with("user-agent", agent, "x-envoy-healthcheck", "1")
		p.api, p.host, p.path = "site", "site.example.com", "/healthz"
		s.check(t, p, noScope)
		p.headers = p.headers[2:]
		s.check(t, p, "401 token_missing")
		for _, path := range healthPaths {
			p.path = path
			s.check(t, p, "401 token_missing")
		}
	}
}

func sendProbes(t *testing.T, s *street) {
	for _, agent := range agents {
		for _, path := range append(healthPaths, "/healthz") {
			request := s.head("GET "+path, "Host: site.example.com", "User-Agent: "+agent, "X-Envoy-HealthCheck: 1")
			s.sends(t, map[string]string{s.anonymous(request): "401 token_missing"})
		}
		s.sends(t, map[string]string{
			s.head("GET /healthz", "Host: site.example.com", "User-Agent: "+agent): noScope,
			s.anonymous(s.head("GET /healthz", "User-Agent: "+agent)):              noAPI,
		})
	}
}

// kinds are content types, and whether who sends them speaks gRPC to Envoy.
var kinds = map[string]bool{
	"application/grpc": true, "application/grpc+proto": true, "application/grpc+json": true, "application/grpc;charset=utf-8": true,
	"application/grpc-web": false, "application/grpc-web+proto": false, "application/grpc-web-text": false, "application/grpcx": false,
	"application/json": false, "text/plain": false, "": false, "application/grpc, text/plain": false,
}

func checkRPC(t *testing.T, s *street) {
	for kind, speaks := range kinds {
		for path, want := range map[string]string{
			"/pkg.Svc/Method": allow, "/pkg.Svc/Admin": noScope, "/pkg.Svc/method": noOperation, "/pkg.Svc/Method/": noOperation,
			"/pkg.svc/Method": noAPI, "/pkg.Svc.Method": noAPI, "pkg.Svc/Method": malformed, "//pkg.Svc/Method": malformed, "/pkg.Svc/Admin/../Method": malformed, "/pkg.Svc/Method;x": malformed,
		} {
			p := s.usual().with("content-type", kind)
			p.api, p.method, p.path = "rpc", "POST", path
			status, _, _ := strings.Cut(want, " ")
			if speaks && want != allow {
				want = status + " " // without a body; the reason is in the trailers
			}
			s.check(t, p, want)
		}
	}
}

func sendRPC(t *testing.T, s *street) {
	for kind, speaks := range kinds {
		for path, want := range map[string][2]string{
			"/pkg.Svc/Method":          {"200 POST /Method", "200 POST /Method"},
			"/pkg.Svc/Admin":           {noScope, "200 grpc 7 scope_missing"},
			"/pkg.Svc/method":          {noOperation, "200 grpc 12 operation_unknown"},
			"/pkg.Svc/x/../Admin":      {noScope, "200 grpc 7 scope_missing"},
			"//pkg.Svc//Admin":         {noScope, "200 grpc 7 scope_missing"},
			"/pkg.svc/Method":          {noAPI, "200 grpc 12 api_unknown"},
			"/pkg.Svc/Method;x":        {malformed, "200 grpc 3 request_malformed"},
			"/rest/pkg.Svc/Method":     {noAPI, "200 grpc 12 api_unknown"}, // nothing transcodes behind the check
			"/pkg.Svc/Method?x=/Admin": {"200 POST /Method?x=/Admin", "200 POST /Method?x=/Admin"},
		} {
			outcome := want[0]
			if speaks {
				outcome = want[1]
			}
			if strings.Contains(kind, ";") { // gRPC to us alone, so that Envoy leaves the status
				status, _, _ := strings.Cut(want[0], " ")
				outcome = strings.Replace(outcome, "200 grpc", status+" grpc", 1)
			}
			s.sends(t, map[string]string{s.head("POST "+path, "Content-Type: "+kind, "Content-Length: 0", "X-Grpc-Web: 1", "Te: trailers"): outcome})
		}
	}
}
