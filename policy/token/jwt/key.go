package jwt

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/durward/durward/policy/token"
)

// longestKey is the longest RSA modulus of an authorization server, in bits: more buys
// nothing that a token's hour needs.
const longestKey = 4096

// Key is one public key of an authorization server with the one algorithm that it
// verifies. The zero Key verifies nothing.
type Key struct {
	id        string
	algorithm Algorithm
	public    crypto.PublicKey
}

// parseKey accepts a JWK (RFC 7517) that is public, meant for signatures, of an algorithm
// in allowed, and strong. The error never holds the key.
func parseKey(text []byte, allowed []Algorithm) (Key, error) {
	o, err := token.ParseObject(text)
	if err != nil {
		return Key{}, err
	}
	public, err := ParsePublicKey(o)
	if err != nil {
		return Key{}, err
	}
	if k, ok := public.(*rsa.PublicKey); ok && k.N.BitLen() > longestKey {
		return Key{}, fmt.Errorf("modulus of %d bits", k.N.BitLen())
	}
	id, err := o.Text("kid")
	if err != nil {
		return Key{}, err
	}
	if id == "" || len(id) > maxKeyID {
		return Key{}, errors.New("kid is absent, empty or too long")
	}
	algorithm, err := pinned(o, allowed)
	if err != nil {
		return Key{}, err
	}
	return Key{id: id, algorithm: algorithm, public: public}, nil
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
		if kty == a.KeyType() && (!hasName || string(a) == named) {
			return a, nil
		}
	}
	return "", errors.New("kty and alg are of no configured algorithm")
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
