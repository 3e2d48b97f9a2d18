package dpop

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
)

// TestSign: another library takes a proof for what it is.
func TestSign(t *testing.T) {
	t.Parallel()
	text, err := Sign(p256(), Statement{Method: "POST", URL: "https://example.okta.com/oauth2/v1/token", Nonce: "n", IssuedAt: noon.Add(999 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	header := jws.Signatures[0].Protected
	if header.ExtraHeaders["typ"] != "dpop+jwt" || !header.JSONWebKey.IsPublic() || !header.JSONWebKey.Valid() {
		t.Errorf("%+v", header)
	}
	payload, err := jws.Verify(header.JSONWebKey)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	if id, _ := got["jti"].(string); len(id) < 20 {
		t.Errorf("jti %v", got["jti"])
	}
	delete(got, "jti")
	want := map[string]any{"htm": "POST", "htu": "https://example.okta.com/oauth2/v1/token", "iat": 1.8e9, "nonce": "n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	again, err := Sign(p256(), Statement{Method: "POST", URL: "https://example.okta.com/oauth2/v1/token", Nonce: "n", IssuedAt: noon})
	if err != nil || strings.Split(again, ".")[1] == strings.Split(text, ".")[1] {
		t.Errorf("the same claims again, %v", err)
	}
	thumbprint, err := header.JSONWebKey.Thumbprint(5) // SHA-256
	if got := must(Thumbprint(p256())); err != nil || got != encode(thumbprint) {
		t.Errorf("thumbprint %s, %v", got, err)
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	good := Statement{Method: method, URL: url, Token: accessToken, IssuedAt: noon}
	noMethod, noURL, noTime := good, good, good
	noMethod.Method, noURL.URL, noTime.IssuedAt = "", "", time.Time{}
	for what, s := range map[string]Statement{"nothing": {}, "method": noMethod, "URL": noURL, "time": noTime} {
		if text, err := Sign(p256(), s); err == nil || text != "" {
			t.Errorf("%s: %s", what, text)
		}
	}
	if _, err := Sign(p384(), good); err == nil {
		t.Error("a key on P-384")
	}
	if _, err := Sign(nil, good); err == nil {
		t.Error("no key")
	}
	if _, err := Thumbprint(nil); err == nil {
		t.Error("the thumbprint of no key")
	}
	if got := tokenHash(token.Token{}); got != "" {
		t.Errorf("ath %q of no token", got)
	}
}
