package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
)

const (
	method = "GET"
	url    = "https://api.example.com/orders/17"
)

// noon is when the proofs of most tests are made and checked.
var noon = time.Unix(1_800_000_000, 0)

// Keys made once for all tests of a run.
var (
	p256  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	other = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	rsa2k = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	rsa1k = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
)

var accessToken = must(token.Parse("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func encode[T ~string | ~[]byte](v T) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }

// object is JSON whose members tests change; nil removes one.
type object map[string]any

func (o object) with(name string, value any) object {
	changed := maps.Clone(o)
	if changed[name] = value; value == nil {
		delete(changed, name)
	}
	return changed
}

func (o object) text() string { return string(must(json.Marshal(o))) }

func ecJWK(k *ecdsa.PublicKey) object {
	point := must(k.Bytes())[1:]
	return object{
		"kty": "EC", "crv": k.Params().Name,
		"x": encode(point[:len(point)/2]), "y": encode(point[len(point)/2:]),
	}
}

func rsaJWK(k *rsa.PublicKey) object {
	return object{"kty": "RSA", "n": encode(k.N.Bytes()), "e": encode(big.NewInt(int64(k.E)).Bytes())}
}

func headerOf(alg string, jwk object) object {
	return object{"typ": "dpop+jwt", "alg": alg, "jwk": jwk}
}

// claimsAt are those of a good proof.
func claimsAt(at time.Time) object {
	return object{"jti": rand.Text(), "htm": method, "htu": url, "iat": at.Unix(), "ath": tokenHash(accessToken)}
}

// forge signs header and claims as they are.
func forge(header, claims string, key crypto.Signer, hash crypto.Hash, pss bool) string {
	signed := encode(header) + "." + encode(claims)
	digest := hash.New()
	digest.Write([]byte(signed))
	sum := digest.Sum(nil)
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, sum)
		size := (must(k, err).Params().BitSize + 7) / 8
		return signed + "." + encode(append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...))
	case *rsa.PrivateKey:
		if pss {
			return signed + "." + encode(must(rsa.SignPSS(rand.Reader, k, hash, sum, &rsa.PSSOptions{SaltLength: hash.Size()})))
		}
		return signed + "." + encode(must(rsa.SignPKCS1v15(nil, k, hash, sum)))
	}
	panic("no key")
}

// es256 signs with the usual key.
func es256(header, claims object) string {
	return forge(header.text(), claims.text(), p256(), crypto.SHA256, false)
}

func usualHeader() object { return headerOf("ES256", ecJWK(&p256().PublicKey)) }

// usual is what a request with this proof is checked by.
func usual(proofs ...string) token.Proof {
	return token.Proof{
		Headers: proofs, Method: method, URLs: []string{"https://elsewhere.example.com/orders/17", url},
		Token: accessToken, KeyThumbprint: must(Thumbprint(p256())),
	}
}

func signed(t testing.TB, at time.Time) string {
	t.Helper()
	text, err := Sign(p256(), Statement{Method: method, URL: url, Token: accessToken, IssuedAt: at})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// clock is set by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func checker(t testing.TB, c Config) (*Checker, *clock) {
	t.Helper()
	hand := &clock{at: noon}
	c.Now = hand.now
	k, err := NewChecker(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k, hand
}

// failure is that of an error, "" of none.
func failure(t interface{ Errorf(string, ...any) }, err error) token.Failure {
	if err == nil {
		return ""
	}
	var known *token.Error
	if !errors.As(err, &known) {
		t.Errorf("error of type %T: %v", err, err)
		return token.Failure(fmt.Sprint(err))
	}
	return known.Failure
}
