package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/oktatest"
	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/dpop"
)

// TestForeignTenOutcomes walks the demo's steps through an Envoy that another control
// plane configures: with the plain filter, with the one that is documented, and with one that
// sends few headers.
func TestForeignTenOutcomes(t *testing.T) {
	t.Parallel()
	for name, filter := range map[string]string{"plain": plainFilter, "documented": documentedFilter(), "listed": listedFilter} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newForeign(t, filter).tenOutcomes(t)
		})
	}
}

// wants sends a request that ends in want, and the backend is reached by a 200 alone.
func (f *foreign) wants(t *testing.T, step, line, text, lines, want string) (foreignAnswer, []*http.Request) {
	t.Helper()
	got := f.send(t, line, text, lines)
	seen := f.backend.take()
	if got.String() != want {
		t.Errorf("%s, %s: %s, want %s", step, line, got, want)
	}
	reached := 0
	if want == "200" {
		reached = 1
	}
	if len(seen) != reached {
		t.Errorf("%s, %s: the backend was reached %d times", step, line, len(seen))
	}
	for _, r := range seen {
		if method, target, _ := strings.Cut(line, " "); r.Method != method || target[0] == '/' && r.RequestURI != target {
			t.Errorf("%s, %s: the backend saw %s %s", step, line, r.Method, r.RequestURI)
		}
	}
	return got, seen
}

func (f *foreign) tenOutcomes(t *testing.T) {
	t.Helper()
	alice := f.token(t, "mobile", "alice", "orders.read")           // 1
	f.wants(t, "2", "GET /orders/7", "", "", "401 token_missing")   // 2
	got, seen := f.wants(t, "3", "GET /orders/7", alice, "", "200") // 3
	f.showsAlice(t, "3", got, seen)                                 //
	asked := f.okta.Calls(oktatest.Introspect)                      // 3b
	got, seen = f.wants(t, "3b", "GET /orders/7", alice, "", "200") //
	f.showsAlice(t, "3b", got, seen)                                //
	if n := f.okta.Calls(oktatest.Introspect) - asked; n > 1 {
		t.Errorf("3b: Okta was asked %d times", n)
	}
	got, seen = f.wants(t, "4", "GET /orders/7", alice, "x-auth-subject: root\r\nX-Auth-Organization: evil\r\n", "200")
	f.showsAlice(t, "4", got, seen)
	got, _ = f.wants(t, "5", "POST /orders", alice, "content-length: 0\r\n", "403 scope_missing")
	if c := got.header.Get("WWW-Authenticate"); !strings.Contains(c, `scope="orders.write"`) {
		t.Errorf("5: the challenge is %s", c)
	}
	f.wants(t, "5a", "GET /orders/by/alice@example.com", alice, "", "200")
	f.wants(t, "5a", "GET /orders/by/bob@example.com", alice, "", "403 claim_mismatch")
	f.stepsUp(t)
	f.proves(t)
	for step, c := range map[string]struct{ client, want string }{
		"6a": {"partner", "403 grant_missing"}, "6b": {"warehouse", "403 grant_missing"}, "7": {"stray", "403 client_unknown"},
	} {
		f.wants(t, step, "GET /orders/7", f.token(t, c.client, "bob", "orders.read"), "", c.want)
	}
	f.revokes(t, alice)
	f.wants(t, "9", "GET /nothing", f.token(t, "mobile", "alice", "orders.read"), "", "404 api_unknown")
	bob := f.token(t, "mobile", "bob", "orders.read")
	if err := f.okta.Down(); err != nil {
		t.Fatal(err)
	}
	got, _ = f.wants(t, "10", "GET /orders/7", bob, "", "503 okta_unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("10: there is no Retry-After")
	}
}

// showsAlice wants that the backend was told who alice is, each header once.
func (f *foreign) showsAlice(t *testing.T, step string, a foreignAnswer, seen []*http.Request) {
	t.Helper()
	if len(seen) != 1 {
		return // said already
	}
	for name, want := range map[string]string{
		contract.HeaderSubject:      "alice@example.com",
		contract.HeaderApplication:  "mobile",
		contract.HeaderOrganization: "retail",
		contract.HeaderAPI:          "orders",
		contract.HeaderClientID:     scaffold.Mobile,
		contract.HeaderScopes:       "openid orders.read",
		contract.HeaderGroups:       "Everyone,sales",
		contract.HeaderDecisionID:   a.header.Get(contract.HeaderDecisionID),
	} {
		if got := seen[0].Header.Values(name); len(got) != 1 || got[0] != want || want == "" {
			t.Errorf("%s: the backend saw %s %q, want %q", step, name, got, want)
		}
	}
	if seen[0].Header.Get(contract.HeaderAuthorization) != "" {
		t.Errorf("%s: the backend saw the token", step)
	}
}

// stepsUp deletes with a sign-in of any kind, and with one that the challenge asks for.
func (f *foreign) stepsUp(t *testing.T) {
	t.Helper()
	got, _ := f.wants(t, "5b", "DELETE /orders/7", f.token(t, "mobile", "bob", "orders.write"), "", "401 step_up_required")
	if c := got.header.Get("WWW-Authenticate"); !strings.Contains(c, `acr_values="phr"`) || !strings.Contains(c, `max_age="300"`) {
		t.Errorf("5b: the challenge is %s", c)
	}
	strong := f.mint(t, oktatest.TokenRequest{Client: "mobile", User: "bob@example.com", Scopes: []string{"openid", "orders.write"}, ACR: "phr"})
	f.wants(t, "5c", "DELETE /orders/7", strong, "", "200")
}

// proves calls with a token that is bound to a key, with a proof, with the same proof
// again, and without.
func (f *foreign) proves(t *testing.T) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	bound := f.mint(t, oktatest.TokenRequest{Client: "mobile", User: "alice@example.com", Scopes: []string{"openid", "orders.read"}, JKT: must(dpop.Thumbprint(key))})
	proof := must(dpop.Sign(key, dpop.Statement{
		Method: "GET", URL: scaffold.Local().GatewayURL + "/orders/7", Token: must(token.Parse(bound)), IssuedAt: time.Now(),
	}))
	lines := "authorization: DPoP " + bound + "\r\ndpop: " + proof + "\r\n"
	_, seen := f.wants(t, "5d", "GET /orders/7", "", lines, "200")
	for _, r := range seen {
		if r.Header.Get("Dpop") != "" || r.Header.Get("Authorization") != "" {
			t.Error("5d: the backend saw the credential")
		}
	}
	f.wants(t, "5e", "GET /orders/7", "", lines, "401 proof_invalid")
	f.wants(t, "5f", "GET /orders/7", bound, "", "401 binding_mismatch")
}

// revokes holds how soon a revocation counts: for reads within max_age, for writes at
// once.
func (f *foreign) revokes(t *testing.T, alice string) {
	t.Helper()
	revoke := func(text string) {
		t.Helper()
		if err := f.okta.Revoke(text); err != nil {
			t.Fatal(err)
		}
	}
	bob := f.token(t, "mobile", "bob", "orders.read", "orders.write")
	f.wants(t, "8b", "POST /orders", bob, "content-length: 0\r\n", "200")
	revoke(bob)
	f.wants(t, "8d", "POST /orders", bob, "content-length: 0\r\n", "401 token_inactive")
	f.wants(t, "8e", "GET /orders/7", bob, "", "401 token_inactive")
	revoke(alice)
	revoked := time.Now()
	var got foreignAnswer
	eventually(t, "alice's read is denied", func() bool {
		got = f.send(t, "GET /orders/7", alice, "")
		return got.status != http.StatusOK
	})
	f.backend.take()
	if took := time.Since(revoked); got.String() != "401 token_inactive" || took > 7*time.Second { // max_age 2 s, and a loaded machine
		t.Errorf("8a: %s after %s", got, took)
	}
}
