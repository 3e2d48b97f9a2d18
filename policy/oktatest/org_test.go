package oktatest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func withOrg(c *oktatest.Config) {
	c.AuthorizationServers = append(c.AuthorizationServers, oktatest.AuthorizationServer{ID: oktatest.OrgServer})
}

func orgIntrospect(t *testing.T, s *oktatest.Server, token string) string {
	t.Helper()
	gateway := s.Client("gateway")
	return post(t, http.DefaultClient, s.URL()+"/oauth2/v1/introspect",
		url.Values{"token": {token}, "client_id": {gateway.ID}, "client_secret": {gateway.Secret}}).body
}

// TestOrgServer signs in at the org server and asks all of its endpoints.
func TestOrgServer(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t, withOrg)
	base := s.URL()
	if s.Issuer(oktatest.OrgServer) != base {
		t.Errorf("issuer %s", s.Issuer(oktatest.OrgServer))
	}
	got := redeem(t, base+"/oauth2", "openid profile offline_access")
	header, claims := payload(t, got.AccessToken)
	if !regexp.MustCompile(`^{"kid":"[\w-]{43}","typ":"application/okta-internal-at\+jwt","alg":"RS256"}$`).MatchString(header) {
		t.Errorf("header %s", header)
	}
	want := fmt.Sprintf(`^{"ver":1,"jti":"AT\.[\w-]{43}\.oar\w{17}","iss":"%[1]s","aud":"%[1]s","iat":\d{10},"exp":\d{10},"cid":"%s","uid":"00u\w{17}",`+
		`"scp":\["openid","profile","offline_access"\],"auth_time":\d{10},"sub":"alice@example.com"}$`, regexp.QuoteMeta(base), seedClient)
	if !regexp.MustCompile(want).MatchString(claims) {
		t.Errorf("claims %s", claims)
	}
	if header, _ := payload(t, got.IDToken); strings.Contains(header, "typ") {
		t.Errorf("ID token header %s", header)
	}
	for _, token := range []string{got.AccessToken, got.IDToken, got.RefreshToken} {
		if body := orgIntrospect(t, s, token); !strings.HasPrefix(body, `{"active":true,`) || strings.Contains(body, `"groups"`) {
			t.Errorf("introspect: %s", body)
		}
		if isActive(t, s, token) {
			t.Error("the custom server knows a token of the org server")
		}
	}
	if body := orgIntrospect(t, s, got.AccessToken); !strings.Contains(body, `"aud":"`+base+`","iss":"`+base+`"`) {
		t.Errorf("introspect: %s", body)
	}
	if body := orgIntrospect(t, s, mint(t, s, oktatest.TokenRequest{AuthorizationServer: "default"})); body != inactive {
		t.Errorf("the org server knows a token of a custom one: %s", body)
	}
	req := newRequest(t, http.MethodGet, base+"/oauth2/v1/userinfo", "")
	req.Header.Set("Authorization", "Bearer "+got.AccessToken)
	if info := do(t, http.DefaultClient, req); info.status != 200 || !strings.Contains(info.body, "Alice Archer") {
		t.Errorf("userinfo: %d %s", info.status, info.body)
	}
	decodeTokens(t, refreshWith(t, base+"/oauth2", seedClient, got.RefreshToken))
	if a := post(t, http.DefaultClient, base+"/oauth2/v1/revoke", url.Values{"token": {got.AccessToken}, "client_id": {seedClient}}); a.status != 200 {
		t.Errorf("revoke: %d", a.status)
	}
	if body := orgIntrospect(t, s, got.AccessToken); body != inactive {
		t.Errorf("revoked: %s", body)
	}
	if out := get(t, browser(t), base+"/oauth2/v1/logout?id_token_hint="+got.IDToken); out.status != 200 {
		t.Errorf("logout: %d", out.status)
	}
}

// mint mints a token of alice and mobile, of what is left out in req.
func mint(t *testing.T, s *oktatest.Server, req oktatest.TokenRequest) string {
	t.Helper()
	req.Client, req.User = "mobile", "alice@example.com"
	if req.Scopes == nil {
		req.Scopes = []string{"openid"}
	}
	token, err := s.Token(req)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestOrgServerMetadata(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t, withOrg)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		got := get(t, http.DefaultClient, s.URL()+path)
		if !strings.HasPrefix(got.body, `{"issuer":"`+s.URL()+`","authorization_endpoint":"`+s.URL()+`/oauth2/v1/authorize",`) ||
			!strings.Contains(got.body, `"introspection_endpoint":"`+s.URL()+`/oauth2/v1/introspect"`) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	set := get(t, http.DefaultClient, s.URL()+"/oauth2/v1/keys").body
	if set == get(t, http.DefaultClient, s.Issuer("default")+"/v1/keys").body || !strings.HasPrefix(set, `{"keys":[{"kty":"RSA"`) {
		t.Errorf("keys: %s", set)
	}
	// Its id is no path: %2F must not reach it as if it were a custom server.
	for path, want := range map[string]string{
		"/oauth2/%2F/v1/keys": apiError("E0000008", "The requested path was not found"),
		"/oauth2/org/v1/keys": apiError("E0000007", "Not found: Resource not found: org (AuthorizationServer)"),
	} {
		if got := get(t, http.DefaultClient, s.URL()+path); got.status != 404 || normalised(got.body) != want {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func TestOrgServerIsCheckedAndHasNoCustomScopes(t *testing.T) {
	t.Parallel()
	for name, as := range map[string]oktatest.AuthorizationServer{
		"audience": {Audience: "api://x"}, "scopes": {Scopes: []string{"a"}}, "claims": {Claims: []string{"groups"}},
		"lifetime": {AccessTokenLifetime: time.Hour}, "form": {AccessTokens: "opaque"},
	} {
		cfg := oktatest.DefaultConfig()
		as.ID = oktatest.OrgServer
		cfg.AuthorizationServers = []oktatest.AuthorizationServer{as}
		if _, err := oktatest.NewServer(cfg); err == nil || !strings.Contains(err.Error(), "of its own") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := oktatest.New(t, withOrg)
	_, err := s.Token(oktatest.TokenRequest{AuthorizationServer: oktatest.OrgServer, Client: "mobile", User: "alice@example.com", Scopes: []string{"orders.read"}})
	if err == nil || !strings.Contains(err.Error(), "not configured") {
		t.Errorf("custom scope: %v", err)
	}
}

// TestOrgServerMachines holds who may ask the org server for a machine's token; with
// no scope to grant, nobody gets one.
func TestOrgServerMachines(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys, machine := map[string]crypto.PublicKey{"k1": key.Public()}, []string{"client_credentials"}
	s := oktatest.New(t, withOrg, func(c *oktatest.Config) {
		c.Clients = append(c.Clients, oktatest.Client{ID: "0oaService", Type: "service", Keys: keys, GrantTypes: machine},
			oktatest.Client{ID: "0oaWeb", Type: "web", Keys: keys, GrantTypes: machine})
	})
	url, gateway := s.URL()+"/oauth2/v1/token", s.Client("gateway")
	assert := func(client string) []string {
		form := asserted(sign(t, jose.RS256, key, "", jwt.Claims{Issuer: client, Subject: client, Audience: jwt.Audience{url}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute))}))
		return []string{"client_assertion", form.Get("client_assertion"), "client_assertion_type", form.Get("client_assertion_type")}
	}
	for name, test := range map[string]struct {
		credentials []string
		status      int
		want        string
	}{
		"secret":  {[]string{"client_id", gateway.ID, "client_secret", gateway.Secret}, 401, oauthError("invalid_client", "Client Credentials requests to the Org Authorization Server must use the private_key_jwt token_endpoint_auth_method.")},
		"web":     {assert("0oaWeb"), 401, oauthError("invalid_client", "Only clients with 'application_type' of 'service' may use the client_credentials 'grant_type' with the Org Authorization Server.")},
		"service": {assert("0oaService"), 400, oauthError("invalid_scope", "One or more scopes are not configured for the authorization server resource.")},
	} {
		form := with(nil, append(test.credentials, "grant_type", "client_credentials", "scope", "orders.read")...)
		if got := post(t, http.DefaultClient, url, form); got.status != test.status || got.body != test.want {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}
