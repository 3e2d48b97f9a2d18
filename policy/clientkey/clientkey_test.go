package clientkey

import (
	"crypto/rsa"
	"math/big"
	"testing"
)

// TestModulus holds both bounds on RSA keys, with numbers that only look like moduli: to
// make a key of such a length takes seconds.
func TestModulus(t *testing.T) {
	t.Parallel()
	for bits, good := range map[uint]bool{2047: false, 2048: true, 8192: true, 8193: false} {
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: 65537}}
		if _, err := algorithmOf(key); (err == nil) != good {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}
