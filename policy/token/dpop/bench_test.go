package dpop

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
)

// BenchmarkCheck is a whole check of an ES256 proof beside its signature alone, in turn, so
// that what else the machine does hits both alike. Each proof is a new one.
func BenchmarkCheck(b *testing.B) {
	k, _ := checker(b, Config{})
	proofs := make([]token.Proof, 0, 4096)
	digests := make([][32]byte, 0, cap(proofs))
	signatures := make([][]byte, 0, cap(proofs))
	for range cap(proofs) {
		text := signed(b, noon)
		at := strings.LastIndexByte(text, '.')
		proofs = append(proofs, usual(text))
		digests = append(digests, sha256.Sum256([]byte(text[:at])))
		signatures = append(signatures, must(base64.RawURLEncoding.DecodeString(text[at+1:])))
	}
	var alone, whole []time.Duration
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(proofs) == 0 {
			k.used = newMemory(k.window, defaultProofs, defaultProofsPerKey)
		}
		n := i % len(proofs)
		start := time.Now()
		ok := ecdsa.Verify(&p256().PublicKey, digests[n][:], new(big.Int).SetBytes(signatures[n][:32]), new(big.Int).SetBytes(signatures[n][32:]))
		middle := time.Now()
		err := k.Check(proofs[n])
		whole = append(whole, time.Since(middle))
		alone = append(alone, middle.Sub(start))
		if err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
	slices.Sort(alone)
	slices.Sort(whole)
	b.ReportMetric(float64(alone[len(alone)/2]), "ns/verify")
	b.ReportMetric(float64(whole[len(whole)/2]), "ns/check")
	b.ReportMetric(float64(whole[len(whole)/2])/float64(alone[len(alone)/2]), "check/verify")
}
