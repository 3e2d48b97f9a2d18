package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
)

const (
	rs256Header = `{"kid":"r1","alg":"RS256"}`
	aliceClaims = `{"ver":1,"jti":"AT.1Hfv-GL3Tx5xCIMjWqUGg5a2F4NigBZq1Rq1IA6OxLk","iss":"https://example.okta.com/oauth2/default",` +
		`"aud":"api://default","iat":1800000000,"exp":1800003600,"cid":"0oaf2no1n6hPswFV10h7","uid":"00uelcordjH5Zfukf0h7",` +
		`"scp":["openid","orders.read"],"sub":"alice@example.com"}`
)

// Keys made once for all tests of a run.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	smallRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	p256Key  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384Key  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func encode[T ~string | ~[]byte](v T) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }

// signer signs a SHA-256 digest.
type signer func(digest []byte) []byte

func rs256(k *rsa.PrivateKey) signer {
	return func(digest []byte) []byte { return must(rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest)) }
}

func ps256(k *rsa.PrivateKey, salt int) signer {
	return func(digest []byte) []byte {
		return must(rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest, &rsa.PSSOptions{SaltLength: salt}))
	}
}

func es256(k *ecdsa.PrivateKey) signer {
	return func(digest []byte) []byte {
		r, s, err := ecdsa.Sign(rand.Reader, k, digest)
		return concat(must(r, err), s)
	}
}

func concat(r, s *big.Int) []byte {
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

func constant(signature []byte) signer { return func([]byte) []byte { return signature } }

// jws signs header and claims as they are.
func jws(header, claims string, sign signer) string {
	signed := encode(header) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	return signed + "." + encode(sign(digest[:]))
}

// parseText is the way of a token from a request.
func parseText(text string) (Unverified, error) {
	t, err := token.Parse(text)
	if err != nil {
		return Unverified{}, err
	}
	return Parse(t)
}

func mustParse(t *testing.T, text string) Unverified {
	t.Helper()
	u, err := parseText(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

type jwk map[string]any

func (k jwk) with(name string, value any) jwk {
	changed := jwk{}
	for n, v := range k {
		changed[n] = v
	}
	if changed[name] = value; value == nil {
		delete(changed, name)
	}
	return changed
}

func rsaJWK(kid string, k *rsa.PublicKey) jwk {
	return jwk{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": encode(k.N.Bytes()), "e": encode(big.NewInt(int64(k.E)).Bytes())}
}

func ecJWK(kid string, k *ecdsa.PublicKey) jwk {
	point := must(k.Bytes())[1:]
	return jwk{
		"kty": "EC", "kid": kid, "use": "sig", "alg": "ES256", "crv": k.Curve.Params().Name,
		"x": encode(point[:len(point)/2]), "y": encode(point[len(point)/2:]),
	}
}

func document(keys ...jwk) []byte {
	if keys == nil {
		keys = []jwk{}
	}
	return must(json.Marshal(map[string]any{"keys": keys}))
}

func keySet(t testing.TB, document []byte, allowed ...Algorithm) *KeySet {
	t.Helper()
	s, err := ParseKeySet(document, allowed...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verifyBy is what Keys do with a set that is not refreshed.
func verifyBy(s *KeySet, text string) (token.Claims, error) {
	u, err := parseText(text)
	if err != nil {
		return token.Claims{}, err
	}
	key, ok := s.Lookup(u.parsed.header.keyID)
	if !ok {
		return token.Claims{}, invalid("no key")
	}
	return key.Verify(u)
}

// failure returns the error's failure, "" where there is no error. It objects to errors
// of another type and to claims beside an error.
func failure(t testing.TB, c token.Claims, err error) token.Failure {
	t.Helper()
	if err == nil {
		return ""
	}
	if diff := cmp.Diff(token.Claims{}, c); diff != "" {
		t.Errorf("claims beside %v: %s", err, diff)
	}
	var known *token.Error
	if !errors.As(err, &known) {
		t.Errorf("error of type %T: %v", err, err)
		return token.Failure(fmt.Sprint(err))
	}
	return known.Failure
}
