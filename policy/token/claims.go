package token

import (
	"slices"
	"strings"
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
	// KeyThumbprint is `cnf.jkt` (RFC 9449 section 6.1), the SHA-256 thumbprint of a
	// JWK. It is empty where a bound token is bound to something else, or to more.
	KeyThumbprint string
	// ACR is the `acr` claim, the authentication context class that the sign-in
	// reached, where the server sends one.
	ACR string
	// AuthTime is the `auth_time` claim, when the user signed in, or zero.
	AuthTime time.Time
	// Other are the claims that have no field here.
	Other *Other
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

// ParseClaims reads the claims of an access token or of an introspection answer, which
// name two of them differently (`scp` and `scope`, `cid` and `client_id`). Absent
// claims stay zero. A claim of the wrong type is a plain error: the server broke its
// contract. Two names that disagree are a *Error with Malformed.
func ParseClaims(o Object) (Claims, error) {
	p := claimsParser{object: o}
	c := Claims{
		Issuer:    p.text("iss"),
		Subject:   p.text("sub"),
		UserID:    p.text("uid"),
		TokenID:   p.text("jti"),
		Audience:  p.list("aud"),
		Groups:    p.list("groups"),
		ExpiresAt: p.time("exp"),
		NotBefore: p.time("nbf"),
		IssuedAt:  p.time("iat"),
		ClientID:  p.clientID(),
		Scopes:    p.scopes(),
		ACR:       p.text("acr"),
		AuthTime:  p.time("auth_time"),
	}
	c.Bound, c.KeyThumbprint = p.confirmation()
	c.Other = newOther(o, c.Subject)
	if p.err != nil {
		return Claims{}, p.err
	}
	return c, nil
}

// claimsParser keeps the first error.
type claimsParser struct {
	object Object
	err    error
}

func (p *claimsParser) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *claimsParser) text(name string) string {
	s, err := p.object.Text(name)
	p.keep(err)
	return s
}

func (p *claimsParser) list(name string) []string {
	l, err := p.object.List(name)
	p.keep(err)
	return l
}

func (p *claimsParser) time(name string) time.Time {
	t, err := p.object.Time(name)
	p.keep(err)
	return t
}

func (p *claimsParser) clientID() string {
	long, short := p.text("client_id"), p.text("cid")
	_, hasLong := p.object["client_id"]
	if !hasLong {
		return short
	}
	if _, hasShort := p.object["cid"]; hasShort && long != short {
		p.keep(refuse(Malformed, "client_id and cid differ"))
	}
	return long
}

// confirmation reads `cnf` (RFC 7800). A member that is not understood binds the token
// to what nobody here can check.
func (p *claimsParser) confirmation() (bound bool, thumbprint string) {
	text, bound := p.object["cnf"]
	if !bound {
		return false, ""
	}
	cnf, err := ParseObject(text)
	if err != nil || len(cnf) != 1 {
		return true, ""
	}
	thumbprint, err = cnf.Text("jkt")
	p.keep(err)
	return true, thumbprint
}

// scopes splits `scope` on blanks alone (RFC 6749 section 3.3); `scp` is a list whose
// items are never split.
func (p *claimsParser) scopes() []string {
	scope := strings.FieldsFunc(p.text("scope"), func(r rune) bool { return r == ' ' })
	_, hasScope := p.object["scope"]
	scp := p.list("scp")
	if !hasScope {
		return scp
	}
	if _, hasScp := p.object["scp"]; hasScp && !sameSet(scope, scp) {
		p.keep(refuse(Malformed, "scope and scp differ"))
	}
	return scope
}

func sameSet(a, b []string) bool { return slices.Equal(distinct(a), distinct(b)) }

func distinct(list []string) []string {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
