package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"github.com/durward/durward/policy/token"
)

// Bounds on RSA keys. A modulus beyond 4096 bits buys nothing that a token's hour needs,
// and go-jose reads none unless told to for the whole program. The exponent's lower bound
// is that of FIPS 186-5.
const (
	minModulus  = 2048
	maxModulus  = 4096
	minExponent = 65537
	maxExponent = math.MaxInt32
)

// Key is one public key of an authorization server with the one algorithm that it
// verifies. The zero Key verifies nothing.
type Key struct {
	id        string
	algorithm Algorithm
	public    crypto.PublicKey
}

// secretMembers of a JWK are private or symmetric (RFC 7518 section 6). A key that was
// published with one of them is everybody's.
var secretMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// parseKey accepts a JWK (RFC 7517) that is public, meant for signatures, of an algorithm
// in allowed, and strong. The error never holds the key.
func parseKey(text []byte, allowed []Algorithm) (Key, error) {
	o, err := token.ParseObject(text)
	if err != nil {
		return Key{}, err
	}
	for _, name := range secretMembers {
		if _, ok := o[name]; ok {
			return Key{}, fmt.Errorf("holds the secret member %s", name)
		}
	}
	id, err := o.Text("kid")
	if err != nil {
		return Key{}, err
	}
	if id == "" || len(id) > maxKeyID {
		return Key{}, errors.New("kid is absent, empty or too long")
	}
	if err := checkUse(o); err != nil {
		return Key{}, err
	}
	algorithm, err := pinned(o, allowed)
	if err != nil {
		return Key{}, err
	}
	public, err := publicKey(o)
	if err != nil {
		return Key{}, err
	}
	return Key{id: id, algorithm: algorithm, public: public}, nil
}

// publicKey reads the key proper. Only the members that it is made of are shown to the
// library: no certificate is parsed and no URL repeated in an error.
func publicKey(o token.Object) (crypto.PublicKey, error) {
	if crv, ok := o["crv"]; ok && string(crv) != `"P-256"` {
		return nil, errors.New("not on P-256")
	}
	bare := make(token.Object)
	for _, name := range []string{"kty", "n", "e", "crv", "x", "y"} {
		if v, ok := o[name]; ok {
			bare[name] = v
		}
	}
	text, err := json.Marshal(bare)
	if err != nil {
		return nil, fmt.Errorf("not a JWK: %w", err)
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("not a JWK: %w", err)
	}
	switch public := jwk.Key.(type) {
	case *rsa.PublicKey:
		return public, checkRSA(public)
	case *ecdsa.PublicKey:
		return public, nil
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

// pinned returns the one algorithm of a key: the one it names, or else the first in
// allowed that fits its type.
func pinned(o token.Object, allowed []Algorithm) (Algorithm, error) {
	kty, err := o.Text("kty")
	if err != nil {
		return "", err
	}
	named, err := o.Text("alg")
	if err != nil {
		return "", err
	}
	_, hasName := o["alg"]
	for _, a := range allowed {
		if kty == keyType(a) && (!hasName || string(a) == named) {
			return a, nil
		}
	}
	return "", errors.New("kty and alg are of no configured algorithm")
}

// keyType returns the `kty` of an algorithm's keys, or "" of an algorithm unknown here.
func keyType(a Algorithm) string {
	switch a {
	case RS256, PS256:
		return "RSA"
	case ES256:
		return "EC"
	default:
		return ""
	}
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

// isROCA recognizes moduli whose primes were made from powers of 65537 (CVE-2017-15361):
// they are such powers themselves modulo every small prime. A sound modulus passes for
// one once in some 2^27.
func isROCA(n *big.Int) bool {
	for _, p := range []int64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83,
		89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
	} {
		if !isPower(new(big.Int).Mod(n, big.NewInt(p)).Int64(), p) {
			return false
		}
	}
	return true
}

// isPower reports whether r is a power of 65537 modulo the prime p.
func isPower(r, p int64) bool {
	power := int64(1)
	for range p {
		if power == r {
			return true
		}
		power = power * 65537 % p
	}
	return false
}
