package explain

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/oktatest"
	"github.com/durward/durward/policy/token"
)

// jwt joins a token of the three texts; nobody signed it.
func jwt(header, claims, signature string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(header)) + "." + e([]byte(claims)) + "." + e([]byte(signature))
}

// outcomes are the operations that were tried, with reasons.
func outcomes(r *TokenReport) map[string]contract.Reason {
	m := make(map[string]contract.Reason)
	for _, api := range r.APIs {
		for _, op := range api.Operations {
			m[strings.Join(op.Methods, ",")+" "+op.Path] = op.Reason
		}
	}
	return m
}

func TestTokenOffline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	secret := s.token(t, "mobile", "orders.read")
	i := Inspection{Config: s.config, Authorization: "Bearer " + secret}
	if err := s.okta.Down(); err != nil { // nothing may be asked
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		later time.Duration
		says  []string
		read  contract.Reason
		post  contract.Reason
	}{
		"fresh": {0, []string{
			"NOT VERIFIED", "--introspect asks Okta", "authorization server default (", "audience of authorization server default",
			"application mobile of organization retail (", "expires in 59 minutes", "an access token's id", "what it would open, did Okta confirm it",
			"✓ GET /orders/{id}", "✗ POST /orders", "scope_missing: needs one of orders.write, orders.admin; found orders.read",
		}, "", contract.ScopeMissing},
		"expired": {3 * time.Hour, []string{"expired 2 hours ago", "token_expired"}, contract.TokenExpired, contract.TokenExpired},
	} {
		r, err := inspectAt(t.Context(), i, func() time.Time { return time.Now().Add(tt.later) })
		if err != nil {
			t.Fatal(err)
		}
		text := shownText(t, r, secret)
		for _, want := range tt.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s: it does not say %q:\n%s", name, want, text)
			}
		}
		got := outcomes(r)
		if got["GET /orders/{id}"] != tt.read || got["POST /orders"] != tt.post || len(got) != 4 {
			t.Errorf("%s: it opens %v", name, got)
		}
		if r.Verified || r.Introspected || r.Err() != nil || r.Form != formJWT {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Whose token it is, and what it opens, follows from its claims.
func TestTokenOfOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	issuer := s.okta.Issuer("default")
	now := time.Now()
	for name, tt := range map[string]struct {
		claims map[string]any
		reason contract.Reason
		says   []string
	}{
		"stranger":          {map[string]any{"cid": "0oaSTRANGER"}, contract.ClientUnknown, []string{"client 0oaSTRANGER, which is no application of", "no application of the configuration"}},
		"other issuer":      {map[string]any{"iss": "https://other.okta.com/oauth2/default"}, contract.IssuerMismatch, []string{"no authorization server of the configuration"}},
		"no issuer":         {map[string]any{"iss": nil, "aud": nil}, contract.IssuerMismatch, nil},
		"audience":          {map[string]any{"aud": "api://other"}, contract.AudienceMismatch, []string{"no audience of the configuration"}},
		"audiences":         {map[string]any{"aud": []string{"x", "api://default"}}, "", []string{"audience of authorization server default"}},
		"ID token":          {map[string]any{"jti": "ID.1"}, contract.TokenTypeWrong, []string{"an ID token's id: it opens no API"}},
		"other id":          {map[string]any{"jti": "1"}, contract.TokenTypeWrong, []string{"no id of an Okta access token"}},
		"machine":           {map[string]any{"uid": nil}, contract.TokenTypeWrong, nil},
		"bound":             {map[string]any{"cnf": map[string]string{"x5t#S256": "x"}}, contract.BindingMismatch, []string{"bound to a key", `{"x5t#S256":"x"}`}},
		"bound, with proof": {map[string]any{"cnf": map[string]string{"jkt": "x"}}, "", []string{"bound to a key"}},
		"future":            {map[string]any{"nbf": now.Add(time.Hour).Unix()}, contract.TokenNotYetValid, []string{"not valid before: in 59 minutes"}},
		"no expiry":         {map[string]any{"exp": nil}, contract.TokenTypeWrong, nil},
		"granted":           {map[string]any{}, "", []string{"application mobile of organization retail"}},
	} {
		claims := map[string]any{
			"iss": issuer, "aud": "api://default", "cid": "0oaf2no1n6hPswFV10h7", "uid": "00u1", "sub": "alice",
			"jti": "AT.1", "scp": []string{"orders.read"}, "exp": now.Add(time.Hour).Unix(),
		}
		for claim, value := range tt.claims {
			claims[claim] = value
			if value == nil {
				delete(claims, claim)
			}
		}
		text, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		secret := jwt(`{"alg":"RS256","kid":"k"}`, string(text), "signature-canary")
		r, err := Inspect(t.Context(), Inspection{Config: s.config, Authorization: "Bearer " + secret})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := outcomes(r)["GET /orders/{id}"]; got != tt.reason {
			t.Errorf("%s: reason %q, want %q", name, got, tt.reason)
		}
		shown := shownText(t, r, secret)
		for _, want := range tt.says {
			if !strings.Contains(shown, want) {
				t.Errorf("%s: it does not say %q:\n%s", name, want, shown)
			}
		}
	}
	if s.okta.Calls(oktatest.Introspect) != 0 {
		t.Error("Okta was asked without --introspect")
	}
}

func TestTokenIntrospected(t *testing.T) {
	t.Parallel()
	s := newSite(t, "token_policies:\n", "token_policies:\n  - { name: second, authorization_server: default, verify: introspection }\n")
	good, other := s.token(t, "mobile", "orders.read"), s.token(t, "partner", "orders.read")
	if err := s.okta.Revoke(other); err != nil {
		t.Fatal(err)
	}
	forged := jwt(`{"alg":"RS256"}`, `{"iss":"`+s.okta.Issuer("default")+`","cid":"0oaf2no1n6hPswFV10h7"}`, "signature-canary")
	for name, tt := range map[string]struct {
		secret   string
		verified bool
		read     contract.Reason
		says     []string
	}{
		"good":    {good, true, "", []string{"verified: Okta was asked just now", "says: active, and for us", "✓ GET /orders/{id}"}},
		"revoked": {other, false, contract.TokenInactive, []string{"NOT VERIFIED: no authorization server confirms it", "says: inactive"}},
		"forged":  {forged, false, contract.TokenInactive, []string{"NOT VERIFIED"}},
		"opaque":  {"opaque-canary-text", false, contract.TokenInactive, []string{"opaque: only its authorization server", "whose it is cannot be read from it"}},
	} {
		before := s.okta.Calls(oktatest.Introspect)
		r, err := Inspect(t.Context(), Inspection{Config: s.config, Authorization: "Bearer " + tt.secret, Introspect: true})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verified != tt.verified || !r.Introspected || r.Err() != nil || outcomes(r)["GET /orders/{id}"] != tt.read {
			t.Errorf("%s: %+v", name, r)
		}
		text := shownText(t, r, tt.secret, s.secret)
		for _, want := range tt.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s: it does not say %q:\n%s", name, want, text)
			}
		}
		if n := s.okta.Calls(oktatest.Introspect) - before; n != 1 {
			t.Errorf("%s: Okta was asked %d times", name, n)
		}
	}
}

// Okta can say of an opaque token what the token does not show.
func TestOpaqueTokenConfirmed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	answering(`{`+base+`,"iss":"ISS","aud":"api://default","exp":EXP}`)(t, s)
	r, err := Inspect(t.Context(), Inspection{Config: s.config, Authorization: "Bearer opaque-canary-text", Introspect: true})
	if err != nil {
		t.Fatal(err)
	}
	text := shownText(t, r, "opaque-canary-text")
	if !r.Verified || r.Form != formOpaque || !strings.Contains(text, "application mobile of organization retail") || !strings.Contains(text, "client_id  0oaf2no1n6hPswFV10h7") {
		t.Errorf("%+v\n%s", r, text)
	}
	s.okta.Respond(oktatest.Introspect, nil)
	if err := s.okta.Down(); err != nil {
		t.Fatal(err)
	}
	r, err = Inspect(t.Context(), Inspection{Config: s.config, Authorization: "Bearer opaque-canary-text", Introspect: true})
	if err != nil || !errors.Is(r.Err(), ErrUnreachable) || r.Verified {
		t.Errorf("a dead Okta gives %+v, %v", r, err)
	}
}

func TestTokenWithoutConfiguration(t *testing.T) {
	t.Parallel()
	absent := filepath.Join(t.TempDir(), "durward.yaml")
	secret := jwt(`{"alg":"RS256"}`, `{"cid":"0oaX","exp":1526597281}`, "signature-canary")
	r, err := Inspect(t.Context(), Inspection{Config: absent, Authorization: "Bearer " + secret})
	if err != nil || len(r.APIs) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if text := shownText(t, r, secret); !strings.Contains(text, "client 0oaX; there is no configuration") || !strings.Contains(text, "expired ") {
		t.Error(text)
	}
	for _, i := range []Inspection{{Config: absent, Required: true}, {Config: absent, Introspect: true}} {
		i.Authorization = "Bearer " + secret
		if _, err := Inspect(t.Context(), i); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v gives %v", i, err)
		}
	}
}

// A token's text is hostile: what cannot be read strictly is refused without being
// repeated, and what can be read moves no terminal.
func TestHostileTokens(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"not base64":       "a!b.c.d",
		"wrong alphabet":   "e30+.e30.x",
		"padded":           "e30=.e30.x",
		"stray bits":       "e31.e30.x",
		"header no JSON":   jwt(`hello`, `{}`, "x"),
		"header no object": jwt(`[]`, `{}`, "x"),
		"twice":            jwt(`{"alg":"a","alg":"b"}`, `{}`, "x"),
		"case twins":       jwt(`{}`, `{"exp":1,"EXP":2}`, "x"),
		"trailing":         jwt(`{}`, `{} {}`, "x"),
		"claim types":      jwt(`{}`, `{"scp":7}`, "x"),
		"conflict":         jwt(`{}`, `{"cid":"a","client_id":"b"}`, "x"),
		"blank":            "a b",
		"long":             strings.Repeat("a", token.MaxLength+1),
		"nothing":          "",
	} {
		_, err := Inspect(t.Context(), Inspection{Config: "/nowhere", Authorization: "Bearer " + text})
		var input *InputError
		if !errors.As(err, &input) || len(text) > 5 && strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Inspect(t.Context(), Inspection{Authorization: "Basic Zm9v"}); err == nil {
		t.Error("a Basic credential is a token")
	}

	claims := `{"sub":"\u001b[31mroot\u009b2J\u202e\u0007\ud83d\ude00","\u001b]0;x\u0007":"y","groups":["\u001b[2J"],"long":"` + strings.Repeat("x", 2000) + `"}`
	secret := jwt(`{"kid":"\u001b[1m"}`, claims, "signature-canary")
	repeats := jwt(`{}`, `{"copy":"`+strings.Split(secret, ".")[2]+`"}`, "signature-canary")
	deep := jwt(`{}`, `{"a":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`}`, "signature-canary")
	for _, text := range []string{secret, repeats, deep} {
		r, err := Inspect(t.Context(), Inspection{Config: "/nowhere", Authorization: "Bearer " + text})
		if err != nil {
			t.Fatal(err)
		}
		if shown := shownText(t, r, text); len(shown) > 4000 {
			t.Errorf("the report is %d bytes long", len(shown))
		}
	}
	for text, form := range map[string]string{"opaque": formOpaque, "a.b": formOpaque, "e30.a.b.c.d": formEncrypted} {
		r, err := Inspect(t.Context(), Inspection{Config: "/nowhere", Authorization: "Bearer " + text})
		if err != nil || r.Form != form || r.ClientID != "" {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add(jwt(`{"alg":"RS256"}`, `{"iss":"x","exp":1526597281,"scp":["a"],"cid":"b"}`, "signature"))
	f.Add("opaque")
	f.Add("e30.a.b.c.d")
	f.Add(jwt(`{}`, `{"sub":"\u001b[31m"}`, ""))
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Inspect(t.Context(), Inspection{Config: "/nowhere/durward.yaml", Authorization: "Bearer " + text})
		if err != nil {
			return
		}
		if r.Verified {
			t.Error("a token is verified that nobody was asked about")
		}
		signature := ""
		if parts := strings.Split(text, "."); len(parts) == 3 && len(parts[2]) >= 24 {
			signature = parts[2]
		}
		shownText(t, r, signature)
	})
}

// The path that stands for an operation is one that this operation answers.
func TestExamplePaths(t *testing.T) {
	t.Parallel()
	s := newSite(t, "    operations:\n", `    operations:
      - { methods: [GET], path: "/x", scopes: { all: [a] } }
      - { methods: [GET], path: "/any", scopes: { all: [b] } }
      - { methods: [GET], path: "/**", scopes: { all: [c] } }
      - { methods: [GET], path: "/{id}/{other}/", scopes: { all: [d] } }
      - { methods: [GET], path: "/x/**", scopes: { all: [e] } }
      - { methods: [GET], path: "/", scopes: { all: [f] } }
`)
	now := time.Now()
	for scope, path := range map[string]string{
		"a": "/orders/x", "b": "/orders/any", "c": "/orders/**", "d": "/orders/{id}/{other}/", "e": "/orders/x/**", "f": "/orders", "orders.read": "/orders/{id}",
	} {
		claims, err := json.Marshal(map[string]any{
			"iss": s.okta.Issuer("default"), "aud": "api://default", "cid": "0oaf2no1n6hPswFV10h7", "uid": "00u1", "jti": "AT.1",
			"scp": []string{scope}, "exp": now.Add(time.Hour).Unix(),
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Inspect(t.Context(), Inspection{Config: s.config, Authorization: "Bearer " + jwt(`{}`, string(claims), "x")})
		if err != nil {
			t.Fatal(err)
		}
		for operation, reason := range outcomes(r) {
			want := contract.ScopeMissing
			if operation == "GET "+path {
				want = ""
			}
			if operation == "GET /orders/by/{login}" && scope == "orders.read" {
				want = contract.ClaimMismatch // its rule wants the caller's own login in the path
			}
			if reason != want {
				t.Errorf("scope %s: %s gives %q, want %q", scope, operation, reason, want)
			}
		}
	}
}
