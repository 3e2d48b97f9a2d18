package serve

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
)

// The APIs of a world, one for each mode.
var threeModes = []string{"introspection", "jwt", "both"}

// setting is what differs between worlds.
type setting struct {
	// server is further YAML of the default authorization server.
	server string
	// maxAge of the token policies that ask; empty is the default.
	maxAge string
	// opaque leaves introspection alone, and nothing that is read from tokens.
	opaque bool
	// backend, where it is not the usual.
	backend string
}

// world is a server with an API for each mode, and an issuer under the test's control.
// API "elsewhere" belongs to another authorization server of the same organization.
type world struct {
	*Server
	log   *journal
	is    *issuer
	conn  *grpc.ClientConn
	modes []string
	// fixed are the claims of one good token.
	fixed string
}

const mobile = "0oaMOBILE"

func (w setting) text(issuer, other string) string {
	tokens, modes := "jwt", threeModes
	if w.opaque {
		tokens, modes = "opaque", threeModes[:1]
	}
	if w.backend == "" {
		w.backend = "http://127.0.0.1:1"
	}
	age := ""
	if w.maxAge != "" {
		age = ", max_age: " + w.maxAge
	}
	var b strings.Builder
	fmt.Fprintf(&b, `version: 1
gateways: [ { name: edge, listen: "127.0.0.1:0", url: "http://127.0.0.1:10000" } ]
listeners: { check: { address: "127.0.0.1:0" }, xds: { address: "127.0.0.1:0" }, ops: { address: "127.0.0.1:0" }, admin: { address: "127.0.0.1:0" } }
authorization_servers:
  - { name: default, issuer: "%s", audience: "api://default", tokens: %s, introspection: { client_id: 0oaGATEWAY, client_secret_file: secret }%s }
  - { name: other, issuer: "%s", audience: "api://other", tokens: %s, introspection: { client_id: 0oaGATEWAY, client_secret_file: secret } }
organizations: [ { name: retail, applications: [ { name: mobile, client_ids: [%s] } ] } ]
token_policies:
  - { name: elsewhere, authorization_server: other, verify: introspection%s }
`, issuer, tokens, w.server, other, tokens, mobile, age)
	for _, mode := range modes {
		if mode == "jwt" {
			fmt.Fprintf(&b, "  - { name: jwt, authorization_server: default, verify: jwt }\n")
			continue
		}
		fmt.Fprintf(&b, "  - { name: %s, authorization_server: default, verify: %s%s }\n", mode, mode, age)
	}
	b.WriteString("apis:\n")
	for _, api := range append([]string{"elsewhere"}, modes...) {
		fmt.Fprintf(&b, `  - name: %[1]s
    frontend: { hosts: ["*"], path: /%[1]s }
    backend: { url: "%[2]s" }
    token_policy: %[1]s
    operations:
      - { methods: [GET], path: "/{id}", scopes: { all: [orders.read] } }
      - { methods: [PUT], path: "/{id}", scopes: { all: [orders.write] } }
`, api, w.backend)
	}
	b.WriteString("grants:\n")
	for _, api := range append([]string{"elsewhere"}, modes...) {
		fmt.Fprintf(&b, "  - { api: %s, organization: retail, applications: [mobile] }\n", api)
	}
	return b.String()
}

// newWorld starts a server and sees that every mode allows a good token: what is denied
// later is denied for its own sake.
func newWorld(t *testing.T, set setting) *world {
	t.Helper()
	w := newStranger(t, newIssuer(t), set)
	if set.opaque {
		w.is.vouch("default", "good", w.claims(nil))
		w.allows(t, "good")
		return w
	}
	if set.server == "" {
		w.allows(t, w.good())
	}
	return w
}

// newStranger starts a server whose issuer may be anything.
func newStranger(t *testing.T, is *issuer, set setting) *world {
	t.Helper()
	dir := t.TempDir()
	c := config{dir: dir}
	writeFile(t, filepath.Join(dir, "secret"), "0123456789abcdef0123456789abcdef\n", 0o600)
	writeFile(t, c.file(), set.text(is.name("default"), is.name("other")), 0o600)
	w := &world{is: is, modes: threeModes}
	w.fixed = w.claims(nil)
	if set.opaque {
		w.modes = threeModes[:1]
	}
	w.Server, w.log = begin(t, c)
	ready(t, w.Server)
	w.conn = dial(t, w.Catalogue().Listeners.Check.Address)
	return w
}

// claims are those of a good token, changed: a value is JSON text, "" removes.
func (w *world) claims(change map[string]string) string {
	now := time.Now()
	base := [][2]string{
		{"ver", "1"},
		{"jti", strconv.Quote(fmt.Sprintf("AT.%d", now.UnixNano()))},
		{"iss", strconv.Quote(w.is.name("default"))},
		{"aud", `"api://default"`},
		{"iat", strconv.FormatInt(now.Unix()-1, 10)},
		{"exp", strconv.FormatInt(now.Unix()+3600, 10)},
		{"cid", strconv.Quote(mobile)},
		{"uid", `"00uALICE"`},
		{"scp", `["orders.read"]`},
		{"sub", `"alice@example.com"`},
	}
	var members []string
	for _, m := range base {
		v, changed := change[m[0]]
		if !changed {
			v = m[1]
		}
		if v != "" {
			members = append(members, strconv.Quote(m[0])+":"+v)
		}
		delete(change, m[0])
	}
	for name, v := range change {
		members = append(members, strconv.Quote(name)+":"+v)
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (w *world) good() string { return w.is.issue(usualHeader, w.claims(nil)) }

// wrong is well signed and vouched for, but for one claim.
func (w *world) wrong(claim, value string) string {
	return w.is.issue(usualHeader, w.claims(map[string]string{claim: value}))
}

func (w *world) ask(t *testing.T, api, text string) string {
	t.Helper()
	return ask(t, w.conn, api, "/"+api+"/17", text)
}

func (w *world) allows(t *testing.T, text string) {
	t.Helper()
	for _, mode := range w.modes {
		if got := w.ask(t, mode, text); got != "allow" {
			t.Errorf("%s: %s, want an allow of %.80q", mode, got, text)
		}
	}
}

// denies wants the outcome in every mode, whatever it costs.
func (w *world) denies(t *testing.T, what, text, want string) {
	t.Helper()
	for _, mode := range w.modes {
		if got := w.ask(t, mode, text); got != want {
			t.Errorf("%s, %s: %s, want %s", what, mode, got, want)
		}
	}
}

// deniesFree is denies by what the token says of itself: nobody is asked.
func (w *world) deniesFree(t *testing.T, what, text, want string) {
	t.Helper()
	introspections, fetches := w.is.asked("introspect"), w.is.asked("keys")
	w.denies(t, what, text, want)
	if n, m := w.is.asked("introspect")-introspections, w.is.asked("keys")-fetches; n+m != 0 {
		t.Errorf("%s: %d introspections and %d fetches of keys", what, n, m)
	}
}

// deniesSignature wants that the two modes with keys see through text for nothing, and
// that the issuer says no in the third.
func (w *world) deniesSignature(t *testing.T, what, text string) {
	t.Helper()
	before := w.is.asked("introspect")
	for _, mode := range []string{"jwt", "both"} {
		if got := w.ask(t, mode, text); got != "401 signature_invalid" {
			t.Errorf("%s, %s: %s", what, mode, got)
		}
	}
	if n := w.is.asked("introspect") - before; n != 0 {
		t.Errorf("%s: %d introspections", what, n)
	}
	if got := w.ask(t, "introspection", text); got != "401 token_inactive" {
		t.Errorf("%s, introspection: %s", what, got)
	}
}

// send asks with these values of the authorization header, as Envoy sends it.
func (w *world) send(t *testing.T, api, path string, change func(*authv3.AttributeContext_HttpRequest), values ...string) *authv3.CheckResponse {
	t.Helper()
	req := question(api, path, "")
	http := req.Attributes.Request.Http
	http.Headers = nil
	http.HeaderMap = new(corev3.HeaderMap)
	for _, v := range values {
		http.HeaderMap.Headers = append(http.HeaderMap.Headers, &corev3.HeaderValue{Key: "authorization", RawValue: []byte(v)})
	}
	if change != nil {
		change(http)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	res, err := authv3.NewAuthorizationClient(w.conn).Check(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// told is a header of a denial.
func told(res *authv3.CheckResponse, name string) string {
	for _, h := range res.GetDeniedResponse().GetHeaders() {
		if h.GetHeader().GetKey() == name {
			return h.GetHeader().GetValue()
		}
	}
	return ""
}
