package token

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// defaultMaxBytes bounds the live facts of one server.
	defaultMaxBytes = 256 << 20
	// entryOverhead is what an entry takes beside its claims' text, roughly.
	entryOverhead = 320
	// Ceiling is the longest that a fact is kept, and so the longest useful max_age.
	Ceiling = time.Hour
)

// key names a token and a mode: what is kept cannot be turned back into a token. It is
// a SHA-256, but for the last two bits, which are the mode's place in modes; 0 there
// means the token as such.
type key [sha256.Size]byte

var modes = [4]Mode{1: ByIntrospection, 2: ByJWT, 3: ByBoth}

func (k key) in(mode int) key {
	k[len(k)-1] = k[len(k)-1]&^3 | byte(mode)
	return k
}

func (k key) mode() Mode { return modes[k[len(k)-1]&3] }

// keyOf hashes the issuer, behind its length, and the token.
func (v *Verifier) keyOf(t Token, mode Mode) (key, error) {
	m := slices.Index(modes[:], mode)
	if m <= 0 {
		return key{}, Unavailablef("unknown mode of verification %q", mode)
	}
	// Room for most tokens, so that nothing need be allocated.
	b := make([]byte, 0, 2048)
	issuer := v.config.Issuers[0]
	b = binary.AppendUvarint(b, uint64(len(issuer)))
	b = append(b, issuer...)
	b = append(b, t.Reveal()...)
	return key(sha256.Sum256(b)).in(m), nil
}

// liveFacts keeps facts about active tokens, never verdicts: every check judges anew.
type liveFacts struct {
	cache *otter.Cache[key, *entry]
	// keep is the longest max_age among the server's policies, in nanoseconds.
	keep atomic.Int64
	// most is how many bytes it may hold while memory is plenty.
	most uint64
}

func newLiveFacts(maxBytes int64) (*liveFacts, error) {
	if maxBytes <= 0 {
		maxBytes = defaultMaxBytes
	}
	l := &liveFacts{most: uint64(maxBytes)}
	l.keep.Store(int64(Ceiling))
	cache, err := otter.New(&otter.Options[key, *entry]{
		MaximumWeight: l.most,
		Weigher:       func(_ key, e *entry) uint32 { return e.weight() },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[key, *entry]) time.Duration {
			return max(e.Value.ttl, 1) // otter keeps what is not positive for ever
		}),
	})
	l.cache = cache
	return l, err
}

// bound is how many bytes it may hold now.
func (l *liveFacts) bound() uint64 { return l.cache.GetMaximum() }

func (l *liveFacts) get(k key, now time.Time) *entry {
	e, ok := l.cache.GetIfPresent(k)
	if !ok {
		return nil
	}
	if e.dead(now) {
		l.cache.Invalidate(k) // a clock that steps back must not raise it
		return nil
	}
	return e
}

// put keeps e, unless it is over already or what is there knows better.
func (l *liveFacts) put(k key, e *entry, now time.Time) {
	keep := Ceiling
	if k.mode() != ByJWT {
		keep = time.Duration(l.keep.Load()) - e.age(now)
	}
	if e.ttl = min(e.left(now), keep); e.ttl <= 0 {
		return
	}
	l.cache.Compute(k, func(old *entry, found bool) (*entry, otter.ComputeOp) {
		if found && old.turn > e.turn {
			return old, otter.CancelOp
		}
		return e, otter.WriteOp
	})
}

// forget drops a token's facts, however they were learned.
func (l *liveFacts) forget(k key) {
	for m := range modes {
		l.cache.Invalidate(k.in(m))
	}
}

// forgetWhere drops every fact that matches, and counts them. It looks at all of them.
func (l *liveFacts) forgetWhere(match func(*entry) bool) int {
	n := 0
	for k, e := range l.cache.All() {
		if match(e) {
			l.cache.Invalidate(k)
			n++
		}
	}
	return n
}

func (l *liveFacts) close() {
	l.cache.InvalidateAll()
	l.cache.StopAllGoroutines()
}
