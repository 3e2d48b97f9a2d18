package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"

	"github.com/durward/durward/policy/token"
)

// BenchmarkColdVerify is everything from a token's text to claims that can be believed,
// beside the signature alone and beside go-jose.
func BenchmarkColdVerify(b *testing.B) {
	s := allKeys(b)
	for name, c := range map[string]struct {
		text string
		raw  func(digest, signature []byte) bool
	}{
		"RS256": {jws(rs256Header, aliceClaims, rs256(rsaKey())), func(digest, signature []byte) bool {
			return rsa.VerifyPKCS1v15(&rsaKey().PublicKey, crypto.SHA256, digest, signature) == nil
		}},
		"PS256": {jws(ps256Header, aliceClaims, ps256(rsaKey(), 32)), func(digest, signature []byte) bool {
			return rsa.VerifyPSS(&rsaKey().PublicKey, crypto.SHA256, digest, signature, nil) == nil
		}},
		"ES256": {jws(es256Header, aliceClaims, es256(p256Key())), func(digest, signature []byte) bool {
			return ecdsa.Verify(&p256Key().PublicKey, digest, new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
		}},
	} {
		tok, err := token.Parse(c.text)
		if err != nil {
			b.Fatal(err)
		}
		u, err := Parse(tok)
		if err != nil {
			b.Fatal(err)
		}
		digest := sha256.Sum256([]byte(u.parsed.compact.signed))
		b.Run(name+"/raw", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !c.raw(digest[:], u.parsed.compact.signature) {
					b.Fatal("not verified")
				}
			}
		})
		b.Run(name+"/ours", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if claims, err := verifyBy(s, c.text); err != nil || claims.Subject == "" {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/ratio", func(b *testing.B) {
			ratio(b, s, c.text, func() bool { return c.raw(digest[:], u.parsed.compact.signature) })
		})
		key, _ := s.Lookup(u.parsed.header.keyID)
		b.Run(name+"/go-jose", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				t, err := josejwt.ParseSigned(c.text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(name)})
				var claims josejwt.Claims
				if err != nil || t.Claims(key.public, &claims) != nil {
					b.Fatal("not verified")
				}
			}
		})
	}
}

// ratio reports how many times as long as raw all of it takes. Both are timed in turn, so
// that what else the machine does hits them alike.
func ratio(b *testing.B, s *KeySet, text string, raw func() bool) {
	var alone, whole []time.Duration
	for b.Loop() {
		start := time.Now()
		ok := raw()
		middle := time.Now()
		if _, err := verifyBy(s, text); err != nil || !ok {
			b.Fatal("not verified")
		}
		whole = append(whole, time.Since(middle))
		alone = append(alone, middle.Sub(start))
	}
	b.ReportMetric(mean(whole)/mean(alone), "ours/raw")
}

// mean is without the slowest in a hundred, which were interrupted.
func mean(times []time.Duration) float64 {
	slices.Sort(times)
	kept := times[:len(times)-len(times)/100]
	var sum time.Duration
	for _, t := range kept {
		sum += t
	}
	return float64(sum) / float64(len(kept))
}

func BenchmarkParse(b *testing.B) {
	tok, err := token.Parse(jws(rs256Header, aliceClaims, rs256(rsaKey())))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(tok); err != nil {
			b.Fatal(err)
		}
	}
}
