package serve

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/durward/durward/policy/oktatest"
)

var kindRows = map[string]func(*testing.T){
	"T29": otherJWTs, "T30": otherCredentials, "T31": revoked, "T32": mangledOpaque, "T45": sharedKeys, "T46": oracle,
}

// otherJWTs are signed by our issuer, and active at it.
func otherJWTs(t *testing.T) {
	w := newWorld(t, setting{})
	client := strconv.Quote(mobile)
	for what, change := range map[string]map[string]string{
		"ID token":             {"aud": client, "cid": "", "scp": "", "jti": `"ID.abc"`, "amr": `["pwd"]`},
		"ID token for us":      {"cid": "", "scp": "", "jti": `"ID.abc"`},
		"ID token, our scopes": {"jti": `"ID.abc"`},
		"client's audience":    {"aud": client},
		"without jti":          {"jti": ""},
		"at. in lower case":    {"jti": `"at.abc"`},
		"logout token":         {"cid": "", "scp": "", "jti": `"x"`, "events": `{"http://schemas.openid.net/event/backchannel-logout":{}}`},
		"client assertion":     {"iss": strconv.Quote(w.is.name("default")), "sub": client, "cid": "", "scp": "", "jti": `"x"`},
	} {
		w.deniesFree(t, what, w.is.issue(usualHeader, w.claims(change)), "401 token_type_wrong")
	}
	for _, typ := range []string{"secevent+jwt", "logout+jwt", "application/secevent+jwt", "client-authentication+jwt", "oauth-authz-req+jwt", "rt+jwt", "JWS", "", "jwt "} {
		w.deniesFree(t, typ, w.is.issue(`{"typ":"`+typ+`","kid":"k1","alg":"RS256"}`, w.claims(nil)), "401 token_type_wrong")
	}
	w.deniesFree(t, "DPoP proof", w.is.issue(`{"typ":"dpop+jwt","jwk":{},"kid":"k1","alg":"RS256"}`, w.claims(nil)), "401 token_malformed")
	w.deniesFree(t, "typ of a wrong type", w.is.issue(`{"typ":["JWT"],"kid":"k1","alg":"RS256"}`, w.claims(nil)), "401 token_malformed")
	w.denies(t, "machine", w.wrong("uid", ""), "401 token_type_wrong")

	_, c := newOrg(t)
	writeFile(t, c.file(), strings.Replace(c.text(), "audience: api://default", "audience: "+mobile, 1), 0o600)
	if err := refused(t, c); !strings.Contains(err.Error(), "client") {
		t.Errorf("an audience that is a client id: %v", err)
	}
}

// otherCredentials introspect as active.
func otherCredentials(t *testing.T) {
	w := newWorld(t, setting{opaque: true})
	for what, change := range map[string]map[string]string{
		"refresh token":      {"jti": `"oar1abc"`, "aud": ""},
		"refresh for us":     {"jti": `"oar1abc"`, "token_type": `"Bearer"`},
		"authorization code": {"jti": "", "aud": ""},
		"device secret":      {"jti": `"dso.abc"`},
		"ID token":           {"jti": `"ID.abc"`},
		"without exp":        {"exp": ""},
		"without client":     {"cid": ""},
	} {
		w.is.vouch("default", "t-"+b64(what), w.claims(change))
		w.denies(t, what, "t-"+b64(what), "401 token_type_wrong")
	}
	w.is.vouch("default", "proof", w.claims(map[string]string{"token_type": `"DPoP"`, "cnf": `{"jkt":"x"}`}))
	w.denies(t, "bound token", "proof", "401 binding_mismatch")

	jwts := newWorld(t, setting{})
	for _, text := range []string{"oar1abcdefghijklmnopqrstuvwxyz", "vT3ZxyL-7aQ0", "a.b", "AT.abc"} {
		jwts.is.vouch("default", text, jwts.claims(nil)) // what is no JWT is none of this server's access tokens
		jwts.deniesFree(t, text, text, "401 token_malformed")
	}
	jwts.deniesFree(t, "bytes", "a.b.c", "401 token_malformed")
}

// revoked, deactivated, logged out: Okta knows at once, and a signature never.
func revoked(t *testing.T) {
	okta := oktatest.New(t, func(c *oktatest.Config) { c.Clients[0].ID = mobile })
	w := &world{modes: threeModes}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "secret"), okta.Client("gateway").Secret+"\n", 0o600)
	text := setting{maxAge: "1s"}.text(okta.Issuer("default"), okta.URL()+"/oauth2/other")
	text = strings.ReplaceAll(text, "0oaGATEWAY", okta.Client("gateway").ID)
	writeFile(t, filepath.Join(dir, "durward.yaml"), text, 0o600)
	w.Server, w.log = begin(t, config{dir: dir})
	w.conn = dial(t, w.Catalogue().Listeners.Check.Address)
	tokens := map[string]string{}
	for what, user := range map[string]string{"token": "alice@example.com", "user": "bob@example.com"} {
		text, err := okta.Token(oktatest.TokenRequest{Client: mobile, User: user, Scopes: []string{"orders.read"}})
		if err != nil {
			t.Fatal(err)
		}
		w.allows(t, text)
		tokens[what] = text
	}
	began := time.Now()
	if err := okta.Revoke(tokens["token"]); err != nil {
		t.Fatal(err)
	}
	if err := okta.Deactivate("bob@example.com"); err != nil {
		t.Fatal(err)
	}
	for what, text := range tokens {
		for _, mode := range []string{"introspection", "both"} {
			eventually(t, what, func() bool { return w.ask(t, mode, text) == "401 token_inactive" })
		}
		// Known to be dead: a signature does not raise it.
		if got := w.ask(t, "jwt", text); got != "401 token_inactive" {
			t.Errorf("%s, jwt: %s", what, got)
		}
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func mangledOpaque(t *testing.T) {
	w := newWorld(t, setting{opaque: true})
	const token = "00tAbCdEfGh-IjKlMnOpQrStUvWx_yZ0123456789"
	w.is.vouch("default", token, w.claims(nil))
	w.allows(t, token)
	mangled := []string{token + "x", token + "=", token + ".", "x" + token, token[:len(token)-1], token[1:], strings.ToUpper(token), strings.ToLower(token), token + token}
	for i, c := range token {
		if flipped := byte(c) ^ 0x20; c >= 'A' {
			if flipped >= 'A' && flipped <= 'Z' || flipped >= 'a' && flipped <= 'z' {
				mangled = append(mangled, token[:i]+string(flipped)+token[i+1:])
			}
		}
	}
	for _, text := range mangled {
		w.denies(t, text, text, "401 token_inactive")
	}
	w.allows(t, token)
}

// sharedKeys: what one policy learned decides nothing for another.
func sharedKeys(t *testing.T) {
	w := newWorld(t, setting{opaque: true})
	put := func(api, text string) string {
		return outcome(w.send(t, api, "/"+api+"/1", func(r *authv3.AttributeContext_HttpRequest) { r.Method = "PUT" }, "Bearer "+text))
	}
	other := map[string]string{"iss": strconv.Quote(w.is.name("other")), "aud": `"api://other"`}
	// The keys of these would be alike, were they joined by any character of a token.
	for _, c := range []struct{ here, there string }{{"a", "a"}, {"introspection", "default"}, {"a/b", "b"}, {"a.b", "ab"}, {"a.", "a"}, {"a==", "a="}} {
		w.is.vouch("default", c.here, w.claims(nil))
		for range 2 {
			if got := w.ask(t, "introspection", c.here); got != "allow" {
				t.Errorf("%s: %s", c.here, got)
			}
			if got := w.ask(t, "elsewhere", c.here); got != "401 token_inactive" {
				t.Errorf("%s at another server: %s", c.here, got)
			}
			if got := put("introspection", c.here); got != "403 scope_missing" {
				t.Errorf("%s, write: %s", c.here, got)
			}
		}
		there := "t-" + c.there
		w.is.vouch("other", there, w.claims(map[string]string{"iss": other["iss"], "aud": other["aud"], "scp": `["orders.write"]`}))
		for range 2 {
			if got := put("elsewhere", there); got != "allow" {
				t.Errorf("%s: %s", there, got)
			}
			if got := w.ask(t, "elsewhere", there); got != "403 scope_missing" {
				t.Errorf("%s, read: %s", there, got)
			}
			if got := put("introspection", there); got != "401 token_inactive" {
				t.Errorf("%s at the default server: %s", there, got)
			}
		}
	}
	// A warm JWT of one mode is none of another's.
	jwts := newWorld(t, setting{})
	forged := jws(usualHeader, jwts.claims(nil), rs256(evilRSA()))
	jwts.is.vouch("default", forged, jwts.claims(nil))
	for range 2 {
		for _, mode := range []string{"jwt", "both"} {
			_ = jwts.ask(t, "introspection", forged) // Okta may say what it likes
			if got := jwts.ask(t, mode, forged); got != "401 signature_invalid" {
				t.Errorf("%s: %s", mode, got)
			}
		}
	}
}

// oracle: unknown, expired and revoked tokens read alike.
func oracle(t *testing.T) {
	w := newWorld(t, setting{maxAge: "0s"})
	past := strconv.FormatInt(time.Now().Unix()-60, 10)
	revoked := w.good()
	w.allows(t, revoked)
	w.is.mu.Lock()
	delete(w.is.issued, "default "+revoked)
	w.is.mu.Unlock()
	cases := map[string]string{
		"expired": w.wrong("exp", past), "unknown": jws(usualHeader, w.claims(nil), rs256(evilRSA())), "revoked": revoked,
	}
	id := regexp.MustCompile(`"decision_id":"[^"]*"`)
	seen := map[string][]string{}
	for what, text := range cases {
		res := w.send(t, "introspection", "/introspection/1", nil, "Bearer "+text)
		body := id.ReplaceAllString(res.GetDeniedResponse().GetBody(), "")
		answer := body + "|" + told(res, "www-authenticate") + "|" + strconv.Itoa(int(res.GetDeniedResponse().GetStatus().GetCode()))
		seen[answer] = append(seen[answer], what)
		if strings.Contains(res.String(), text) || strings.Contains(body, "alice") {
			t.Errorf("%s: the answer repeats the token or its claims", what)
		}
	}
	if len(seen) != 1 {
		t.Errorf("the answers tell them apart: %v", seen)
	}
	// The log does tell them apart.
	reasons := map[string]bool{}
	for line := range strings.Lines(w.log.String()) {
		var entry struct{ Reason string }
		_ = json.Unmarshal([]byte(line), &entry)
		reasons[entry.Reason] = true
	}
	if !reasons["token_expired"] || !reasons["token_inactive"] {
		t.Errorf("the log has %v", reasons)
	}
}
