package jwt

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/durward/durward/policy/token"
)

// Tokens that are not signed JWTs may still be good at the server that issued them.
// Both are the cause of a *token.Error with Malformed; look for them with errors.Is.
var (
	// ErrOpaque is a token that has neither three nor five parts.
	ErrOpaque = errors.New("not a JWT")
	// ErrEncrypted is a token of five parts, as a JWE has (RFC 7516). It is not looked into.
	ErrEncrypted = errors.New("an encrypted JWT")
)

// Unverified is a token that is well formed. Anybody can make one: only the claims that
// Key.Verify or Keys.Verify return are to be believed. The zero Unverified fails there.
type Unverified struct {
	// A pointer, because fmt follows none that it meets inside a value.
	parsed *parsed
}

type parsed struct {
	header header
	claims token.Claims
	// A pointer again, because fmt follows the first one for a verb that it does not know.
	compact *compact
}

// Format prints the type in place of the token, whatever the verb.
func (u Unverified) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "jwt.Unverified") }

// Parse takes a token apart without believing it. It accepts exactly three parts of
// canonical base64url, a header as parseHeader wants it, and claims as one strict JSON
// object of at most 96 members and 384 values, in whole seconds where they are dates.
// It checks neither signature nor any claim's value. The error is a *token.Error with
// Malformed, WrongType (`typ`) or SignatureInvalid (an algorithm we never verify); its
// cause never holds the token.
func Parse(t token.Token) (Unverified, error) {
	c, err := split(t.Reveal())
	if err != nil {
		return Unverified{}, malformed(err)
	}
	h, err := parseHeader(c.header)
	if err != nil {
		return Unverified{}, malformed(fmt.Errorf("header: %w", err))
	}
	claims, err := parseClaims(c.payload)
	if err != nil {
		return Unverified{}, malformed(fmt.Errorf("claims: %w", err))
	}
	return Unverified{&parsed{header: h, claims: claims, compact: c}}, nil
}

// UnverifiedClaims returns what the token says of itself. It is good for refusing a token
// early, never for allowing anything.
func (u Unverified) UnverifiedClaims() token.Claims {
	if u.parsed == nil {
		return token.Claims{}
	}
	return u.parsed.claims
}

// malformed makes err a *token.Error with Malformed unless it is one already.
func malformed(err error) error {
	var known *token.Error
	if errors.As(err, &known) {
		return &token.Error{Failure: known.Failure, Cause: err}
	}
	return &token.Error{Failure: token.Malformed, Cause: err}
}

func parseClaims(text []byte) (token.Claims, error) {
	if !bounded(text) {
		return token.Claims{}, errors.New("too many or too deep")
	}
	o, err := token.ParseObject(text)
	if err != nil {
		return token.Claims{}, err
	}
	// Here a blank begins another value.
	if scope, err := o.Text("scope"); err != nil || strings.Count(scope, " ")+bytes.Count(text, []byte(",")) >= maxValues {
		return token.Claims{}, errors.New("scope is no text or too many")
	}
	return token.ParseClaims(o)
}

// compact is a JWS in compact serialization, decoded.
type compact struct {
	header, payload, signature []byte
	// signed is the text that the signature covers.
	signed string
}

func split(text string) (*compact, error) {
	if len(text) > token.MaxLength {
		return nil, errors.New("too long")
	}
	switch strings.Count(text, ".") {
	case 2:
	case 4:
		return nil, ErrEncrypted
	default:
		return nil, ErrOpaque
	}
	head, rest, _ := strings.Cut(text, ".")
	body, signature, _ := strings.Cut(rest, ".")
	c := &compact{signed: text[:len(head)+1+len(body)]}
	var err error
	if c.header, err = decode(head); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if c.payload, err = decode(body); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if c.signature, err = decode(signature); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	return c, nil
}

// decode accepts the one canonical base64url text of its bytes: no padding, no other
// alphabet, no line ends, unused bits zero. Two texts never give the same bytes, so that
// a token cannot be re-written into one that looks new.
func decode(text string) ([]byte, error) {
	// The decoder skips these two, Strict or not.
	if strings.IndexByte(text, '\r') >= 0 || strings.IndexByte(text, '\n') >= 0 {
		return nil, errors.New("not base64url")
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		// The library's message quotes nothing but an offset; it is of no use to anybody.
		return nil, errors.New("not base64url")
	}
	return decoded, nil
}

// Bounds on the JSON of a token, so that parsing it costs at most four times the longest
// token. Okta's tokens have some fifteen claims and at most a hundred groups.
const (
	maxMembers = 96
	maxValues  = 384
	maxDepth   = 16
)

// bounded counts names, commas and nesting outside of strings. It is no parser: of text
// that is not JSON it says nothing, but a strict parser gets no further in it than to
// where the counts are right.
func bounded(text []byte) bool {
	depth, members, values := 0, 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > maxDepth {
				return false
			}
		case '}', ']':
			depth--
		case ':':
			if members++; members > maxMembers {
				return false
			}
		case ',':
			if values++; values >= maxValues {
				return false
			}
		}
	}
	return true
}
