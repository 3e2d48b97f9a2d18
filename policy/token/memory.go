package token

import (
	"hash/maphash"
	"sync"
)

// maxSeen bounds each half of a memory, at about 20 bytes a token.
const maxSeen = 500_000

// memory knows which tokens were active when last asked about, so that in a flood of
// junk their users are asked about first. It forgets the older half when it is full, and
// may take one token in 2^40 for another: nothing but the order of questions hangs on it.
type memory struct {
	mu         sync.Mutex
	seed       maphash.Seed
	young, old map[uint64]struct{}
}

func newMemory() *memory {
	return &memory{seed: maphash.MakeSeed(), young: make(map[uint64]struct{})}
}

func (m *memory) hash(k key) uint64 {
	k = k.in(0)
	return maphash.Bytes(m.seed, k[:])
}

func (m *memory) add(k key) {
	h := m.hash(k)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.young) >= maxSeen {
		m.young, m.old = make(map[uint64]struct{}), m.young
	}
	m.young[h] = struct{}{}
}

func (m *memory) remove(k key) {
	h := m.hash(k)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.young, h)
	delete(m.old, h)
}

func (m *memory) has(k key) bool {
	h := m.hash(k)
	m.mu.Lock()
	defer m.mu.Unlock()
	_, young := m.young[h]
	_, old := m.old[h]
	return young || old
}

func (v *Verifier) priority(k key) Priority {
	if v.seen.has(k) {
		return Known
	}
	return Unseen
}
