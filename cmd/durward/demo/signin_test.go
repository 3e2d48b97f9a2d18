package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/durward/durward/policy/oktatest"
	"github.com/durward/durward/policy/token/dpop"
)

// The demo's own sign-in steps up and binds its token, if so asked.
func TestSigningIn(t *testing.T) {
	t.Parallel()
	okta := oktatest.New(t, func(c *oktatest.Config) { *c = orgConfig("a-secret") })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	thumbprint, err := dpop.Thumbprint(key)
	if err != nil {
		t.Fatal(err)
	}
	plain := signingIn{issuer: okta.Issuer("default"), clientID: clientMobile, user: "alice", scopes: []string{"orders.read"}}
	strong, bound := plain, plain
	strong.acrValues, bound.key = []string{"phr"}, key
	for name, tt := range map[string]struct {
		signingIn
		acr, jkt string
	}{
		"plain": {plain, "", ""}, "step-up": {strong, "phr", ""}, "bound": {bound, "", thumbprint},
	} {
		text, err := tt.token(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var claims struct {
			ACR          string `json:"acr"`
			Confirmation struct {
				Thumbprint string `json:"jkt"`
			} `json:"cnf"`
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(payload, &claims); err != nil || claims.ACR != tt.acr || claims.Confirmation.Thumbprint != tt.jkt {
			t.Errorf("%s: %+v, %v", name, claims, err)
		}
	}
}
