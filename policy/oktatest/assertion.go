package oktatest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 §2.2

	maxAssertionLife = time.Hour
	minHMACSecret    = 32
)

// The algorithms of client_secret_jwt, and of private_key_jwt and DPoP proofs.
var (
	secretAlgorithms = []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512}
	keyAlgorithms    = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}
)

func (c Client) checkAuthentication() error {
	switch {
	case c.Secret != "" && len(c.Keys) > 0:
		return errors.New("a client has a secret or keys, not both")
	case c.SecretJWT && c.Secret == "":
		return errors.New("client_secret_jwt needs a secret")
	}
	for kid, key := range c.Keys {
		switch key.(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey:
		default:
			return fmt.Errorf("key %q is a %T, not an RSA or ECDSA public key", kid, key)
		}
	}
	return nil
}

// checkAssertion authenticates a client by JWT (RFC 7523 §3) as Okta does: the
// audience is the URL that is called and nothing else, it lives an hour at most, and
// with a jti it is good for one call. The order of the checks is ours.
func (s *Server) checkAssertion(form url.Values, called string) (*application, *problem) {
	switch {
	case form.Get("client_assertion_type") != jwtBearer:
		return nil, errAssertionType
	case !slices.ContainsFunc(s.clients, func(app *application) bool { return app.asserts() }):
		return nil, errClientAuth // as for an app whose method is another one
	}
	token, err := jwt.ParseSigned(form.Get("client_assertion"), slices.Concat(secretAlgorithms, keyAlgorithms))
	var claims jwt.Claims
	var algorithm *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &algorithm):
		return nil, errAssertionAlgorithm
	case err != nil || token.UnsafeClaimsWithoutVerification(&claims) != nil:
		return nil, errAssertionMalformed
	}
	app := s.clientByID(claims.Issuer)
	switch {
	case claims.Issuer == "" || app == nil || s.isInactive(app):
		return nil, errAssertionIssuer
	case claims.Subject != claims.Issuer:
		return nil, errAssertionSubject
	case form.Has("client_id") && form.Get("client_id") != app.ID, !app.asserts():
		return nil, errClientAuth
	}
	key, problem := app.assertionKey(token.Headers[0])
	if problem != nil {
		return nil, problem
	}
	if token.Claims(key, &claims) != nil {
		return nil, errAssertionSignature
	}
	if problem := claimsProblem(claims, called, s.now()); problem != nil {
		return nil, problem
	}
	// Without a jti an assertion may come again until it expires.
	if claims.ID != "" && !s.spend("assertion", app.ID, claims.ID) {
		return nil, errAssertionUsed
	}
	return app, nil
}

// assertionKey finds the key that an assertion must be signed with.
func (app *application) assertionKey(header jose.Header) (any, *problem) {
	algorithm := jose.SignatureAlgorithm(header.Algorithm)
	if slices.Contains(secretAlgorithms, algorithm) {
		switch {
		case app.Secret == "":
			return nil, errAssertionNoSecret
		case len(app.Secret) < minHMACSecret:
			return nil, errAssertionSecret
		}
		return []byte(app.Secret), nil
	}
	if len(app.Keys) == 0 {
		return nil, errAssertionNoKeys
	}
	key := app.Keys[header.KeyID]
	if header.KeyID == "" && len(app.Keys) == 1 { // only where there is a choice must it be made
		for _, only := range app.Keys {
			key = only
		}
	}
	if key == nil {
		return nil, errAssertionKeyID
	}
	if !signs(key, algorithm) {
		return nil, errAssertionAlgorithm
	}
	return key, nil
}

func signs(key crypto.PublicKey, algorithm jose.SignatureAlgorithm) bool {
	_, isRSA := key.(*rsa.PublicKey)
	return isRSA == (algorithm == jose.RS256 || algorithm == jose.RS384 || algorithm == jose.RS512)
}

func claimsProblem(claims jwt.Claims, called string, now time.Time) *problem {
	switch {
	case len(claims.Audience) != 1 || claims.Audience[0] != called:
		return errAssertionAudience
	case claims.Expiry == nil:
		return errAssertionNoExpiry
	case !now.Before(claims.Expiry.Time()):
		return errAssertionExpired
	case claims.Expiry.Time().Sub(now) > maxAssertionLife:
		return errAssertionLife
	case claims.IssuedAt != nil && claims.IssuedAt.Time().After(now):
		return errAssertionIssued
	}
	return nil
}

// spend reports whether a jti is new among those of its owner, and remembers it.
func (s *Server) spend(kind, owner, jti string) bool {
	key := fingerprint(fmt.Sprintf("%q %q %q", kind, owner, jti)) // quoted, so that no two are one
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spent.get(key) {
		return false
	}
	s.spent.put(key, true)
	return true
}
