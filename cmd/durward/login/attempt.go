package login

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// attempt is one authorization request and what belongs to it.
type attempt struct {
	Options
	provider *provider
	client   *oauth2.Config
	// verifier stays here until the code is redeemed.
	verifier     string
	state, nonce string
	url          string
	// key is what the tokens will be bound to, if they are to be bound.
	key   *ecdsa.PrivateKey
	began time.Time
}

func newAttempt(o Options, p *provider, secret, redirect string) (*attempt, error) {
	a := &attempt{
		Options: o, provider: p, client: p.config(o.Target.ClientID, secret, redirect, o.scopes()),
		// Okta takes letters, digits, comma, dot, underscore and dash alone in a state.
		verifier: oauth2.GenerateVerifier(), state: rand.Text(), nonce: rand.Text(), began: time.Now(),
	}
	if o.DPoP {
		var err error
		if a.key, err = newKey(); err != nil {
			return nil, err
		}
	}
	a.url = a.client.AuthCodeURL(a.state,
		append(o.stepUpOptions(), oidc.Nonce(a.nonce), oauth2.S256ChallengeOption(a.verifier))...)
	return a, nil
}

// finish turns the browser's answer into a stored session.
func (a *attempt) finish(ctx context.Context, back answer) (Session, error) {
	if back.refusal != nil {
		return Session{}, newOAuthError(back.refusal.Get("error"), back.refusal.Get("error_description"), a.Options)
	}
	a.explainCode(back.code)
	reply, err := a.client.Exchange(a.provider.context(ctx, a.key), back.code, oauth2.VerifierOption(a.verifier))
	if err != nil {
		return Session{}, fmt.Errorf("exchange the code: %w", tokenError(err, a.Options, back.code, a.verifier, a.client.ClientSecret))
	}
	one := Session{
		Application: fullName(a.Target.Application), Issuer: a.provider.issuer, ClientID: a.client.ClientID,
		Scopes: a.scopes(), key: a.key,
	}
	if err := one.take(reply); err != nil {
		return Session{}, err
	}
	if a.SecretFile != "" {
		if one.secretFile, err = filepath.Abs(a.SecretFile); err != nil {
			return Session{}, err
		}
	}
	id, err := a.verify(ctx, reply)
	if err != nil {
		return Session{}, fmt.Errorf("okta's ID token: %w", err)
	}
	if err := a.checkStepUp(id); err != nil {
		return Session{}, fmt.Errorf("okta's ID token: %w", err)
	}
	one.User = a.user(id, reply.AccessToken)
	a.explainReply(reply, id)
	return one, a.Store.save(ctx, one)
}

// verify checks the ID token (OpenID Connect Core section 3.1.3.7): RS256 signature,
// issuer, audience, expiry, nonce, and that it came with this access token.
func (a *attempt) verify(ctx context.Context, reply *oauth2.Token) (*oidc.IDToken, error) {
	raw, _ := reply.Extra("id_token").(string)
	if raw == "" {
		return nil, errors.New("there is none, though openid was asked")
	}
	keys := &keySet{KeySet: oidc.NewRemoteKeySet(oidc.ClientContext(ctx, a.provider.http), a.provider.keys)}
	id, err := oidc.NewVerifier(a.provider.issuer, keys, &oidc.Config{ClientID: a.client.ClientID}).Verify(ctx, raw)
	switch {
	case errors.Is(keys.err, ErrUnreachable):
		return nil, keys.err
	case err != nil:
		return nil, tame(err, raw, reply.AccessToken, reply.RefreshToken)
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.nonce)) != 1:
		return nil, errors.New("its nonce is not the one of this login")
	case id.AccessTokenHash == "":
		return nil, errors.New("it has no at_hash")
	}
	if err := id.VerifyAccessToken(reply.AccessToken); err != nil {
		return nil, errors.New("its at_hash is not that of the access token")
	}
	return id, nil
}

// user names the person for people: by the ID token's claims if it has a name, else by
// the subject of the access token, which at_hash ties to the ID token.
func (a *attempt) user(id *oidc.IDToken, access string) string {
	var named struct {
		Username string `json:"preferred_username"`
		Email    string `json:"email"`
	}
	var bearer struct {
		Subject string `json:"sub"`
	}
	_ = id.Claims(&named) // without a name the subject will do
	if parts := strings.Split(access, "."); len(parts) == 3 {
		if claims, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(claims, &bearer) // another format of Okta's
		}
	}
	for _, name := range []string{named.Username, named.Email, bearer.Subject, id.Subject} {
		if name = printable(name); name != "" {
			return name
		}
	}
	return "somebody"
}
