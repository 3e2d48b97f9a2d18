package token

import "sync/atomic"

// Metrics counts look-ups of any number of verifiers, and the room that they have. A nil
// *Metrics counts nothing. It knows no metrics library, since package policy must not link
// one.
type Metrics struct {
	lookups [len(results)]atomic.Uint64
	bound   atomic.Int64
}

// result of a look-up: an index into results.
type result int

const (
	hit result = iota
	miss
	coalesced
	refreshed
	refused
)

// results are the names, as metric labels.
var results = [...]string{"hit", "miss", "coalesced", "refreshed", "refused"}

// Lookups returns a reader of the count for each result: hit (a fact young enough was
// there), miss (a question or a signature check was needed), coalesced (another check's
// question served), refreshed (a fact in use was asked about early), refused (the server
// said no moments ago).
func (m *Metrics) Lookups() map[string]func() uint64 {
	all := make(map[string]func() uint64, len(results))
	for i, name := range results {
		all[name] = m.lookups[i].Load
	}
	return all
}

// Bound is how many bytes of live facts all verifiers together may keep now: less while
// memory is short.
func (m *Metrics) Bound() int64 { return m.bound.Load() }

func (m *Metrics) bind(more int64) {
	if m != nil {
		m.bound.Add(more)
	}
}

func (m *Metrics) count(r result) {
	if m != nil {
		m.lookups[r].Add(1)
	}
}
