package token

import (
	"errors"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// maxRefused and refusedFor bound the memory of refused tokens, which is apart so
	// that junk cannot evict live facts.
	maxRefused = 50_000
	refusedFor = 5 * time.Second
	// maxReason bounds the text kept with one, which comes from the server's answer.
	maxReason = 200
)

// refusal is a server's no, and when it was asked.
type refusal struct {
	err   *Error
	asked time.Time
}

// refusals remembers for some seconds which tokens the server refused, so that a token
// tried again and again costs one question.
type refusals struct{ cache *otter.Cache[key, refusal] }

func newRefusals() (*refusals, error) {
	cache, err := otter.New(&otter.Options[key, refusal]{
		MaximumSize:      maxRefused,
		ExpiryCalculator: otter.ExpiryWriting[key, refusal](refusedFor),
	})
	return &refusals{cache}, err
}

// get returns the refusal that still holds, or nil.
func (r *refusals) get(k key, now time.Time) error {
	if n, ok := r.cache.GetIfPresent(k.in(0)); ok && elapsed(n.asked, now) <= refusedFor {
		return n.err
	}
	return nil
}

// put keeps err, which does not show the token.
func (r *refusals) put(k key, err *Error, asked time.Time) {
	reason := ""
	if err.Cause != nil {
		reason = err.Cause.Error()
	}
	kept := &Error{Failure: err.Failure, Cause: errors.New(reason[:min(len(reason), maxReason)])}
	r.cache.Set(k.in(0), refusal{kept, asked})
}

func (r *refusals) forget(k key) { r.cache.Invalidate(k.in(0)) }

func (r *refusals) close() {
	r.cache.InvalidateAll()
	r.cache.StopAllGoroutines()
}
