package jwt

import (
	"crypto"
	"errors"
	"fmt"

	"github.com/durward/durward/policy/token"
)

// Signed is a signed JSON object of any purpose, taken apart and not believed. The zero
// Signed is signed by nobody.
type Signed struct {
	// Header and Claims are what the signer says, if Verify holds.
	Header, Claims token.Object

	compact *compact
}

// ParseSigned accepts exactly three parts of canonical base64url, of which two are strict
// JSON objects of at most 96 members and 384 values each, and at most token.MaxLength
// bytes. The header may hold a key, but no other member that a token's may not: `crit`,
// certificates, URLs. No other member is looked at. The error never holds the text.
func ParseSigned(text string) (Signed, error) {
	c, err := split(text)
	if err != nil {
		return Signed{}, err
	}
	s := Signed{compact: c}
	if s.Header, err = parseBounded(c.header); err != nil {
		return Signed{}, fmt.Errorf("header: %w", err)
	}
	if err := refuseMembers(s.Header, "jwk"); err != nil {
		return Signed{}, fmt.Errorf("header: %w", err)
	}
	if s.Claims, err = parseBounded(c.payload); err != nil {
		return Signed{}, fmt.Errorf("claims: %w", err)
	}
	return s, nil
}

func parseBounded(text []byte) (token.Object, error) {
	if !bounded(text) {
		return nil, errors.New("too many or too deep")
	}
	return token.ParseObject(text)
}

// Verify reports whether public made the signature by algorithm a. The caller has chosen
// both and compared them with what the header names, which is not looked at.
func (s Signed) Verify(a Algorithm, public crypto.PublicKey) bool {
	return s.compact != nil && a.signs(public, s.compact)
}
