package login

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/policy/oktatest"
	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/dpop"
)

// thumbprintOf is the key that an access token is bound to, by its own claims.
func thumbprintOf(t *testing.T, access string) string {
	t.Helper()
	var claims struct {
		Confirmation struct {
			Thumbprint string `json:"jkt"`
		} `json:"cnf"`
	}
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		t.Fatalf("the access token has %d parts", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Confirmation.Thumbprint
}

// A login with a key gets tokens that are bound to it, keeps the key with them, and
// refreshes by it.
func TestBoundLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *oktatest.Config) { c.Clients[0].DPoP = true })
	w.DPoP, w.Steps = true, true
	one, alice := w.signIn(t)
	path, f := w.stored(t)
	key, err := decodeKey(f.DPoPKey)
	if err != nil || key == nil || !one.Bound() {
		t.Fatalf("the stored key: %v %v", key, err)
	}
	thumbprint, err := dpop.Thumbprint(key)
	if err != nil || thumbprintOf(t, f.AccessToken) != thumbprint {
		t.Errorf("the token is bound to %q, the key is %q, %v", thumbprintOf(t, f.AccessToken), thumbprint, err)
	}
	if !strings.Contains(w.out.String(), "jkt           = "+thumbprint) || !strings.Contains(w.out.String(), "token_type    = DPoP") {
		t.Errorf("the steps show no binding:\n%s", w.out)
	}
	secret := base64.StdEncoding.EncodeToString(f.DPoPKey)
	d, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	holdsNone(t, "output and page", w.out.String()+alice.last.body, secret, base64.RawURLEncoding.EncodeToString(d), f.AccessToken, f.RefreshToken)
	if got := w.okta.Calls(oktatest.Token); got != 2 {
		t.Errorf("%d token requests, want one without nonce and one with", got)
	}

	w.rewrite(t, func(f *file) { f.ExpiresAt = time.Now() })
	fresh, err := w.session(t.Context())
	if err != nil || !fresh.Bound() {
		t.Fatalf("renew: %v", err)
	}
	if _, again := w.stored(t); again.AccessToken == f.AccessToken || thumbprintOf(t, again.AccessToken) != thumbprint || string(again.DPoPKey) != string(f.DPoPKey) {
		t.Error("the renewed token is the old one, or bound to another key")
	}
	if err := w.Store.Logout(t.Context(), fresh); err != nil || w.isActive(t, fresh.access.Reveal()) {
		t.Errorf("logout: %v", err)
	}
	w.isEmpty(t)
	if _, err := w.session(t.Context()); err == nil || path == "" {
		t.Error("there is a session after the logout")
	}
}

// A bearer token at hand is not enough where a bound one is asked; the reverse is.
func TestBoundAlready(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	w.DPoP = true
	if one, _ := w.signIn(t); !one.Bound() {
		t.Error("the bearer token passes for a bound one")
	}
	w.Browser = func(string) error { t.Error("a browser was opened"); return nil }
	for _, w.DPoP = range []bool{true, false} {
		if one, err := Login(t.Context(), w.Options); err != nil || !one.Bound() || !strings.Contains(w.out.String(), "is signed in already") {
			t.Errorf("with --dpop=%t: %v\n%s", w.DPoP, err, w.out)
		}
	}
}

// The same key must refresh; Okta's refusal of another names the way back.
func TestRefreshByAnotherKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.DPoP = true
	w.signIn(t)
	other, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	w.rewrite(t, func(f *file) {
		f.ExpiresAt = time.Now()
		if f.DPoPKey, err = encodeKey(other); err != nil {
			t.Fatal(err)
		}
	})
	_, err = w.session(t.Context())
	says(t, err, nil, "invalid_dpop_proof: Invalid DPoP Public Key binding in refresh token")
	w.okta.Advance(100 * 24 * time.Hour)
	w.rewrite(t, func(f *file) { f.RefreshToken = "" })
	_, err = w.session(t.Context())
	says(t, err, ErrSignedOut, "fix: durward login retail/mobile --dpop")
}

// Each request has its own proof, about itself, by the checker of the gateway.
func TestAuthorizeBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.DPoP = true
	one, _ := w.signIn(t)
	_, f := w.stored(t)
	checker, err := dpop.NewChecker(dpop.Config{Now: time.Now, Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(checker.Close)
	for _, tt := range []struct{ url, host, want string }{
		{"http://127.0.0.1:10000/orders/7?a=b", "", "http://127.0.0.1:10000/orders/7"},
		{"https://gw.example.com/a%2Fb/7?", "", "https://gw.example.com/a%2Fb/7"},
		{"http://127.0.0.1:10000/orders/7", "api.example.com", "http://api.example.com/orders/7"},
	} {
		var seen []string
		for range 2 {
			req := httptest.NewRequest(http.MethodGet, tt.url, nil)
			if req.Host = tt.host; tt.host == "" {
				req.Host = req.URL.Host
			}
			if err := one.Authorize(req); err != nil {
				t.Fatal(err)
			}
			if got := req.Header.Get("Authorization"); got != "DPoP "+f.AccessToken {
				t.Errorf("%s: the scheme is %.6q", tt.url, got)
			}
			proof := token.Proof{Headers: req.Header.Values("DPoP"), Method: http.MethodGet, URLs: []string{tt.want}, Token: one.access, KeyThumbprint: thumbprintOf(t, f.AccessToken)}
			if err := checker.Check(proof); err != nil {
				t.Errorf("%s: %v", tt.url, err)
			}
			seen = append(seen, req.Header.Get("DPoP"))
		}
		if seen[0] == seen[1] {
			t.Errorf("%s: one proof for two requests", tt.url)
		}
	}
}

// What Okta binds against the wish, or leaves unbound, is no session.
func TestTokenTypes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		key   bool
		given string
		says  string
	}{
		"bound unasked":   {false, "DPoP", "fix: sign in with --dpop"},
		"bearer, asked":   {true, "Bearer", "require DPoP headers in token requests; or sign in without --dpop"},
		"none, asked":     {true, "", "without --dpop"},
		"another, asked":  {true, "N_A", `type "N_A", not DPoP`},
		"bound, asked":    {true, "dpop", ""},
		"bearer, unasked": {false, "bearer", ""},
	} {
		w := newWorld(t)
		w.DPoP = tt.key
		w.between(t, func(reply map[string]any) { reply["token_type"] = tt.given })
		alice := newPerson(t)
		w.Browser = alice.signIn
		_, err := Login(t.Context(), w.Options)
		<-alice.done
		if tt.says == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		says(t, err, nil, tt.says)
		w.isEmpty(t)
	}
	w := newWorld(t, func(c *oktatest.Config) { c.Clients[0].DPoP = true })
	alice := newPerson(t)
	w.Browser = alice.signIn
	_, err := Login(t.Context(), w.Options)
	<-alice.done
	says(t, err, nil, "invalid_dpop_proof: The DPoP proof JWT header is missing.", "sign in with --dpop")
}

// A server that always wants another nonce gets two requests, and a wrong clock is named.
func TestNonceOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.DPoP = true
	var requests atomic.Int32
	w.okta.Respond(oktatest.Token, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		rw.Header().Set("DPoP-Nonce", rand.Text())
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusBadRequest)
		_, _ = rw.Write([]byte(`{"error":"use_dpop_nonce","error_description":"Another."}`))
	}))
	alice := newPerson(t)
	w.Browser = alice.signIn
	_, err := Login(t.Context(), w.Options)
	<-alice.done
	says(t, err, nil, "use_dpop_nonce: Another.")
	if got := requests.Load(); got != 2 {
		t.Errorf("%d token requests", got)
	}
	w.okta.Respond(oktatest.Token, nil)
	w.okta.Advance(10 * time.Minute)
	alice = newPerson(t)
	w.Browser = alice.signIn
	_, err = Login(t.Context(), w.Options)
	<-alice.done
	says(t, err, nil, "issued more than five minutes in the past", "set this machine's clock")
}

func TestStoredKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.DPoP = true
	w.signIn(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{"garbage": []byte("x"), "other curve": other} {
		w.rewrite(t, func(f *file) { f.DPoPKey = der })
		path, _ := w.stored(t)
		if _, err := w.session(t.Context()); err == nil || !strings.Contains(err.Error(), "the key in "+path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Signing in mends it.
	w.signIn(t)
	if one, err := w.session(context.Background()); err != nil || !one.Bound() {
		t.Error(err)
	}
}
