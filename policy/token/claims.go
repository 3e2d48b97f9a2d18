package token

import (
	"slices"
	"time"
)

// Claims is what we believe about a token after verification: Okta said so, and the
// token is for us and in force. It says who calls, not what they may do.
// The zero Claims is expired.
type Claims struct {
	// Issuer is the `iss` claim, one of the server's configured issuers.
	Issuer string
	// Subject is the `sub` claim: a user's login, or a machine's client id.
	Subject string
	// UserID is Okta's `uid` claim; empty where no person is behind the token.
	UserID string
	// ClientID is the `client_id` (`cid`) claim; never empty after verification.
	ClientID string
	// Audience is the `aud` claim as a list.
	Audience []string
	// Scopes are the granted scopes, in the server's order.
	Scopes []string
	// Groups is the `groups` claim, where the server sends one.
	Groups []string
	// TokenID is the `jti` claim.
	TokenID string
	// Bound says that the token carries `cnf`: it is good only with a proof of a key.
	Bound bool
	// ExpiresAt is the `exp` claim: the token is dead from this instant on.
	ExpiresAt time.Time
	// NotBefore is the `nbf` claim, or zero.
	NotBefore time.Time
	// IssuedAt is the `iat` claim, or zero.
	IssuedAt time.Time
}

// HasScope reports whether the token was granted the scope, compared byte by byte.
func (c Claims) HasScope(scope string) bool { return slices.Contains(c.Scopes, scope) }

// ExpiredAt reports whether the token is dead at now. There is no leeway.
func (c Claims) ExpiredAt(now time.Time) bool { return !now.Before(c.ExpiresAt) }
