package serve

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/durward/durward/policy/contract"
)

// TestAttackForeignSpoofing: forged headers in every spelling never reach the backend as ours,
// on requests with a token and on public ones. Nothing was removed at the door.
func TestAttackForeignSpoofing(t *testing.T) {
	t.Parallel()
	for name, filter := range map[string]string{"plain": plainFilter, "documented": documentedFilter()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newForeign(t, filter).spoofs(t)
		})
	}
}

func (f *foreign) spoofs(t *testing.T) {
	t.Helper()
	alice := f.token(t, "mobile", "alice", "orders.read")
	lies := []string{"root", "admin", "toor", "evil", "mine", "all", "DELETE", "allowed", "for=evil"}
	forgeries := map[string]string{
		"Q18 plain":              "x-auth-subject: root\r\nx-auth-user-id: evil\r\nx-decision-id: mine\r\n",
		"Q18 any case":           "X-AUTH-SUBJECT: root\r\nX-Auth-Organization: evil\r\nX-Decision-ID: mine\r\n",
		"Q18 twice":              "x-auth-subject: root\r\nx-auth-subject: admin\r\nX-Auth-Subject: toor\r\n",
		"Q18 empty":              "x-auth-subject:\r\nx-auth-groups: \r\nx-auth-api:\r\n",
		"Q18 long":               "x-auth-subject: " + strings.Repeat("root", 4<<10) + "\r\n",
		"Q18 not ours":           "x-auth-role: admin\r\nx-auth-scopes2: all\r\nx-claim-email: root\r\nx-jwt-claim-sub: root\r\n",
		"Q19 underscores":        "x_auth_subject: root\r\nX_Auth_User_Id: evil\r\nx-auth_groups: admin\r\nx_decision_id: mine\r\nx_auth_role: admin\r\nx_forwarded_host: evil\r\n",
		"Q19 dots":               "x.auth.subject: root\r\nx-auth.groups: admin\r\nx.decision-id: mine\r\n",
		"Q20 hop by hop":         "connection: close, x-auth-subject, x-auth-user-id, x-decision-id\r\nx-auth-subject: root\r\n",
		"Q20 te":                 "te: trailers, x-auth-subject\r\nkeep-alive: x-auth-subject\r\n",
		"Q21 of an absent claim": "x-auth-token-id: evil\r\nx-claim-groups: admin\r\n",
		"Q13 rewriting":          "x-original-url: evil\r\nx-rewrite-url: evil\r\nx-forwarded-uri: evil\r\nx-forwarded-prefix: evil\r\nx-forwarded-host: evil\r\nforwarded: for=evil\r\n",
		"Q14 method":             "x-http-method: DELETE\r\nx-http-method-override: DELETE\r\nx-method-override: DELETE\r\nx_http_method_override: DELETE\r\n",
		"Q22 the proxy's own":    "x-envoy-original-path: evil\r\nx-envoy-decorator-operation: evil\r\nx-envoy-auth-partial-body: all\r\nx-ext-authz-check-result: allowed\r\nx-envoy-auth-failure-mode-allowed: all\r\nx-envoy-upstream-alt-stat-name: evil\r\n",
	}
	for name, lines := range forgeries {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct{ path, token, subject string }{{"/orders/7", alice, "alice@example.com"}, {"/files/public", alice, ""}, {"/files/public", "", ""}, {"/watched/items", "", ""}} {
				a, seen := f.wants(t, name, "GET "+c.path, c.token, lines, "200")
				for _, r := range seen {
					tellsNoForeignLie(t, c.path, r.Header, lies)
					if got := r.Header.Get(contract.HeaderSubject); got != c.subject {
						t.Errorf("%s: the backend saw the subject %q", c.path, got)
					}
					if id := r.Header.Values(contract.HeaderDecisionID); len(id) != 1 || id[0] == "" || id[0] != a.header.Get(contract.HeaderDecisionID) {
						t.Errorf("%s: decision id %q at the backend, %q at the client", c.path, id, a.header.Get(contract.HeaderDecisionID))
					}
				}
			}
			f.wants(t, name, "GET /orders/7", "", lines, "401 token_missing")
			f.wants(t, name, "POST /orders", alice, lines+"content-length: 0\r\n", "403 scope_missing")
			f.wants(t, name, "GET /nothing", alice, lines, "404 api_unknown")
		})
	}
	// A header of nobody's is the caller's to send, and Envoy's own are Envoy's.
	_, seen := f.wants(t, "others", "GET /orders/7", alice, "x-request_name: x\r\nx-authx: y\r\naccept: z\r\nx-forwarded-for: 192.0.2.1\r\n", "200")
	for _, r := range seen {
		for _, name := range []string{"x-request_name", "x-authx", "accept", "x-forwarded-for", "x-forwarded-proto"} {
			if len(r.Header.Values(name)) == 0 {
				t.Errorf("%s did not arrive: %v", name, r.Header)
			}
		}
	}
}

// tellsNoForeignLie wants that a server which reads underscores and dots as hyphens is told no lie.
func tellsNoForeignLie(t *testing.T, what string, h http.Header, lies []string) {
	t.Helper()
	for name, values := range h {
		for _, v := range values {
			if slices.ContainsFunc(lies, func(lie string) bool { return strings.Contains(v, lie) }) {
				t.Errorf("%s: the backend saw %s: %.40s", what, name, v)
			}
		}
		read := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
		if strings.HasPrefix(read, contract.HeaderPrefix) && (len(values) != 1 || values[0] == "" || !slices.Contains(contract.IdentityHeaders(), strings.ToLower(name))) {
			t.Errorf("%s: the backend saw %s %q", what, name, values)
		}
	}
}

// TestForeignEnvoyHasToBeSaid: without foreign_envoy nobody is believed to have chosen a
// route that names no API, whatever the host and the path are.
func TestForeignEnvoyHasToBeSaid(t *testing.T) {
	t.Parallel()
	f := newForeign(t, plainFilter, ", foreign_envoy: true", "")
	alice := f.token(t, "mobile", "alice", "orders.read")
	for _, path := range []string{"/orders/7", "/files/public", "/watched/items", "/nothing"} {
		f.wants(t, "not foreign", "GET "+path, alice, "", "404 api_unknown")
	}
}
