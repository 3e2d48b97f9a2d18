package jwt

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/durward/durward/policy/token"
)

// Algorithm is a signature algorithm of RFC 7518 section 3.1. The list is closed; there
// is none without a key pair in it. The zero Algorithm verifies nothing.
type Algorithm string

// The algorithms. Okta signs with RS256.
const (
	RS256 Algorithm = "RS256" // RSASSA-PKCS1-v1_5, SHA-256
	PS256 Algorithm = "PS256" // RSASSA-PSS, SHA-256, salt of 32 bytes exactly
	ES256 Algorithm = "ES256" // ECDSA on P-256, SHA-256
)

// KeyType returns the `kty` of an algorithm's keys, or "" of an algorithm unknown here.
func (a Algorithm) KeyType() string {
	switch a {
	case RS256, PS256:
		return "RSA"
	case ES256:
		return "EC"
	default:
		return ""
	}
}

// maxKeyID is the longest `kid` compared, in bytes; Okta's have 43.
const maxKeyID = 256

// header is what we use of a JOSE header.
type header struct {
	algorithm Algorithm
	keyID     string
}

// refusedMembers change what a signature covers, say that the payload is something else
// than claims, or name a key of the sender's choice (RFC 7515 section 4.1, RFC 7516,
// RFC 7797). No token of ours has one.
var refusedMembers = []string{"crit", "b64", "zip", "jku", "jwk", "x5u", "x5c", "enc", "cty"}

// parseHeader accepts one strict JSON object with `alg` and `kid` and without members of
// refusedMembers in any case. An absent `typ` is usual at Okta; where there is one it
// must be that of a JWT or of an access token (RFC 9068 section 2.1). Unknown members
// are ignored, as RFC 7515 section 4 asks.
func parseHeader(text []byte) (header, error) {
	if l := latest.Load(); l != nil && string(text) == l.text {
		return l.header, nil
	}
	h, err := readHeader(text)
	if err == nil {
		latest.Store(&known{string(text), h})
	}
	return h, err
}

// known is a header that was accepted.
type known struct {
	text   string
	header header
}

// latest spares reading the same text again: but for the turn of a key, all tokens of a
// server have the same header. A miss costs what it did.
var latest atomic.Pointer[known]

func readHeader(text []byte) (header, error) {
	if !bounded(text) {
		return header{}, errors.New("too many or too deep")
	}
	o, err := token.ParseObject(text)
	if err != nil {
		return header{}, err
	}
	if err := refuseMembers(o, ""); err != nil {
		return header{}, err
	}
	if err := checkType(o); err != nil {
		return header{}, err
	}
	keyID, err := o.Text("kid")
	if err != nil {
		return header{}, err
	}
	if keyID == "" || len(keyID) > maxKeyID {
		return header{}, errors.New("kid is absent, empty or too long")
	}
	algorithm, err := o.Text("alg")
	if err != nil {
		return header{}, err
	}
	switch a := Algorithm(algorithm); a {
	case RS256, PS256, ES256:
		return header{algorithm: a, keyID: keyID}, nil
	default:
		return header{}, &token.Error{Failure: token.SignatureInvalid, Cause: errors.New("alg is none that we verify")}
	}
}

// refuseMembers finds members of refusedMembers in any case but for one, spelt as it is.
func refuseMembers(o token.Object, but string) error {
	for name := range o {
		for _, refused := range refusedMembers {
			if strings.EqualFold(name, refused) && name != but {
				return fmt.Errorf("has %s", refused)
			}
		}
	}
	return nil
}

func checkType(o token.Object) error {
	if _, ok := o["typ"]; !ok {
		return nil
	}
	typ, err := o.Text("typ")
	if err != nil {
		return err
	}
	switch strings.ToLower(typ) {
	case "jwt", "at+jwt", "application/at+jwt":
		return nil
	default:
		return &token.Error{Failure: token.WrongType, Cause: errors.New("typ is not that of an access token")}
	}
}
