package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"

	"github.com/durward/durward/policy/token"
)

// Verify returns the claims of a token that was signed with this key. It checks that
// the token names this key and its algorithm, and the signature; it checks no claim: a
// token of another audience or long dead verifies. The error is a *token.Error with
// SignatureInvalid, or Malformed for the zero Unverified.
func (k Key) Verify(u Unverified) (token.Claims, error) {
	if u.parsed == nil {
		return token.Claims{}, malformed(errors.New("no token"))
	}
	if u.parsed.header.keyID != k.id {
		return token.Claims{}, invalid("another kid")
	}
	if err := k.verify(u.parsed.header, u.parsed.compact); err != nil {
		return token.Claims{}, err
	}
	return u.parsed.claims, nil
}

// verify checks algorithm and signature whatever the payload is.
func (k Key) verify(h header, c *compact) error {
	if h.algorithm != k.algorithm {
		return invalid("alg is not that of the key")
	}
	if !k.algorithm.signs(k.public, c) {
		return invalid("signature does not match")
	}
	return nil
}

// signs reports whether the signature is of this algorithm by this key. Where the key is of
// another type it is not.
func (a Algorithm) signs(public crypto.PublicKey, c *compact) bool {
	digest := sha256.Sum256([]byte(c.signed))
	switch public := public.(type) {
	case *rsa.PublicKey:
		switch a {
		case RS256:
			return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], c.signature) == nil
		case PS256:
			return rsa.VerifyPSS(public, crypto.SHA256, digest[:], c.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
	case *ecdsa.PublicKey:
		return a == ES256 && signsES256(public, digest[:], c.signature)
	}
	return false
}

// signsES256 takes r and s as RFC 7518 section 3.4 writes them, 32 bytes each; ASN.1 is
// refused by its length or its value. With (r, s) its twin (r, n-s) verifies too: whoever
// revokes tokens must name them by their claims, not by their text.
func signsES256(public *ecdsa.PublicKey, digest, signature []byte) bool {
	const size = 32
	if len(signature) != 2*size {
		return false
	}
	// Verify refuses r and s that are not in 1..n-1.
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(public, digest, r, s)
}

func invalid(cause string) error {
	return &token.Error{Failure: token.SignatureInvalid, Cause: errors.New(cause)}
}
