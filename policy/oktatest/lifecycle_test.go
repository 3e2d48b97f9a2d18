package oktatest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/durward/durward/policy/oktatest"
)

// TestSuspend holds that a suspended user's tokens sleep, and that nobody signs in
// or refreshes meanwhile.
func TestSuspend(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	issuer, c := s.Issuer("default"), browser(t)
	first := signIn(t, c, issuer, authorizeParams(), "alice@example.com", "x") // leaves a session
	got := redeem(t, issuer, "openid offline_access")
	revoked := accessToken(t, s, "openid")
	code := login(t, issuer, authorizeParams())
	check(t, s.Suspend("alice@example.com"))
	check(t, s.Revoke(revoked))
	for name, token := range map[string]string{"access": got.AccessToken, "refresh": got.RefreshToken, "id": got.IDToken} {
		if isActive(t, s, token) {
			t.Errorf("%s token of a suspended user is active", name)
		}
	}
	if a := refreshWith(t, issuer, seedClient, got.RefreshToken); a.body != oauthError("invalid_grant", "The refresh token is invalid or expired.") {
		t.Errorf("refresh: %d %s", a.status, a.body)
	}
	if a := post(t, browser(t), issuer+"/v1/token", codeForm(code)); a.body != oauthError("invalid_grant", "The authorization code is invalid or has expired.") {
		t.Errorf("code: %d %s", a.status, a.body)
	}
	if a := signIn(t, browser(t), issuer, authorizeParams(), "alice@example.com", "x"); a.status != 400 {
		t.Errorf("sign-in: %d", a.status)
	}
	if a := get(t, c, issuer+"/v1/authorize?"+authorizeParams().Encode()); first.status != 302 || a.status != 200 {
		t.Errorf("with a session: %d, then %d", first.status, a.status)
	}
	if _, err := s.Token(oktatest.TokenRequest{Client: "mobile", User: "alice@example.com", Scopes: []string{"openid"}}); err == nil {
		t.Error("minted a token")
	}
	check(t, s.Unsuspend(s.User("alice@example.com").ID))
	for token, want := range map[string]bool{got.AccessToken: true, got.RefreshToken: true, revoked: false} {
		if isActive(t, s, token) != want {
			t.Errorf("after Unsuspend: active %t", !want)
		}
	}
	decodeTokens(t, refreshWith(t, issuer, seedClient, got.RefreshToken))
	check(t, s.Deactivate("alice@example.com"))
	check(t, s.Unsuspend("alice@example.com"))
	if isActive(t, s, got.AccessToken) {
		t.Error("Unsuspend undid Deactivate")
	}
	if s.Suspend("mobile") == nil || s.Unsuspend("nobody") == nil {
		t.Error("suspended nobody")
	}
}

// TestUnassign holds that it ends what one user has at one application, for good.
func TestUnassign(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	issuer := s.Issuer("default")
	alice := redeem(t, issuer, "openid offline_access")
	code := login(t, issuer, authorizeParams())
	bob, err := s.Token(oktatest.TokenRequest{AuthorizationServer: "default", Client: "mobile", User: "bob@example.com", Scopes: []string{"openid"}})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := s.Token(oktatest.TokenRequest{AuthorizationServer: "default", Client: "0oaStatic", User: "alice@example.com", Scopes: []string{"openid"}})
	if err != nil {
		t.Fatal(err)
	}
	check(t, s.Unassign("alice@example.com", "mobile"))
	denied := signIn(t, browser(t), issuer, authorizeParams(), "alice@example.com", "x")
	location, err := url.Parse(denied.header.Get("Location"))
	if err != nil || location.Query().Get("error") != "access_denied" || location.Query().Get("error_description") != "User is not assigned to the client application." ||
		!strings.HasPrefix(location.String(), seedRedirect+"?") || location.Query().Get("state") != seedState || location.Query().Has("code") {
		t.Errorf("sign-in: %d %s", denied.status, location)
	}
	if _, err := s.Token(oktatest.TokenRequest{AuthorizationServer: "default", Client: "mobile", User: "alice@example.com", Scopes: []string{"openid"}}); err == nil {
		t.Error("minted a token")
	}
	states := func(when string) {
		for token, want := range map[string]bool{alice.AccessToken: false, alice.RefreshToken: false, bob: true, elsewhere: true} {
			if isActive(t, s, token) != want {
				t.Errorf("%s: active %t, want %t", when, !want, want)
			}
		}
		if a := post(t, http.DefaultClient, issuer+"/v1/token", codeForm(code)); a.status != 400 {
			t.Errorf("%s: code: %d", when, a.status)
		}
	}
	states("unassigned")
	check(t, s.Assign("alice@example.com", "mobile"))
	states("assigned again")
	if again := redeem(t, issuer, "openid"); !isActive(t, s, again.AccessToken) {
		t.Error("no new token after Assign")
	}
	if s.Unassign("nobody", "mobile") == nil || s.Assign("alice@example.com", "nothing") == nil {
		t.Error("unassigned nobody")
	}
}
