package dpop

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

var (
	errFull   = errors.New("too many proofs to remember")
	errUsed   = errors.New("used before")
	errClosed = errors.New("closed")
)

// span is how much of the clients' time one bucket covers. Buckets are forgotten as a whole.
const span = 15 * time.Second

// memory knows which proofs were used, until each is too old to be used again. A proof that
// could be used again is never forgotten to make room.
type memory struct {
	window         time.Duration
	most, mostEach int

	mu sync.Mutex
	// buckets are by the `iat` of their proofs; nil when the memory is closed.
	buckets map[int64]*bucket
	count   int
	// floor is the end of the latest bucket ever forgotten. Where the clock is set back,
	// proofs before it could have been used unseen.
	floor int64
}

// digest names a proof or a key. 128 bits of SHA-256 let nobody find two of one name, who
// could harm none but himself by it.
type digest [16]byte

type bucket struct {
	used map[digest]struct{}
	// perKey counts used by key.
	perKey map[digest]uint32
}

func newMemory(window time.Duration, most, mostEach int) *memory {
	return &memory{window: window, most: most, mostEach: mostEach, buckets: make(map[int64]*bucket)}
}

// add remembers a proof by its key and id. It fails with errUsed where it knows the proof or
// may have forgotten it, and with errFull and how long until there is room.
func (m *memory) add(thumbprint, id string, issuedAt, now time.Time) (wait time.Duration, err error) {
	key, name := nameOf(thumbprint), nameOf(thumbprint, id)
	at := issuedAt.Unix() / int64(span/time.Second)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.buckets == nil {
		return 0, errClosed
	}
	m.forget(now)
	if at < m.floor {
		return 0, errUsed
	}
	b := m.buckets[at]
	if b != nil {
		if _, ok := b.used[name]; ok {
			return 0, errUsed
		}
	}
	if m.count >= m.most || m.each(key) >= m.mostEach {
		return m.nextRoom(now), errFull
	}
	if b == nil {
		b = &bucket{used: make(map[digest]struct{}), perKey: make(map[digest]uint32)}
		m.buckets[at] = b
	}
	b.used[name] = struct{}{}
	b.perKey[key]++
	m.count++
	return 0, nil
}

// forget drops the buckets whose last proof is too old by the clock. mu is held.
func (m *memory) forget(now time.Time) {
	for at, b := range m.buckets {
		if now.After(m.end(at)) {
			delete(m.buckets, at)
			m.count -= len(b.used)
			m.floor = max(m.floor, at+1)
		}
	}
}

// end is the last instant at which a proof of the bucket can be used.
func (m *memory) end(at int64) time.Time {
	last := time.Unix((at+1)*int64(span/time.Second)-1, 0)
	return last.Add(m.window)
}

// each counts the proofs of one key. mu is held.
func (m *memory) each(key digest) int {
	n := 0
	for _, b := range m.buckets {
		n += int(b.perKey[key])
	}
	return n
}

// nextRoom is how long until a bucket can be forgotten by the clock, where that is not
// wrong by more than a bucket. mu is held.
func (m *memory) nextRoom(now time.Time) time.Duration {
	wait := m.window + span
	for at := range m.buckets {
		wait = min(wait, m.end(at).Sub(now))
	}
	return max(wait, time.Second)
}

// size is how many proofs are remembered.
func (m *memory) size(now time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(now)
	return m.count
}

func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.buckets, m.count = nil, 0
}

// nameOf hashes texts so that no two lists of them give the same input.
func nameOf(texts ...string) (d digest) {
	var input []byte
	for _, t := range texts {
		input = binary.BigEndian.AppendUint32(input, uint32(len(t)))
		input = append(input, t...)
	}
	sum := sha256.Sum256(input)
	copy(d[:], sum[:])
	return d
}
