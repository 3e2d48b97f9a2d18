package oktatest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/durward/durward/policy/oktatest"
	"golang.org/x/oauth2"
)

func TestSeedVector(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte(seedVerifier))
	if got := base64.RawURLEncoding.EncodeToString(sum[:]); got != seedChallenge {
		t.Fatalf("challenge %s, the how-to has %s", got, seedChallenge)
	}
	s := oktatest.New(t)
	issuer := s.Issuer("default")

	// The how-to's URL, in its own order of parameters.
	page := get(t, browser(t), issuer+"/v1/authorize?client_id=0oaf2no1n6hPswFV10h7&response_type=code&scope=openid"+
		"&redirect_uri=https://www.getpostman.com/oauth2/callback&state=state-8600b31f-52d1-4dca-987c-386e3d8967e9"+
		"&code_challenge_method=S256&code_challenge=qjrzSW9gMiUgpUvqgEPE4_-8swvyCtfOVvg55o5S_es")
	if page.status != http.StatusOK || !strings.Contains(page.body, "not Okta") {
		t.Fatalf("authorize: status %d: %s", page.status, page.body)
	}
	done := signIn(t, browser(t), issuer, authorizeParams(), "alice@example.com", "anything")
	location := done.header.Get("Location")
	if !strings.HasPrefix(location, seedRedirect+"?code=") || !strings.HasSuffix(location, "&state="+seedState) {
		t.Fatalf("Location %q", location)
	}

	code := login(t, issuer, authorizeParams())
	wrong := post(t, browser(t), issuer+"/v1/token", with(codeForm(code), "code_verifier", strings.Repeat("a", 43)))
	if want := oauthError("invalid_grant", "PKCE verification failed."); wrong.status != 400 || wrong.body != want {
		t.Errorf("wrong verifier: %d %s", wrong.status, wrong.body)
	}
	got := decodeTokens(t, post(t, browser(t), issuer+"/v1/token", codeForm(code)))
	if got.TokenType != "Bearer" || got.ExpiresIn != 3600 || got.Scope != "openid" || got.RefreshToken != "" {
		t.Errorf("tokens %+v", got)
	}
	if !isActive(t, s, got.AccessToken) {
		t.Error("access token is not active")
	}
	again := post(t, browser(t), issuer+"/v1/token", codeForm(code))
	if want := oauthError("invalid_grant", "The authorization code is invalid or has expired."); again.status != 400 || again.body != want {
		t.Errorf("second use of the code: %d %s", again.status, again.body)
	}
}

// TestStandardClients drives the server with golang.org/x/oauth2 and go-oidc,
// which know nothing of it.
func TestStandardClients(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	ctx := t.Context()
	provider, err := oidc.NewProvider(ctx, s.Issuer("default"))
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: seedClient, Endpoint: provider.Endpoint(), RedirectURL: seedRedirect,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess, "orders.read"},
	}
	verifier := oauth2.GenerateVerifier()
	start, err := url.Parse(config.AuthCodeURL("state-1", oauth2.S256ChallengeOption(verifier), oidc.Nonce("nonce-1")))
	if err != nil {
		t.Fatal(err)
	}
	done := signIn(t, browser(t), s.Issuer("default"), start.Query(), "alice", "x")
	location, err := url.Parse(done.header.Get("Location"))
	if err != nil || location.Query().Get("state") != "state-1" {
		t.Fatalf("Location %q, %v", location, err)
	}
	token, err := config.Exchange(ctx, location.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}

	checkIDToken(t, s, provider, token, "nonce-1")
	profile, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil || profile.Subject != s.User("alice@example.com").ID || profile.Email != "alice@example.com" {
		t.Errorf("userinfo %+v, %v", profile, err)
	}
	fresh, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		t.Fatal(err)
	}
	if fresh.RefreshToken == token.RefreshToken || fresh.AccessToken == token.AccessToken {
		t.Error("refresh did not rotate")
	}
	checkIDToken(t, s, provider, fresh, "nonce-1")
}

func checkIDToken(t *testing.T, s *oktatest.Server, provider *oidc.Provider, token *oauth2.Token, nonce string) {
	t.Helper()
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: seedClient}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}
	if id.Nonce != nonce || id.Subject != s.User("alice@example.com").ID {
		t.Errorf("nonce %q, subject %q", id.Nonce, id.Subject)
	}
}

func TestExistingSession(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	authorize := s.Issuer("default") + "/v1/authorize?"
	c := browser(t)
	silent := authorize + with(authorizeParams(), "prompt", "none").Encode()

	first := get(t, c, silent)
	if got := errorOf(t, first); got != "login_required: The client specified not to prompt, but the user is not logged in." {
		t.Errorf("prompt=none without session: %s", got)
	}
	if done := signIn(t, c, s.Issuer("default"), authorizeParams(), "alice@example.com", "x"); done.status != http.StatusFound {
		t.Fatalf("sign-in: %d", done.status)
	}
	for name, test := range map[string]struct {
		params url.Values
		page   bool
	}{
		"prompt none":   {with(authorizeParams(), "prompt", "none"), false},
		"no prompt":     {authorizeParams(), false},
		"young enough":  {with(authorizeParams(), "max_age", "600"), false},
		"prompt login":  {with(authorizeParams(), "prompt", "login"), true},
		"login consent": {with(authorizeParams(), "prompt", "login consent"), true},
	} {
		got := get(t, c, authorize+test.params.Encode())
		if isPage := got.status == http.StatusOK; isPage != test.page {
			t.Errorf("%s: status %d, Location %q", name, got.status, got.header.Get("Location"))
		}
	}
	s.Advance(11 * 60e9)
	if got := get(t, c, authorize+with(authorizeParams(), "max_age", "600").Encode()); got.status != http.StatusOK {
		t.Errorf("session older than max_age: status %d", got.status)
	}
	if got := get(t, c, silent); got.status != http.StatusFound || strings.Contains(got.header.Get("Location"), "error") {
		t.Errorf("session of 11 minutes: %q", got.header.Get("Location"))
	}
	s.Advance(2 * 3600e9)
	if got := errorOf(t, get(t, c, silent)); !strings.HasPrefix(got, "login_required") {
		t.Errorf("session of two hours: %s", got)
	}
}

// errorOf returns the error and description that a redirect carries.
func errorOf(t *testing.T, a answer) string {
	t.Helper()
	location, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != http.StatusFound {
		t.Fatalf("status %d, Location %q, %v: %s", a.status, location, err, a.body)
	}
	q := location.Query()
	return q.Get("error") + ": " + q.Get("error_description")
}

func TestLogoutEndsTheSessionOnly(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t, func(c *oktatest.Config) {
		c.Clients[0].PostLogoutRedirectURIs = []string{"http://127.0.0.1:8765/bye"}
	})
	issuer := s.Issuer("default")
	c := browser(t)
	done := signIn(t, c, issuer, authorizeParams(), "alice@example.com", "x")
	location, err := url.Parse(done.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	got := decodeTokens(t, post(t, c, issuer+"/v1/token", codeForm(location.Query().Get("code"))))

	bad := get(t, c, issuer+"/v1/logout?"+url.Values{"id_token_hint": {got.IDToken}, "post_logout_redirect_uri": {"http://evil.example/"}}.Encode())
	if bad.status != 400 || !strings.Contains(bad.body, "must be a Logout redirect URI in the client app settings.") || bad.header.Get("Location") != "" {
		t.Errorf("unregistered logout redirect: %d %q", bad.status, bad.header.Get("Location"))
	}
	if noHint := get(t, c, issuer+"/v1/logout"); noHint.status != 400 {
		t.Errorf("logout without hint: %d", noHint.status)
	}
	bye := get(t, c, issuer+"/v1/logout?"+url.Values{
		"id_token_hint": {got.IDToken}, "post_logout_redirect_uri": {"http://127.0.0.1:8765/bye"}, "state": {"s1"},
	}.Encode())
	if bye.status != http.StatusFound || bye.header.Get("Location") != "http://127.0.0.1:8765/bye?state=s1" {
		t.Errorf("logout: %d %q", bye.status, bye.header.Get("Location"))
	}
	plain := get(t, c, issuer+"/v1/logout?"+url.Values{"id_token_hint": {got.IDToken}, "post_logout_redirect_uri": {"http://127.0.0.1:8765/bye"}}.Encode())
	if plain.header.Get("Location") != "http://127.0.0.1:8765/bye" {
		t.Errorf("logout without state: %q", plain.header.Get("Location"))
	}
	if page := get(t, c, issuer+"/v1/authorize?"+authorizeParams().Encode()); page.status != http.StatusOK {
		t.Error("the session outlived the logout")
	}
	if !isActive(t, s, got.AccessToken) {
		t.Error("logout revoked the access token; at Okta it does not")
	}
}
