package oktatest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
	"golang.org/x/oauth2/clientcredentials"
)

// newOrg has a second authorization server and clients of every kind.
func newOrg(t *testing.T) *oktatest.Server {
	t.Helper()
	return oktatest.New(t, func(c *oktatest.Config) {
		c.AuthorizationServers = append(c.AuthorizationServers, oktatest.AuthorizationServer{ID: "ausOther", Audience: "api://other"})
		c.Clients = append(c.Clients,
			oktatest.Client{ID: "0oaOther", Type: "native", RedirectURIs: []string{seedRedirect}, GrantTypes: []string{"authorization_code"}},
			oktatest.Client{ID: "0oaStatic", Type: "native", RedirectURIs: []string{seedRedirect}, GrantTypes: []string{"authorization_code", "refresh_token"}},
			oktatest.Client{ID: "0oaWeb", Type: "web", Secret: "web-secret", RedirectURIs: []string{seedRedirect}, GrantTypes: []string{"authorization_code"}})
	})
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	issuer, gateway := s.Issuer("default"), s.Client("gateway")
	code := login(t, issuer, authorizeParams())
	webCode := login(t, issuer, with(authorizeParams(), "client_id", "0oaWeb", "code_challenge", "-", "code_challenge_method", "-"))
	refresh := redeem(t, issuer, "openid offline_access").RefreshToken
	ok, machine := codeForm(code), url.Values{"grant_type": {"client_credentials"}, "scope": {"orders.read"}}
	refreshing := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {seedClient}}
	web := with(codeForm(webCode), "client_id", "0oaWeb", "client_secret", "web-secret")
	gw := func(form url.Values) url.Values {
		return with(form, "client_id", gateway.ID, "client_secret", gateway.Secret)
	}
	tests := map[string]struct {
		as     string
		form   url.Values
		header [2]string
		status int
		want   string
	}{
		"grant_type absent":     {form: with(ok, "grant_type", "-"), status: 400, want: oauthError("invalid_request", "The token request must specify a 'grant_type'. Valid values: [authorization_code, refresh_token, client_credentials]")},
		"grant_type unknown":    {form: with(ok, "grant_type", "password"), status: 400, want: oauthError("unsupported_grant_type", "The authorization grant type is not supported by the authorization server. Configured grant types: [authorization_code, refresh_token, client_credentials].")},
		"grant_type not ours":   {form: with(refreshing, "client_id", "0oaOther"), status: 400, want: oauthError("unauthorized_client", "The client is not authorized to use the provided grant type. Configured grant types: [authorization_code].")},
		"code absent":           {form: with(ok, "code", "-"), status: 400, want: oauthError("invalid_request", "The required parameter 'code' is missing.")},
		"code unknown":          {form: with(ok, "code", "x"), status: 400, want: oauthError("invalid_grant", "The authorization code is invalid or has expired.")},
		"code of other client":  {form: with(ok, "client_id", "0oaOther"), status: 400, want: oauthError("invalid_grant", "The grant was issued to another client. Please make sure the 'client_id' matches the one used at the authorize request.")},
		"code of other server":  {as: "ausOther", form: ok, status: 400, want: oauthError("invalid_request", "The grant was issued for another authorization server.")},
		"redirect differs":      {form: with(ok, "redirect_uri", "http://127.0.0.1:8765/callback"), status: 400, want: oauthError("invalid_grant", "The 'redirect_uri' does not match the redirection URI used in the authorization request.")},
		"redirect absent":       {form: with(ok, "redirect_uri", "-"), status: 400, want: oauthError("invalid_grant", "The 'redirect_uri' does not match the redirection URI used in the authorization request.")},
		"verifier absent":       {form: with(ok, "code_verifier", "-"), status: 400, want: oauthError("invalid_request", "PKCE code verifier is required by the application.")},
		"verifier wrong":        {form: with(ok, "code_verifier", seedVerifier+"x"), status: 400, want: oauthError("invalid_grant", "PKCE verification failed.")},
		"verifier is challenge": {form: with(ok, "code_verifier", seedChallenge), status: 400, want: oauthError("invalid_grant", "PKCE verification failed.")},
		"verifier unexpected":   {form: web, status: 400, want: oauthError("invalid_request", "PKCE code challenge should be specified in the authorize request for code verification.")},
		"refresh absent":        {form: with(refreshing, "refresh_token", "-"), status: 400, want: oauthError("invalid_request", "The required parameter 'refresh_token' is missing.")},
		"refresh unknown":       {form: with(refreshing, "refresh_token", "x"), status: 400, want: oauthError("invalid_grant", "The refresh token is invalid or expired.")},
		"refresh of other":      {form: with(refreshing, "client_id", "0oaStatic"), status: 400, want: oauthError("invalid_grant", "The refresh token is invalid or expired.")},
		"refresh extra scope":   {form: with(refreshing, "scope", "openid orders.write"), status: 400, want: oauthError("access_denied", "Some of the scopes requested for the refresh request were not granted in the original authorize request. Denied scopes: orders.write.")},
		"refresh other server":  {as: "ausOther", form: refreshing, status: 400, want: oauthError("invalid_request", "The grant was issued for another authorization server.")},
		"machine openid":        {form: gw(with(machine, "scope", "openid")), status: 400, want: oauthError("invalid_scope", "Cannot request 'openid' scopes using client credentials.")},
		"machine scope unknown": {form: gw(with(machine, "scope", "nope")), status: 400, want: oauthError("invalid_scope", "One or more scopes are not configured for the authorization server resource.")},
		"machine scope absent":  {form: gw(with(machine, "scope", "-")), status: 400, want: oauthError("invalid_scope", "The authorization server resource does not have any configured default scopes, 'scope' must be provided.")},
		"browser no PKCE":       {form: with(web, "code_verifier", "-"), header: [2]string{"Origin", "http://127.0.0.1:8765"}, status: 401, want: oauthError("invalid_client", "Browser requests to the token endpoint must use Proof Key for Code Exchange.")},
		"browser machine":       {form: gw(machine), header: [2]string{"Origin", "http://127.0.0.1:8765"}, status: 401, want: oauthError("invalid_client", "Browser requests to the token endpoint must use Proof Key for Code Exchange.")},
		"JSON body":             {form: ok, header: [2]string{"Content-Type", "application/json"}, status: 400, want: apiError("E0000021", "Bad request. Accept and/or Content-Type headers likely do not match supported values.")},
		"body over the cap":     {form: with(ok, "x", strings.Repeat("a", 65<<10)), status: 400, want: apiError("E0000003", "The request body was not well-formed.")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			as := test.as
			if as == "" {
				as = "default"
			}
			req := newRequest(t, http.MethodPost, s.Issuer(as)+"/v1/token", test.form.Encode())
			if test.header[0] != "" {
				req.Header.Set(test.header[0], test.header[1])
			}
			if got := do(t, browser(t), req); got.status != test.status || normalised(got.body) != test.want {
				t.Errorf("got  %d %s\nwant %d %s", got.status, got.body, test.status, test.want)
			}
		})
	}
	decodeTokens(t, post(t, browser(t), issuer+"/v1/token", ok)) // no refusal spent the code
}

func TestCodeExpiresAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	issuer := s.Issuer("default")
	young, old := login(t, issuer, authorizeParams()), login(t, issuer, authorizeParams())
	s.Advance(4*time.Minute + 50*time.Second)
	decodeTokens(t, post(t, browser(t), issuer+"/v1/token", codeForm(young)))
	s.Advance(11 * time.Second)
	if got := post(t, browser(t), issuer+"/v1/token", codeForm(old)); got.status != 400 ||
		got.body != oauthError("invalid_grant", "The authorization code is invalid or has expired.") {
		t.Errorf("code after 301 s: %d %s", got.status, got.body)
	}
}

func refreshWith(t *testing.T, issuer, client, token string, changes ...string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {client}}
	return post(t, browser(t), issuer+"/v1/token", with(form, changes...))
}

func TestRefreshRotation(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	issuer := s.Issuer("default")
	first := redeem(t, issuer, "openid offline_access orders.read")
	if len(first.RefreshToken) != 43 {
		t.Errorf("refresh token has %d characters", len(first.RefreshToken))
	}
	second := decodeTokens(t, refreshWith(t, issuer, seedClient, first.RefreshToken))
	if second.RefreshToken == first.RefreshToken || second.IDToken == "" || second.Scope != first.Scope {
		t.Fatalf("second %+v", second)
	}
	narrow := decodeTokens(t, refreshWith(t, issuer, seedClient, second.RefreshToken, "scope", "orders.read"))
	if narrow.Scope != "orders.read" || narrow.IDToken != "" {
		t.Errorf("narrowed to %q, ID token %t", narrow.Scope, narrow.IDToken != "")
	}
	s.Advance(29 * time.Second)
	late := decodeTokens(t, refreshWith(t, issuer, seedClient, first.RefreshToken)) // a retry within the leeway
	if late.RefreshToken == "" || !isActive(t, s, narrow.AccessToken) {
		t.Error("a retry within the leeway hurt the family")
	}

	s.Advance(5 * time.Second)
	refused := refreshWith(t, issuer, seedClient, first.RefreshToken)
	if refused.status != 400 || refused.body != oauthError("invalid_grant", "The refresh token is invalid or expired.") {
		t.Errorf("reuse: %d %s", refused.status, refused.body)
	}
	for name, token := range map[string]string{
		"first access": first.AccessToken, "last access": late.AccessToken, "last refresh": late.RefreshToken, "narrow refresh": narrow.RefreshToken,
	} {
		if isActive(t, s, token) {
			t.Errorf("%s token survived the reuse of a rotated one", name)
		}
	}
}

func TestRefreshStatic(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	issuer := s.Issuer("default")
	code := login(t, issuer, with(authorizeParams(), "client_id", "0oaStatic", "scope", "openid offline_access"))
	first := decodeTokens(t, post(t, browser(t), issuer+"/v1/token", with(codeForm(code), "client_id", "0oaStatic")))
	for range 3 {
		s.Advance(6 * 24 * time.Hour) // each use renews the seven days
		if next := decodeTokens(t, refreshWith(t, issuer, "0oaStatic", first.RefreshToken)); next.RefreshToken != first.RefreshToken {
			t.Fatal("a static refresh token changed")
		}
	}
	s.Advance(7*24*time.Hour + time.Minute)
	if got := refreshWith(t, issuer, "0oaStatic", first.RefreshToken); got.status != 400 {
		t.Errorf("unused for a week: %d %s", got.status, got.body)
	}
}

// TestRefreshFamilyEnds holds that neither use nor rotation renews a sign-in.
func TestRefreshFamilyEnds(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	current := redeem(t, s.Issuer("default"), "openid offline_access").RefreshToken
	for range 14 {
		s.Advance(6 * 24 * time.Hour)
		current = decodeTokens(t, refreshWith(t, s.Issuer("default"), seedClient, current)).RefreshToken
	}
	s.Advance(6 * 24 * time.Hour) // day 90
	if got := refreshWith(t, s.Issuer("default"), seedClient, current); got.status != 400 {
		t.Errorf("after 90 days: %d %s", got.status, got.body)
	}
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	gateway := s.Client("gateway")
	ctx := t.Context()
	token, err := (&clientcredentials.Config{
		ClientID: gateway.ID, ClientSecret: gateway.Secret, TokenURL: s.Issuer("default") + "/v1/token", Scopes: []string{"orders.read"},
	}).Token(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if token.RefreshToken != "" || token.Extra("id_token") != nil {
		t.Error("a machine got a refresh or ID token")
	}
	if got := introspect(t, s, "default", token.AccessToken); strings.Contains(got.body, "uid") || strings.Contains(got.body, "username") {
		t.Errorf("machine token has a user: %s", got.body)
	}
}

func TestMintedTokenRefusals(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	if err := s.Deactivate("bob@example.com"); err != nil {
		t.Fatal(err)
	}
	for name, req := range map[string]oktatest.TokenRequest{
		"zero":             {},
		"which server":     {Client: "mobile", User: "alice@example.com", Scopes: []string{"openid"}},
		"unknown client":   {AuthorizationServer: "default", Client: "nobody", User: "alice@example.com", Scopes: []string{"openid"}},
		"unknown user":     {AuthorizationServer: "default", Client: "mobile", User: "carol", Scopes: []string{"openid"}},
		"inactive user":    {AuthorizationServer: "default", Client: "mobile", User: "bob@example.com", Scopes: []string{"openid"}},
		"no scope":         {AuthorizationServer: "default", Client: "mobile", User: "alice@example.com"},
		"foreign scope":    {AuthorizationServer: "ausOther", Client: "mobile", User: "alice@example.com", Scopes: []string{"orders.read"}},
		"machine of app":   {AuthorizationServer: "default", Client: "mobile", Scopes: []string{"orders.read"}},
		"user of machine":  {AuthorizationServer: "default", Client: "gateway", User: "alice@example.com", Scopes: []string{"orders.read"}},
		"machine openid":   {AuthorizationServer: "default", Client: "gateway", Scopes: []string{"openid"}},
		"offline, no tick": {AuthorizationServer: "default", Client: "0oaWeb", User: "alice@example.com", Scopes: []string{"offline_access"}},
	} {
		if token, err := s.Token(req); err == nil || token != "" {
			t.Errorf("%s: token minted, error %v", name, err)
		}
	}
}

func TestBrowserClients(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	target := s.Issuer("default") + "/v1/token"
	for _, test := range []struct {
		origin, want string
	}{{"http://127.0.0.1:8765", "http://127.0.0.1:8765"}, {"https://evil.example", ""}} {
		req := newRequest(t, http.MethodOptions, target, "")
		req.Header.Set("Origin", test.origin)
		req.Header.Set("Access-Control-Request-Method", "POST")
		got := do(t, browser(t), req)
		if got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Origin") != test.want ||
			!strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "DPoP") {
			t.Errorf("%s: %d, allowed origin %q", test.origin, got.status, got.header.Get("Access-Control-Allow-Origin"))
		}
	}
	if n := s.Calls(oktatest.Token); n != 0 {
		t.Errorf("preflights counted: %d", n)
	}
	req := newRequest(t, http.MethodPost, target, codeForm(login(t, s.Issuer("default"), authorizeParams())).Encode())
	req.Header.Set("Origin", "http://127.0.0.1:8765")
	got := do(t, browser(t), req)
	if decodeTokens(t, got); !slices.Equal(got.header.Values("Access-Control-Allow-Origin"), []string{"http://127.0.0.1:8765"}) ||
		got.header.Get("Access-Control-Expose-Headers") != "DPoP-Nonce" {
		t.Errorf("headers %v", got.header)
	}
}
