package jwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"

	"github.com/durward/durward/policy/token"
)

var _ token.Reader = (*Keys)(nil)

// Read is Parse, with Verify as the proof: see token.Reader.
func (k *Keys) Read(t token.Token) (said token.Claims, prove func(context.Context) error, err error) {
	u, err := Parse(t)
	if err != nil {
		return token.Claims{}, nil, err
	}
	prove = func(ctx context.Context) error {
		_, err := k.Verify(ctx, u)
		return err
	}
	return u.UnverifiedClaims(), prove, nil
}

// Generation grows whenever a fetch gave a set without a key of the one before it, and
// when the keys become too old to be used: what was proven by them must be proven again.
func (k *Keys) Generation() uint64 {
	h := k.held.Load()
	if h == nil {
		return 0
	}
	if k.tooOld(h) {
		return h.generation + 1
	}
	return h.generation
}

// following is the generation of a set that replaces h.
func (k *Keys) following(h *held, set *KeySet) uint64 {
	if h == nil {
		return 1
	}
	if k.tooOld(h) {
		return h.generation + 1
	}
	for id, old := range h.set.keys {
		now, ok := set.keys[id]
		if !ok || now.algorithm != old.algorithm || !samePublic(now.public, old.public) {
			return h.generation + 1
		}
	}
	return h.generation
}

// samePublic compares two keys of the kinds that a set may hold.
func samePublic(a, b crypto.PublicKey) bool {
	switch a := a.(type) {
	case *rsa.PublicKey:
		return a.Equal(b)
	case *ecdsa.PublicKey:
		return a.Equal(b)
	default:
		return false
	}
}
