package login

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/durward/durward/policy/token"
)

// renewBefore is how long before its expiry an access token is exchanged for a new one.
const renewBefore = 30 * time.Second

// Session is what a login left: one person's tokens for one client of one server.
type Session struct {
	// Application is organization/application, as it was called at the login.
	Application      string
	Issuer, ClientID string
	// User is the login name, or else Okta's user id.
	User string
	// Scopes are the granted ones.
	Scopes []string
	// Expiry is the access token's.
	Expiry time.Time

	access, refresh token.Token
	// key is what the tokens are bound to; nil for bearer tokens.
	key *ecdsa.PrivateKey
	// secretFile holds the client secret; empty for a public client.
	secretFile string
}

// Bound reports whether the tokens are bound to a key (RFC 9449).
func (s Session) Bound() bool { return s.key != nil }

// Authorize gives a request the access token (RFC 6750 section 2.1), and a proof for this
// one request where the token is bound (RFC 9449 section 7.1): its method and URL are the
// final ones, and it is sent once.
func (s Session) Authorize(req *http.Request) error {
	req.Header.Set("Authorization", s.tokenType()+" "+s.access.Reveal())
	if s.key == nil {
		return nil
	}
	return prove(req, s.key, s.access, "")
}

func (s Session) tokenType() string {
	if s.key != nil {
		return "DPoP"
	}
	return "Bearer"
}

// fresh reports whether the access token lives long enough to be used.
func (s Session) fresh() bool { return time.Until(s.Expiry) > renewBefore }

// covers reports whether all these scopes were granted.
func (s Session) covers(scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(s.Scopes, scope) })
}

// take reads a reply of the token endpoint. A reply without refresh token or scope
// leaves those as they are (RFC 6749 sections 5.1 and 6).
func (s *Session) take(reply *oauth2.Token) error {
	if err := s.checkType(reply.Type()); err != nil {
		return err
	}
	if reply.Expiry.IsZero() {
		return errors.New("okta does not say when the access token expires")
	}
	access, err := token.Parse(reply.AccessToken)
	if err != nil {
		return fmt.Errorf("okta's access token: %w", err)
	}
	s.access, s.Expiry = access, reply.Expiry
	if reply.RefreshToken != "" {
		if s.refresh, err = token.Parse(reply.RefreshToken); err != nil {
			return fmt.Errorf("okta's refresh token: %w", err)
		}
	}
	if granted, _ := reply.Extra("scope").(string); granted != "" {
		s.Scopes = slices.Sorted(slices.Values(strings.Fields(granted)))
	}
	return nil
}

// checkType holds that the token is bound if and only if there is a key.
func (s *Session) checkType(given string) error {
	switch {
	case strings.EqualFold(given, s.tokenType()):
		return nil
	case s.key == nil && strings.EqualFold(given, "DPoP"):
		return errors.New("okta gave a token bound to a key, though none was named\n  fix: sign in with --dpop")
	case s.key != nil && strings.EqualFold(given, "Bearer"):
		return errors.New("okta gave a bearer token, though a key was named\n  fix: in Okta, in the application's general settings, " +
			"require DPoP headers in token requests; or sign in without --dpop")
	}
	return fmt.Errorf("okta gave a token of type %q, not %s", printable(given), s.tokenType())
}

// signedOut is an ErrSignedOut that says what to type.
func (s Session) signedOut(why string) error {
	again := "durward login " + s.Application
	if s.Bound() {
		again += " --dpop"
	}
	return fmt.Errorf("%w to %s: %s\n  fix: %s", ErrSignedOut, s.Application, why, again)
}

// renew spends the refresh token. The caller holds the store's lock and stores the
// result before it is used: Okta may have replaced the refresh token.
func (s *Session) renew(ctx context.Context) error {
	if s.refresh.Reveal() == "" {
		return s.signedOut("the access token has expired, and there is no refresh token")
	}
	secret, err := readSecret(s.secretFile)
	if err != nil {
		return err
	}
	p, err := discover(ctx, s.Issuer)
	if err != nil {
		return err
	}
	old := &oauth2.Token{RefreshToken: s.refresh.Reveal()}
	reply, err := p.config(s.ClientID, secret, "", nil).TokenSource(p.context(ctx, s.key), old).Token()
	if err != nil {
		err = tokenError(err, Options{SecretFile: s.secretFile, DPoP: s.Bound()}, s.refresh.Reveal(), secret)
		var refusal *OAuthError
		if errors.As(err, &refusal) && refusal.Code == "invalid_grant" {
			return s.signedOut("okta refuses the refresh token: " + refusal.Description)
		}
		return fmt.Errorf("refresh the token of %s: %w", s.Application, err)
	}
	return s.take(reply)
}
