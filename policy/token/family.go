package token

import (
	"hash/maphash"
	"slices"
	"sync"
)

// family is what many tokens have in common. It is never changed.
type family struct {
	issuer, clientID, acr    string
	audience, scopes, groups []string
	bound                    bool
}

// size is the family's size in bytes, roughly.
func (f *family) size() int {
	n := len(f.issuer) + len(f.clientID) + len(f.acr)
	for _, list := range [][]string{f.audience, f.scopes, f.groups} {
		for _, s := range list {
			n += len(s) + 16
		}
	}
	return n
}

func (f *family) equal(g *family) bool {
	return f.issuer == g.issuer && f.clientID == g.clientID && f.acr == g.acr && f.bound == g.bound &&
		slices.Equal(f.audience, g.audience) && slices.Equal(f.scopes, g.scopes) && slices.Equal(f.groups, g.groups)
}

const (
	// maxFamilies and maxFamilySize bound what families keeps alive, to 16 MiB.
	maxFamilies   = 16 << 10
	maxFamilySize = 1 << 10
)

// families keeps one of each family of which there may be many tokens. When it is full
// it starts anew: entries hold their own family, and only sharing is lost.
type families struct {
	mu    sync.Mutex
	seed  maphash.Seed
	known map[uint64]*family
}

func newFamilies() *families {
	return &families{seed: maphash.MakeSeed(), known: make(map[uint64]*family)}
}

func (fs *families) of(c Claims) *family {
	f := &family{
		issuer: c.Issuer, clientID: c.ClientID, acr: c.ACR, bound: c.Bound,
		audience: c.Audience, scopes: c.Scopes, groups: c.Groups,
	}
	if f.size() > maxFamilySize {
		return f
	}
	var h maphash.Hash
	h.SetSeed(fs.seed)
	for _, list := range [][]string{{f.issuer, f.clientID, f.acr}, f.audience, f.scopes, f.groups} {
		for _, s := range list {
			_, _ = h.WriteString(s)
		}
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if old := fs.known[h.Sum64()]; old != nil && old.equal(f) {
		return old
	}
	if len(fs.known) >= maxFamilies {
		clear(fs.known)
	}
	fs.known[h.Sum64()] = f
	return f
}
