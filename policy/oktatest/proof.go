package oktatest

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	proofType = "dpop+jwt"
	maxProof  = 8 << 10
	proofAge  = 5 * time.Minute

	nonceRenewal  = 24 * time.Hour
	nonceLifetime = 3 * 24 * time.Hour // from when it was made
)

// subject is what a proof must be about.
type subject struct {
	method, url string
	// token is the access token that comes with it; empty at the token endpoint, where
	// the proof needs a nonce instead.
	token string
}

type proofClaims struct {
	jwt.Claims
	Method    string `json:"htm"`
	URL       string `json:"htu"`
	TokenHash string `json:"ath"`
	Nonce     string `json:"nonce"`
}

// checkProof checks the DPoP header of a request (RFC 9449 §4.3) and returns the
// thumbprint of its key. The first proof of Okta's documented flow has neither nonce nor
// jti, hence both come last; the order before them is ours. No header is errProofMissing.
func (s *Server) checkProof(r *http.Request, as *authServer, about subject) (thumbprint string, p *problem) {
	switch headers := r.Header.Values("DPoP"); {
	case len(headers) == 0:
		return "", errProofMissing
	case len(headers) > 1:
		return "", errProofMany
	}
	key, claims, p := parseProof(r.Header.Get("DPoP"))
	if p == nil {
		p = claims.problem(about, s.now())
	}
	if p == nil && about.token == "" && !s.takesNonce(as, claims.Nonce) {
		p = errProofNonce
	}
	if p != nil {
		return "", p
	}
	hash, err := key.Thumbprint(crypto.SHA256)
	switch {
	case err != nil:
		return "", errProofInvalid
	case claims.ID == "":
		return "", errProofID
	}
	thumbprint = base64.RawURLEncoding.EncodeToString(hash)
	if !s.spend("proof", thumbprint, claims.ID) {
		return "", errProofUsed
	}
	return thumbprint, nil
}

// checkHolder holds that a token of the userinfo endpoint came as it is bound: with a proof
// of its key, or as a bearer token (RFC 9449 §7.2).
func (s *Server) checkHolder(r *http.Request, as *authServer, scheme, token string, bound *confirmation) *problem {
	if strings.EqualFold(scheme, "Bearer") {
		if bound != nil {
			return errProofScheme
		}
		return nil
	}
	thumbprint, p := s.checkProof(r, as, subject{r.Method, s.endpoint(as, UserInfo), token})
	switch {
	case p != nil:
		return p
	case bound == nil || bound.Thumbprint != thumbprint:
		return errProofBinding
	}
	return nil
}

// parseProof verifies a proof by the key that it carries. Package jose refuses one that
// is not public.
func parseProof(text string) (*jose.JSONWebKey, proofClaims, *problem) {
	var claims proofClaims
	if len(text) > maxProof {
		return nil, claims, errProofMalformed
	}
	token, err := jwt.ParseSigned(text, keyAlgorithms)
	var algorithm *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &algorithm):
		return nil, claims, errProofAlgorithm
	case err != nil:
		return nil, claims, errProofMalformed
	}
	header := token.Headers[0]
	key := header.JSONWebKey
	switch {
	case header.ExtraHeaders[jose.HeaderType] != proofType:
		return nil, claims, errProofType
	case key == nil:
		return nil, claims, errProofInvalid
	case !signs(key.Key, jose.SignatureAlgorithm(header.Algorithm)):
		return nil, claims, errProofAlgorithm
	}
	err = token.Claims(key, &claims)
	switch {
	case errors.Is(err, jose.ErrCryptoFailure):
		return nil, claims, errProofSignature
	case err != nil:
		return nil, claims, errProofMalformed
	}
	return key, claims, nil
}

func (c proofClaims) problem(about subject, now time.Time) *problem {
	switch {
	case c.Method != about.method:
		return errProofMethod
	case !sameResource(c.URL, about.url):
		return errProofURL
	case c.IssuedAt == nil:
		return errProofIssued
	case c.IssuedAt.Time().After(now):
		return errProofFuture
	case now.Sub(c.IssuedAt.Time()) > proofAge:
		return errProofOld
	case c.Expiry != nil && !now.Before(c.Expiry.Time()):
		return errProofExpired
	case about.token == "":
		return nil
	}
	hash := sha256.Sum256([]byte(about.token))
	if c.TokenHash != base64.RawURLEncoding.EncodeToString(hash[:]) {
		return errProofToken
	}
	return nil
}

// sameResource compares URLs without query and fragment, and with percent-encoding
// undone, as Okta does.
func sameResource(htu, called string) bool {
	a, errA := url.Parse(htu)
	b, errB := url.Parse(called)
	return errA == nil && errB == nil && strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Host, b.Host) &&
		a.User == nil && a.Path == b.Path
}

// nonce is one that an authorization server gave to clients for their proofs.
type nonce struct {
	text string
	made time.Time
}

// nonce returns the server's latest nonce, a new one every 24 hours.
func (s *Server) nonce(as *authServer) string {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	as.nonces = slices.DeleteFunc(as.nonces, func(n nonce) bool { return now.Sub(n.made) >= nonceLifetime })
	if last := len(as.nonces) - 1; last >= 0 && now.Sub(as.nonces[last].made) < nonceRenewal {
		return as.nonces[last].text
	}
	fresh := nonce{random(24), now}
	as.nonces = append(as.nonces, fresh)
	return fresh.text
}

// takesNonce reports whether a nonce is one of the last three days.
func (s *Server) takesNonce(as *authServer, text string) bool {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(as.nonces, func(n nonce) bool { return n.text == text && now.Sub(n.made) < nonceLifetime })
}
