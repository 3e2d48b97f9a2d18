package token

import "time"

// Kept reports whether a live fact about t is kept, however old, and for how long otter
// will keep it.
func (v *Verifier) Kept(t Token, m Mode) (time.Duration, bool) {
	k, err := v.keyOf(t, m)
	if err != nil {
		return 0, false
	}
	e, ok := v.live.cache.GetEntryQuietly(k)
	return e.ExpiresAfter(), ok
}

// Sizes returns the live facts, their weight in bytes, and the refusals.
func (v *Verifier) Sizes() (live int, bytes uint64, refused int) {
	v.live.cache.CleanUp()
	v.refused.cache.CleanUp()
	return v.live.cache.EstimatedSize(), v.live.cache.WeightedSize(), v.refused.cache.EstimatedSize()
}

// Shared returns the families that are kept, and their size in bytes.
func (v *Verifier) Shared() (n, bytes int) {
	v.families.mu.Lock()
	defer v.families.mu.Unlock()
	for _, f := range v.families.known {
		bytes += f.size()
	}
	return len(v.families.known), bytes
}

// UnderWay returns the questions that were not answered yet.
func (v *Verifier) UnderWay() int {
	v.desk.mu.Lock()
	defer v.desk.mu.Unlock()
	return len(v.desk.current) + len(v.desk.next)
}

// KeyOf is the cache key of a token of the server whose first issuer is given.
func KeyOf(issuer, text string, m Mode) ([32]byte, error) {
	v := Verifier{config: Config{Issuers: []string{issuer}}}
	return v.keyOf(Token{secret: &text}, m)
}

// Yield is what Run does when the garbage collector finds live of limit bytes in use.
func (v *Verifier) Yield(live, limit uint64) { v.yield(heap{live: live, limit: limit}) }

// Bound is how many bytes of live facts may be kept.
func (v *Verifier) Bound() uint64 { return v.live.bound() }

// Bounds that tests need to know.
const (
	MaxQuestions = maxQuestions
	MaxFamilies  = maxFamilies
	MaxRefused   = maxRefused
	RefusedFor   = refusedFor
)
