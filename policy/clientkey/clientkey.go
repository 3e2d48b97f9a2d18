// Package clientkey reads the private key by which our client authenticates itself at an
// authorization server (private_key_jwt, RFC 7523), for whoever checks a configuration and
// for whoever signs.
//
// Trust boundary: the file is the operator's. No error of this package shows anything of a
// key. It refuses keys that are too weak, public, locked by a password, or more than one.
package clientkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/durward/durward/policy/token"
)

// Bounds on RSA keys, in bits. Okta takes no shorter ones; longer ones cost each call.
const (
	minModulus = 2048
	maxModulus = 8192
)

// Key is a private key and how it signs.
type Key struct {
	Private crypto.Signer
	// ID is the `kid`, empty where nobody gave one.
	ID string
	// Algorithm is RS256 or ES256 (RFC 7518 section 3.1), as the key is of.
	Algorithm jose.SignatureAlgorithm
}

// Parse reads a JWK, or PEM in any form that OpenSSL writes without a password: RSA of 2048
// to 8192 bits, or EC on P-256. The key's id is the JWK's own, else id; where both are
// there they must agree.
func Parse(text []byte, id string) (Key, error) {
	k := Key{ID: id}
	var stated string
	var err error
	if len(text) > 0 && text[0] == '{' {
		stated, err = k.parseJWK(text)
	} else {
		k.Private, err = ParsePEM(text)
	}
	if err != nil {
		return Key{}, err
	}
	if k.Algorithm, err = algorithmOf(k.Private); err != nil {
		return Key{}, err
	}
	if stated != "" && stated != string(k.Algorithm) {
		return Key{}, fmt.Errorf("the JWK is for %.20q, and would be used for %s", stated, k.Algorithm)
	}
	return k, nil
}

// parseJWK returns the algorithm that the JWK states.
func (k *Key) parseJWK(text []byte) (stated string, err error) {
	if _, err := token.ParseObject(text); err != nil {
		return "", fmt.Errorf("this is not a private JWK: %w", err)
	}
	var jwk jose.JSONWebKey
	if json.Unmarshal(text, &jwk) != nil || jwk.IsPublic() || !jwk.Valid() {
		return "", errors.New("this is not a private JWK") // the cause may show it
	}
	private, ok := jwk.Key.(crypto.Signer)
	switch {
	case !ok:
		return "", errors.New("the key is neither RSA nor EC")
	case jwk.KeyID != "" && k.ID != "" && jwk.KeyID != k.ID:
		return "", fmt.Errorf("the JWK has the kid %.100q, and key_id is %.100q", jwk.KeyID, k.ID)
	case jwk.KeyID != "":
		k.ID = jwk.KeyID
	}
	k.Private = private
	return jwk.Algorithm, nil
}

func algorithmOf(key crypto.Signer) (jose.SignatureAlgorithm, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if bits := k.N.BitLen(); bits < minModulus || bits > maxModulus {
			return "", fmt.Errorf("the RSA key has %d bits, not %d to %d", bits, minModulus, maxModulus)
		}
		return jose.RS256, nil
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			return jose.ES256, nil
		}
		return "", errors.New("the EC key is not on P-256")
	}
	return "", errors.New("the key is neither RSA nor EC")
}

// ParsePEM takes the one private key of a PEM text, of any kind and strength.
func ParsePEM(text []byte) (crypto.Signer, error) {
	var found crypto.Signer
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type == "EC PARAMETERS" {
			continue // OpenSSL puts them before the key, which has them too
		}
		key, err := parseDER(block)
		if err != nil {
			return nil, err
		}
		if found != nil {
			return nil, errors.New("the file holds more than one key")
		}
		found = key
	}
	if found == nil {
		return nil, errors.New("the file holds no key in PEM")
	}
	return found, nil
}

func parseDER(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("the PEM block %.40q is no private key without a password", block.Type)
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("the PEM block %q does not parse", block.Type)
	}
	return signer, nil
}
