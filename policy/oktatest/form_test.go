package oktatest_test

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

// TestAccessTokenForms holds how each form looks, and that introspection and userinfo
// know it, while ID tokens stay JWTs.
func TestAccessTokenForms(t *testing.T) {
	t.Parallel()
	for form, shape := range map[string]string{
		"": `^[\w-]+\.[\w-]+\.[\w-]+$`, "jwt": `^[\w-]+\.[\w-]+\.[\w-]+$`,
		"opaque": `^[\w-]{43}$`, "encrypted": `^[\w-]+\.[\w-]{342}\.[\w-]{16}\.[\w-]+\.[\w-]{22}$`,
	} {
		s := oktatest.New(t, func(c *oktatest.Config) { c.AuthorizationServers[0].AccessTokens = form })
		got := redeem(t, s.Issuer("default"), "openid")
		if !regexp.MustCompile(shape).MatchString(got.AccessToken) || strings.Count(got.IDToken, ".") != 2 {
			t.Errorf("%q: access token %s, ID token %s", form, got.AccessToken, got.IDToken)
		}
		for _, token := range []string{got.AccessToken, mint(t, s, oktatest.TokenRequest{})} {
			if body := introspect(t, s, "default", token).body; !strings.Contains(body, `"jti":"AT.`) {
				t.Errorf("%q: introspect: %s", form, body)
			}
		}
		check(t, s.Revoke(got.AccessToken))
		if isActive(t, s, got.AccessToken) {
			t.Errorf("%q: active after Revoke", form)
		}
		if form != "encrypted" {
			continue
		}
		header, err := base64.RawURLEncoding.DecodeString(strings.Split(got.AccessToken, ".")[0])
		if err != nil || !regexp.MustCompile(`^{"alg":"RSA-OAEP-256","cty":"JWT","enc":"A256GCM","kid":"[\w-]{43}"}$`).Match(header) {
			t.Errorf("header %s, %v", header, err)
		}
	}
}

// TestIntrospectionMembers holds that acr and cnf are in the token whatever the
// server shows, and in its replies only where that is configured.
func TestIntrospectionMembers(t *testing.T) {
	t.Parallel()
	const jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	for members, want := range map[string]string{
		"":                             `"token_type":"Bearer",.*"uid":"00u\w{17}","groups":\[.*\]}$`,
		"auth_time":                    `"token_type":"Bearer",.*"uid":"00u\w{17}","auth_time":\d{10},"groups":\[.*\]}$`,
		"acr cnf":                      `"token_type":"Bearer",.*"uid":"00u\w{17}","acr":"phr","cnf":{"jkt":"` + jkt + `"},"groups":\[.*\]}$`,
		"auth_time acr cnf token_type": `"token_type":"DPoP",.*"uid":"00u\w{17}","auth_time":\d{10},"acr":"phr","cnf":{"jkt":"` + jkt + `"},"groups":\[.*\]}$`,
	} {
		s := oktatest.New(t, func(c *oktatest.Config) { c.AuthorizationServers[0].Introspection = strings.Fields(members) })
		token := mint(t, s, oktatest.TokenRequest{ACR: "phr", JKT: jkt})
		if body := introspect(t, s, "default", token).body; !regexp.MustCompile(want).MatchString(body) {
			t.Errorf("%q: %s", members, body)
		}
		if _, claims := payload(t, token); !strings.Contains(claims, `"sub":"alice@example.com","acr":"phr","cnf":{"jkt":"`+jkt+`"},"groups"`) {
			t.Errorf("claims %s", claims)
		}
		plain := introspect(t, s, "default", mint(t, s, oktatest.TokenRequest{})).body
		if strings.Contains(plain, "acr") || strings.Contains(plain, "cnf") || !strings.Contains(plain, `"token_type":"Bearer"`) {
			t.Errorf("%q: of a plain token: %s", members, plain)
		}
	}
}

func TestFormsAreChecked(t *testing.T) {
	t.Parallel()
	for want, as := range map[string]oktatest.AuthorizationServer{
		`access tokens "jwe"`:        {ID: "a", Audience: "b", AccessTokens: "jwe"},
		`introspection member "exp"`: {ID: "a", Audience: "b", Introspection: []string{"exp"}},
	} {
		cfg := oktatest.DefaultConfig()
		cfg.AuthorizationServers = []oktatest.AuthorizationServer{as}
		if _, err := oktatest.NewServer(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestSkewTokens holds that only the stamps of tokens move.
func TestSkewTokens(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	s.SkewTokens(5 * time.Minute)
	ahead := mint(t, s, oktatest.TokenRequest{})
	s.SkewTokens(-59 * time.Minute)
	behind := mint(t, s, oktatest.TokenRequest{})
	reply := introspect(t, s, "default", ahead)
	if off(t, reply) != 0 || reset(t, reply) != 60 {
		t.Errorf("headers %v", reply.header)
	}
	if !isActive(t, s, ahead) || !isActive(t, s, behind) {
		t.Error("not active")
	}
	s.Advance(2 * time.Minute)
	if isActive(t, s, behind) || !isActive(t, s, ahead) {
		t.Error("exp is not that of the stamp")
	}
	s.Advance(62 * time.Minute)
	if !isActive(t, s, ahead) {
		t.Error("ended before its exp")
	}
}
