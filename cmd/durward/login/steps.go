package login

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/durward/durward/policy/token/dpop"
)

// The steps are those of a person who does the flow by hand. What lets somebody in is
// masked: secret, code and tokens. The verifier is shown, because without the code it is
// worth nothing, and with it anybody can compute the challenge.

func (a *attempt) explainf(format string, args ...any) {
	if a.Steps {
		a.printf(format, args...)
	}
}

// mask shows that a value is there, and when two are the same.
func mask(value string) string {
	sum := sha256.Sum256([]byte(value))
	return fmt.Sprintf("<%d characters, sha256 %s…>", len(value), hex.EncodeToString(sum[:4]))
}

func (a *attempt) explainRequest() {
	if !a.Steps {
		return
	}
	a.printf(`1. Code verifier: random, new for each login; it stays in this program until step 5.
     code_verifier = %s
2. Code challenge: its SHA-256 as base64url. Okta keeps it, and can later tell who began this login.
     code_challenge = %s
3. Authorization request: the browser takes it to Okta.
     GET %s
`, a.verifier, oauth2.S256ChallengeFromVerifier(a.verifier), a.client.Endpoint.AuthURL)
	u, err := url.Parse(a.url)
	if err != nil {
		return
	}
	for _, p := range []struct{ name, why string }{
		{"client_id", "which application asks"},
		{"response_type", "an authorization code, please"},
		{"scope", "openid for an ID token, offline_access for a refresh token, the rest for the APIs"},
		{"redirect_uri", "where this program listens; registered at Okta to the letter"},
		{"state", "comes back unchanged: an answer without it is not to this login"},
		{"nonce", "comes back inside the ID token: it is of this login"},
		{"code_challenge", "from step 2"},
		{"code_challenge_method", "how it was made"},
		{"acr_values", "how the person must sign in: one of these (step-up, RFC 9470)"},
		{"max_age", "how many seconds ago that may have been"},
	} {
		if value := u.Query().Get(p.name); value != "" {
			a.printf("       %-21s = %s\n       %-21s   (%s)\n", p.name, value, "", p.why)
		}
	}
	a.printf("   In the browser: Okta's sign-in page, or nothing to do where a session exists.\n")
}

func (a *attempt) explainCode(code string) {
	a.explainf(`4. Callback: Okta sent the browser back with a code, good once and for a short time. The state is ours.
     GET %s?code=%s&state=%s
5. Token request: the code and the verifier for tokens. Who has only the code gets nothing.
     POST %s
       grant_type    = authorization_code
       redirect_uri  = %s
       code          = %s
       code_verifier = %s
`, a.client.RedirectURL, mask(code), a.state, a.client.Endpoint.TokenURL, a.client.RedirectURL, mask(code), a.verifier)
	a.explainProof()
	if a.client.ClientSecret == "" {
		a.explainf("       client_id     = %s\n   No authorization header: a native app has no secret, PKCE takes its place.\n", a.client.ClientID)
		return
	}
	a.explainf("     Authorization: Basic <client id and secret, hidden>\n   Client authentication (client_secret_basic) comes on top of PKCE.\n")
}

// explainProof shows the key's public side alone.
func (a *attempt) explainProof() {
	if a.key == nil {
		return
	}
	thumbprint, err := dpop.Thumbprint(a.key)
	if err != nil {
		return
	}
	a.explainf(`     DPoP: <a proof that this program has the key that it made for this login>
       jkt           = %s
   Okta binds the tokens to the key by this thumbprint (cnf.jkt). It may ask for its nonce in the proof first.
`, thumbprint)
}

func (a *attempt) explainReply(reply *oauth2.Token, id *oidc.IDToken) {
	if !a.Steps {
		return
	}
	raw, _ := reply.Extra("id_token").(string)
	scope, _ := reply.Extra("scope").(string)
	a.printf(`6. Tokens: the access token goes to the APIs, the ID token stays here, the refresh token gets the next access token.
     token_type    = %s
     expires_in    = %v
     scope         = %s
     access_token  = %s
     id_token      = %s
`, printable(reply.TokenType), time.Until(reply.Expiry).Round(time.Second), printable(scope), mask(reply.AccessToken), mask(raw))
	if reply.RefreshToken != "" {
		a.printf("     refresh_token = %s\n", mask(reply.RefreshToken))
	}
	a.printf(`7. ID token: signature good by a key of Okta's, and these claims are as they must be.
     iss   = %s
     aud   = %s
     sub   = %s
     nonce = %s
     exp   = %s
8. Call an API with the access token:
     durward call %s GET /…
`, id.Issuer, a.client.ClientID, printable(id.Subject), id.Nonce, id.Expiry.UTC().Format(time.RFC3339), a.Target.Application.Name)
}
