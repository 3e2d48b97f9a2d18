package record

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// How subjects, which may be e-mail addresses, are named in records.
const (
	// UserHash gives 16 hex digits of a keyed hash: the same for one subject as long as
	// the process lives, and not to be computed by anybody else.
	UserHash = "hash"
	// UserClear gives the subject itself.
	UserClear = "clear"
	// UserNone gives nothing.
	UserNone = "none"
)

// Pseudonyms names subjects. The zero Pseudonyms names nobody.
type Pseudonyms struct{ key []byte }

// NewPseudonyms makes a random key.
func NewPseudonyms() Pseudonyms {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program instead
	return Pseudonyms{key}
}

// Name names a subject. A way that is not UserHash or UserClear names nobody.
func (p Pseudonyms) Name(way, subject string) string {
	switch {
	case subject == "" || len(p.key) == 0:
		return ""
	case way == UserClear:
		return cut(subject)
	case way == UserHash:
		mac := hmac.New(sha256.New, p.key)
		mac.Write([]byte(subject))
		return hex.EncodeToString(mac.Sum(nil)[:8])
	default:
		return ""
	}
}
