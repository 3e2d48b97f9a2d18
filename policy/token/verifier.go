package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultLeeway is the clock skew allowed for `nbf` and `iat`. `exp` has none.
const DefaultLeeway = 30 * time.Second

// maxLeeway is far more than clocks differ; a greater one is a mistake.
const maxLeeway = 5 * time.Minute

// accessTokenID begins the `jti` of every Okta access token. ID and refresh tokens
// introspect as active too, and nothing but claims tells them apart.
const accessTokenID = "AT."

// Introspection is a server's parsed answer about one token (RFC 7662 section 2.2).
// The zero value is an inactive token.
type Introspection struct {
	Active bool
	Claims Claims
	// Took is how long the server needed.
	Took time.Duration
}

// Introspector asks an authorization server about a token. Its errors are *Error with
// Unavailable or RateLimited where the server gave no usable answer, and with
// Malformed where the answer contradicts itself.
type Introspector interface {
	Introspect(ctx context.Context, t Token) (Introspection, error)
}

// Config says which tokens of one authorization server are for us.
type Config struct {
	// Issuers lists the exact `iss` values of the server; at least one.
	Issuers []string
	// Audience must be among a token's `aud`; never empty.
	Audience string
	// Leeway is for `nbf` and `iat`, at most 5 minutes; zero means none.
	Leeway time.Duration
}

// Fact is what was learned about a token, and when.
type Fact struct {
	Claims Claims
	// Mode names how it was learned: "introspection".
	Mode string
	// AskedAt is when the question that taught it was sent.
	AskedAt time.Time
	// Took is how long the server needed for this check; zero if it was not asked.
	Took time.Duration
}

// Verifier believes or refuses tokens of one authorization server. It is safe for
// concurrent use and outlives configurations in which its server did not change.
type Verifier struct {
	config Config
	server Introspector
	now    func() time.Time
}

// NewVerifier refuses a Config without issuer or audience, a leeway out of bounds, and a
// missing server or clock.
func NewVerifier(c Config, server Introspector, now func() time.Time) (*Verifier, error) {
	switch {
	case len(c.Issuers) == 0 || slices.Contains(c.Issuers, ""):
		return nil, errors.New("token: verifier without issuer")
	case c.Audience == "":
		return nil, errors.New("token: verifier without audience")
	case c.Leeway < 0 || c.Leeway > maxLeeway:
		return nil, fmt.Errorf("token: leeway %s is not between 0 and %s", c.Leeway, maxLeeway)
	case server == nil || now == nil:
		return nil, errors.New("token: verifier without server or clock")
	}
	return &Verifier{config: c, server: server, now: now}, nil
}

// Verify asks the server about t. maxAge is how old a fact may be; every call asks, so
// any maxAge is met. The Fact holds claims that were in force when Verify returned; it
// is zero whenever the error, always a *Error, is not nil.
func (v *Verifier) Verify(ctx context.Context, t Token, _ time.Duration) (Fact, error) {
	if v == nil || t == (Token{}) {
		return Fact{}, &Error{Failure: Malformed, Cause: errors.New("no token")}
	}
	asked := v.now()
	answer, err := v.server.Introspect(ctx, t)
	if err == nil && !answer.Active {
		err = &Error{Failure: Inactive}
	}
	if err == nil {
		err = v.believe(answer.Claims)
	}
	if err != nil {
		return Fact{}, asError(err, t)
	}
	return Fact{Claims: answer.Claims, Mode: "introspection", AskedAt: asked, Took: answer.Took}, nil
}

// believe compares an active token's claims with what this verifier stands for.
func (v *Verifier) believe(c Claims) error {
	now := v.now()
	switch {
	case c.ExpiresAt.IsZero():
		return refuse(WrongType, "no exp")
	case c.ExpiredAt(now):
		return refuse(Expired, "exp %s", c.ExpiresAt.UTC().Format(time.RFC3339))
	case !slices.Contains(v.config.Issuers, c.Issuer):
		return refuse(IssuerMismatch, "iss %q", c.Issuer)
	case c.ClientID == "":
		return refuse(WrongType, "no client_id")
	case !strings.HasPrefix(c.TokenID, accessTokenID):
		return refuse(WrongType, "jti does not begin with %q", accessTokenID)
	case slices.Contains(c.Audience, c.ClientID):
		return refuse(WrongType, "aud is the client")
	case !slices.Contains(c.Audience, v.config.Audience):
		return refuse(AudienceMismatch, "aud %q", c.Audience)
	case c.NotBefore.After(now.Add(v.config.Leeway)):
		return refuse(NotYetValid, "nbf %s", c.NotBefore.UTC().Format(time.RFC3339))
	case c.IssuedAt.After(now.Add(v.config.Leeway)):
		return refuse(NotYetValid, "iat %s", c.IssuedAt.UTC().Format(time.RFC3339))
	}
	return nil
}

func refuse(f Failure, format string, args ...any) error {
	return &Error{Failure: f, Cause: fmt.Errorf(format, args...)}
}

// asError keeps the promise that every error is a *Error without the token: what is not
// one is an outage, never a verdict about the token, and an answer may repeat it.
func asError(err error, t Token) error {
	var known *Error
	if !errors.As(err, &known) {
		known = &Error{Failure: Unavailable, Cause: err}
	}
	if strings.Contains(known.Error(), t.Reveal()) {
		return &Error{Failure: known.Failure, RetryAfter: known.RetryAfter, Cause: errors.New("the answer repeats the token")}
	}
	return known
}
