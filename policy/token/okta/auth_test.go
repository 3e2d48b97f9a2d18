package okta_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// keys are made once: RSA takes its time.
var keys = sync.OnceValue(func() (k struct {
	rsa, small *rsa.PrivateKey
	p256, p384 *ecdsa.PrivateKey
	ed         ed25519.PrivateKey
},
) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var err error
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.small, err = rsa.GenerateKey(rand.Reader, 1024)
	must(err)
	k.p256, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	k.p384, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return k
})

func pemText(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pemText(t, "PRIVATE KEY", der, err)
}

func sec1(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	return pemText(t, "EC PRIVATE KEY", der, err)
}

func jwk(t *testing.T, key any, kid, alg string) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: alg, Use: "sig"})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func withKey(path, kid string) func(*okta.Config) {
	return func(c *okta.Config) { c.Auth, c.ClientSecret, c.KeyFile, c.KeyID = okta.PrivateKeyJWT, "", path, kid }
}

// TestPrivateKeyJWT reads assertions as a server would.
func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	k := keys()
	rsaPublic, ecPublic := k.rsa.Public(), k.p256.Public()
	params := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
	for name, c := range map[string]struct {
		text, kid string
		public    crypto.PublicKey
		alg       jose.SignatureAlgorithm
		wantKid   string
	}{
		"RSA, PKCS 8":           {pkcs8(t, k.rsa), "k1", rsaPublic, jose.RS256, "k1"},
		"RSA, PKCS 1":           {pemText(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.rsa), nil), "", rsaPublic, jose.RS256, ""},
		"EC, PKCS 8":            {pkcs8(t, k.p256), "k1", ecPublic, jose.ES256, "k1"},
		"EC, SEC 1":             {sec1(t, k.p256), "k1", ecPublic, jose.ES256, "k1"},
		"EC, SEC 1, parameters": {params + sec1(t, k.p256), "k1", ecPublic, jose.ES256, "k1"},
		"RSA, JWK":              {jwk(t, k.rsa, "own", "RS256"), "", rsaPublic, jose.RS256, "own"},
		"EC, JWK":               {jwk(t, k.p256, "own", ""), "own", ecPublic, jose.ES256, "own"},
		"JWK without kid":       {jwk(t, k.p256, "", "") + "\n", "k1", ecPublic, jose.ES256, "k1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ids := make(map[string]bool)
			var endpoint string
			cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil || r.Header.Get("Authorization") != "" {
					t.Errorf("%v, authorization %q", err, r.Header.Get("Authorization"))
				}
				if r.Form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" ||
					r.Form.Has("client_id") || r.Form.Has("client_secret") || r.Form.Get("token") != canary {
					t.Errorf("form %v", r.Form)
				}
				signed, err := jwt.ParseSigned(r.Form.Get("client_assertion"), []jose.SignatureAlgorithm{c.alg})
				if err != nil {
					t.Error(err)
					return
				}
				var claims jwt.Claims
				if err := signed.Claims(c.public, &claims); err != nil {
					t.Error(err)
				}
				endpoint = "http://" + r.Host + r.URL.Path
				expected := jwt.Expected{Issuer: "0oaGATEWAY", Subject: "0oaGATEWAY", AnyAudience: jwt.Audience{endpoint}, Time: time.Now()}
				if err := claims.ValidateWithLeeway(expected, 0); err != nil || len(claims.Audience) != 1 {
					t.Errorf("%v: %+v", err, claims)
				}
				if life := claims.Expiry.Time().Sub(claims.IssuedAt.Time()); life <= 0 || life > 5*time.Minute {
					t.Errorf("good for %s", life)
				}
				if signed.Headers[0].KeyID != c.wantKid || len(claims.ID) < 22 || ids[claims.ID] {
					t.Errorf("kid %q, jti %q", signed.Headers[0].KeyID, claims.ID)
				}
				ids[claims.ID] = true
				writeJSON(w, 503, `{}`) // asks for a second one
			}, withKey(file(t, c.text), c.kid))
			got, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known)
			mustFail(t, got, err, token.Unavailable)
			if len(ids) != 2 || !strings.HasSuffix(endpoint, asPath+"/v1/introspect") {
				t.Errorf("%d assertions at %s", len(ids), endpoint)
			}
		})
	}
}

func TestKeyFilesRefused(t *testing.T) {
	t.Parallel()
	k := keys()
	public, err := x509.MarshalPKIXPublicKey(k.rsa.Public())
	good := pkcs8(t, k.rsa)
	for name, c := range map[string]struct{ text, kid string }{
		"empty":          {"", ""},
		"line ends":      {"\n\n", ""},
		"no key":         {"hello", ""},
		"cut":            {good[:len(good)-40], ""},
		"wrong DER":      {pemText(t, "PRIVATE KEY", []byte("hello"), nil), ""},
		"wrong type":     {pemText(t, "RSA PRIVATE KEY", []byte("hello"), nil), ""},
		"wrong EC":       {pemText(t, "EC PRIVATE KEY", []byte("hello"), nil), ""},
		"public":         {pemText(t, "PUBLIC KEY", public, err), ""},
		"certificate":    {pemText(t, "CERTIFICATE", []byte("x"), nil), ""},
		"encrypted":      {pemText(t, "ENCRYPTED PRIVATE KEY", []byte("x"), nil), ""},
		"two keys":       {good + pkcs8(t, k.p256), ""},
		"1024 bits":      {pkcs8(t, k.small), ""},
		"P-384":          {pkcs8(t, k.p384), ""},
		"Ed25519":        {pkcs8(t, k.ed), ""},
		"JWK, public":    {jwk(t, k.rsa.Public(), "k", ""), ""},
		"JWK, symmetric": {jwk(t, []byte("0123456789abcdef0123456789abcdef"), "k", ""), ""},
		"JWK, other kid": {jwk(t, k.rsa, "k", ""), "other"},
		"JWK, other alg": {jwk(t, k.rsa, "k", "PS256"), ""},
		"JWK, broken":    {`{"kty":"RSA"}`, ""},
		"JWK, twice":     {`{"kty":"EC",` + jwk(t, k.p256, "k", "")[1:], ""},
		"JWK, set":       {`{"keys":[` + jwk(t, k.p256, "k", "") + `]}`, ""},
		"over 64 KiB":    {good + strings.Repeat("x", 64<<10), ""},
	} {
		cfg := okta.Config{Issuer: "https://example.okta.com/oauth2/default", ClientID: "0oaGATEWAY"}
		withKey(file(t, c.text), c.kid)(&cfg)
		cl, err := okta.NewClient(cfg)
		if err == nil || cl != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := k.rsa.D.String(); strings.Contains(err.Error(), d) || len(err.Error()) > 400 {
			t.Errorf("%s: the error has %d bytes: %v", name, len(err.Error()), err)
		}
	}
	cfg := okta.Config{Issuer: "https://example.okta.com/oauth2/default", ClientID: "0oaGATEWAY"}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"pipe": pipe, "absent": filepath.Join(t.TempDir(), "no"), "folder": t.TempDir()} {
		withKey(path, "")(&cfg)
		if _, err := okta.NewClient(cfg); err == nil {
			t.Errorf("%s is a key", name)
		}
	}
}

// TestNoSecretInURL (G12): what is secret travels in the body or in a header.
func TestNoSecretInURL(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*okta.Config){
		func(*okta.Config) {},
		func(c *okta.Config) { c.Auth = okta.SecretPost },
		func(c *okta.Config) { c.Auth, c.ClientSecret = okta.Public, "" },
		withKey(file(t, pkcs8(t, keys().p256)), "k"),
	} {
		cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" || strings.Contains(r.URL.String(), url.QueryEscape(canary)) {
				t.Errorf("asked %s", r.URL)
			}
			writeJSON(w, 200, `{"active":false}`)
		}, change)
		if _, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known); err != nil {
			t.Error(err)
		}
	}
}
