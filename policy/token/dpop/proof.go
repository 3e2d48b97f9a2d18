package dpop

import (
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/jwt"
)

const (
	// maxLength is the longest proof, in bytes; one with an RSA key of 4096 bits has some
	// 1,700.
	maxLength = 8 << 10
	// maxID is the longest `jti`, in bytes.
	maxID = 256
)

// proof is one that is well formed. Nobody has verified its signature.
type proof struct {
	signed     jwt.Signed
	algorithm  jwt.Algorithm
	public     crypto.PublicKey
	thumbprint string

	id, method, url, tokenHash string
	issuedAt                   time.Time
}

// parse takes apart the one proof of a request (RFC 9449 sections 4.2 and 4.3, steps 1 to
// 6 but for the comparison of the key).
func parse(headers []string) (proof, error) {
	switch {
	case len(headers) != 1 || headers[0] == "":
		return proof{}, fmt.Errorf("%d DPoP headers, or an empty one", len(headers))
	case len(headers[0]) > maxLength:
		return proof{}, errors.New("too long")
	case strings.IndexByte(headers[0], ',') >= 0:
		return proof{}, errors.New("more than one proof in the DPoP header")
	}
	signed, err := jwt.ParseSigned(headers[0])
	if err != nil {
		return proof{}, err
	}
	p := proof{signed: signed}
	if err := p.readHeader(signed.Header); err != nil {
		return proof{}, fmt.Errorf("header: %w", err)
	}
	if err := p.readClaims(signed.Claims); err != nil {
		return proof{}, fmt.Errorf("claims: %w", err)
	}
	return p, nil
}

func (p *proof) readHeader(o token.Object) error {
	if typ, err := o.Text("typ"); err != nil || typ != "dpop+jwt" {
		return errors.New("typ is not dpop+jwt")
	}
	alg, err := o.Text("alg")
	if err != nil {
		return err
	}
	p.algorithm = jwt.Algorithm(alg)
	kty := p.algorithm.KeyType()
	if kty == "" {
		return errors.New("alg is none that we verify")
	}
	jwk, err := token.ParseObject(o["jwk"])
	if err != nil {
		return fmt.Errorf("jwk: %w", err)
	}
	if err := fits(jwk, kty, p.algorithm); err != nil {
		return fmt.Errorf("jwk: %w", err)
	}
	if p.public, err = jwt.ParsePublicKey(jwk); err != nil {
		return fmt.Errorf("jwk: %w", err)
	}
	p.thumbprint = thumbprint(jwk, kty)
	return nil
}

// fits checks that a key is of the algorithm's type, and not said to be for another
// algorithm.
func fits(jwk token.Object, kty string, a jwt.Algorithm) error {
	if got, err := jwk.Text("kty"); err != nil || got != kty {
		return errors.New("kty does not fit alg")
	}
	if _, ok := jwk["alg"]; ok {
		if got, err := jwk.Text("alg"); err != nil || got != string(a) {
			return errors.New("alg is not that of the proof")
		}
	}
	return nil
}

// thumbprint is that of RFC 7638 by SHA-256. ParsePublicKey has seen that the members are
// there and need no escapes.
func thumbprint(jwk token.Object, kty string) string {
	text := func(name string) string {
		s, _ := jwk.Text(name)
		return s
	}
	if kty == "EC" {
		return hash([]byte(`{"crv":"` + text("crv") + `","kty":"EC","x":"` + text("x") + `","y":"` + text("y") + `"}`))
	}
	return hash([]byte(`{"e":"` + text("e") + `","kty":"RSA","n":"` + text("n") + `"}`))
}

func (p *proof) readClaims(o token.Object) error {
	var err error
	for _, member := range []struct {
		name string
		to   *string
	}{{"jti", &p.id}, {"htm", &p.method}, {"htu", &p.url}, {"ath", &p.tokenHash}} {
		if *member.to, err = o.Text(member.name); err != nil {
			return err
		}
		if *member.to == "" {
			return fmt.Errorf("%s is absent or empty", member.name)
		}
	}
	if len(p.id) > maxID {
		return errors.New("jti is too long")
	}
	if _, ok := o["iat"]; !ok {
		return errors.New("iat is absent")
	}
	p.issuedAt, err = o.Time("iat")
	return err
}
