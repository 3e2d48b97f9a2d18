package token

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// MaxLength is the longest token accepted, in bytes.
const MaxLength = 16 << 10

// Token is a bearer credential: opaque text that must not be shown. Every way of
// printing it gives its Name instead, or an address where fmt asks no method: for %p,
// and for an unexported field of another type. The zero Token is no token and never
// valid. Two Tokens are equal only if they come from one call of Parse.
type Token struct {
	// A pointer, because fmt follows none that it meets inside a value.
	secret *string
}

// Parse accepts the b64token form of RFC 6750 section 2.1, at most MaxLength bytes.
// It does not look inside the token. The error is a *Error with Malformed.
func Parse(text string) (Token, error) {
	if text == "" || len(text) > MaxLength || !isB64Token(text) {
		return Token{}, &Error{Failure: Malformed}
	}
	return Token{secret: &text}, nil
}

func isB64Token(text string) bool {
	end := len(text)
	for end > 0 && text[end-1] == '=' {
		end--
	}
	if end == 0 {
		return false
	}
	for i := range end {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return true
}

// Reveal returns the secret text. It is the only way out of the type; callers send
// the result to the authorization server and nowhere else.
func (t Token) Reveal() string {
	if t.secret == nil {
		return ""
	}
	return *t.secret
}

// Name returns the first 8 hex digits of the token's SHA-256, by which logs and
// people may call it. It is empty for the zero Token.
func (t Token) Name() string {
	if t.secret == nil {
		return ""
	}
	sum := sha256.Sum256([]byte(*t.secret))
	return hex.EncodeToString(sum[:4])
}

// String returns the token's Name in place of its text.
func (t Token) String() string { return "token:" + t.Name() }

// Format prints the token's Name in place of its text, whatever the verb.
func (t Token) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, t.String()) }

// MarshalText returns the token's Name in place of its text.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// LogValue returns the token's Name in place of its text.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }
