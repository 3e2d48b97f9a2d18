package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/durward/durward/policy/token"
)

// Bounds on RSA keys that anybody shows us. The exponent's lower bound is that of FIPS
// 186-5.
const (
	minModulus  = 2048
	maxModulus  = 8192
	minExponent = 65537
	maxExponent = math.MaxInt32
)

// secretMembers of a JWK are private or symmetric (RFC 7518 section 6). A key that was
// published with one of them is everybody's.
var secretMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// ParsePublicKey reads a JWK (RFC 7517) that is public and meant for signatures: RSA of 2048
// to 8192 bits, or EC on P-256. Whose key it is and for which algorithm is not looked at, nor
// is any certificate. The error never holds the key.
func ParsePublicKey(o token.Object) (crypto.PublicKey, error) {
	for _, name := range secretMembers {
		if _, ok := o[name]; ok {
			return nil, fmt.Errorf("holds the secret member %s", name)
		}
	}
	if err := checkUse(o); err != nil {
		return nil, err
	}
	kty, err := o.Text("kty")
	if err != nil {
		return nil, err
	}
	switch kty {
	case "RSA":
		return parseRSA(o)
	case "EC":
		return parseEC(o)
	default:
		return nil, errors.New("neither RSA nor EC")
	}
}

// checkUse refuses keys that were published for something else.
func checkUse(o token.Object) error {
	if _, ok := o["use"]; ok {
		if use, err := o.Text("use"); err != nil || use != "sig" {
			return errors.New("use is not sig")
		}
	}
	if _, ok := o["key_ops"]; ok {
		if ops, err := o.List("key_ops"); err != nil || !slices.Contains(ops, "verify") {
			return errors.New("key_ops does not list verify")
		}
	}
	return nil
}

func parseRSA(o token.Object) (crypto.PublicKey, error) {
	n, err := member(o, "n")
	if err != nil {
		return nil, err
	}
	e, err := member(o, "e")
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if !exponent.IsInt64() || exponent.Int64() > maxExponent {
		return nil, errors.New("public exponent too large")
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}
	if err := checkRSA(public); err != nil {
		return nil, err
	}
	return public, nil
}

func parseEC(o token.Object) (crypto.PublicKey, error) {
	if crv, err := o.Text("crv"); err != nil || crv != "P-256" {
		return nil, errors.New("not on P-256")
	}
	point := []byte{4} // uncompressed
	for _, coordinate := range []string{"x", "y"} {
		v, err := member(o, coordinate)
		if err != nil {
			return nil, err
		}
		if len(v) != 32 {
			return nil, fmt.Errorf("%s is not of 32 bytes", coordinate)
		}
		point = append(point, v...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, errors.New("not a point on the curve")
	}
	return public, nil
}

// member decodes a number of a key, which may not be absent or empty.
func member(o token.Object, name string) ([]byte, error) {
	text, err := o.Text(name)
	if err != nil {
		return nil, err
	}
	v, err := decode(text)
	if err != nil || len(v) == 0 {
		return nil, fmt.Errorf("%s is not base64url of a number", name)
	}
	return v, nil
}

func checkRSA(k *rsa.PublicKey) error {
	switch bits := k.N.BitLen(); {
	case bits < minModulus || bits > maxModulus:
		return fmt.Errorf("modulus of %d bits", bits)
	case k.N.Bit(0) == 0:
		return errors.New("even modulus")
	case k.E < minExponent || k.E > maxExponent || k.E%2 == 0:
		return fmt.Errorf("public exponent %d", k.E)
	case isROCA(k.N):
		return errors.New("modulus of the weak form of CVE-2017-15361")
	}
	return nil
}
