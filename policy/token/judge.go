package token

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// accessTokenID begins the `jti` of every Okta access token. ID and refresh tokens
// introspect as active too, and nothing but claims tells them apart.
const accessTokenID = "AT."

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

// agree compares what a JWT says of itself with what the server says of it, where both
// say something. A difference is the answer to another question: an outage.
func agree(said, answer Claims) error {
	if said.ExpiresAt.IsZero() {
		return nil // opaque
	}
	for _, c := range []struct{ name, said, answer string }{
		{"iss", said.Issuer, answer.Issuer},
		{"sub", said.Subject, answer.Subject},
		{"client_id", said.ClientID, answer.ClientID},
		{"jti", said.TokenID, answer.TokenID},
	} {
		if c.said != "" && c.answer != "" && c.said != c.answer {
			return Unavailablef("the server's answer is about another token: %s differs", c.name)
		}
	}
	if said.Bound && answer.Bound && said.KeyThumbprint != answer.KeyThumbprint {
		return Unavailablef("the server's answer is about another token: cnf differs")
	}
	if !answer.ExpiresAt.IsZero() && !answer.ExpiresAt.Equal(said.ExpiresAt) {
		return Unavailablef("the server's answer is about another token: exp differs")
	}
	return nil
}

// complete adds to an active answer what the JWT says and the server left out. That the
// text is the server's own needs no signature here: it called this very text active.
func complete(answer, said Claims) Claims {
	if !answer.Bound {
		answer.Bound, answer.KeyThumbprint = said.Bound, said.KeyThumbprint
	}
	answer.ACR = cmp.Or(answer.ACR, said.ACR)
	if answer.AuthTime.IsZero() {
		answer.AuthTime = said.AuthTime
	}
	if answer.Groups == nil {
		answer.Groups = said.Groups
	}
	answer.Other = answer.Other.or(said.Other)
	return answer
}

// isVerdict reports an error that is about the token. Any other is an outage, and says
// nothing about it.
func isVerdict(err error) bool {
	var known *Error
	if !errors.As(err, &known) {
		return false
	}
	switch known.Failure {
	case Malformed, NotYetValid, IssuerMismatch, AudienceMismatch, WrongType, Expired, Inactive, SignatureInvalid:
		return true
	default:
		return false
	}
}

// asError keeps the promise that every error is a *Error without the token: what is not
// one is an outage, never a verdict about the token, and an answer may repeat it.
func asError(err error, t Token) *Error {
	var known *Error
	if !errors.As(err, &known) {
		known = &Error{Failure: Unavailable, Cause: err}
	}
	if strings.Contains(known.Error(), t.Reveal()) {
		return &Error{Failure: known.Failure, RetryAfter: known.RetryAfter, Cause: errors.New("the answer repeats the token")}
	}
	return known
}
