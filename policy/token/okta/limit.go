package okta

import (
	"net/http"
	"strconv"
	"time"
)

const (
	// maxStop caps the wait that an answer may ask of us and of our callers.
	maxStop = 5 * time.Minute
	// maxWindow caps a window that an answer may announce; Okta's have a minute.
	maxWindow = period + time.Second
)

// Rate is how a Budget stands.
type Rate struct {
	// Limit is the organization's, in calls per minute: what it said or what is assumed.
	Limit int
	// Remaining is how much of our share is left in this minute.
	Remaining int
	// Reset is how long until the server counts anew, zero where that is not known.
	Reset time.Duration
}

// Rate returns how the budget stands now.
func (b *Budget) Rate() Rate {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	ours, all, _, _ := b.allowances()
	b.all.drain(now, all.rate)
	r := Rate{Limit: b.limit, Remaining: int(ours - b.all.level)}
	if now.Before(b.window.ends) {
		r.Remaining = min(r.Remaining, int(ours)-(b.limit-b.window.left))
		r.Reset = b.window.ends.Sub(now)
	}
	if now.Before(b.stopped) {
		r.Remaining, r.Reset = 0, b.stopped.Sub(now)
	}
	r.Remaining = max(r.Remaining, 0)
	return r
}

// learn ends an admitted call with its answer, the zero reply where there is none.
func (b *Budget) learn(r reply) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flying--
	now := b.now()
	b.learnWindow(now, r)
	if r.status == http.StatusTooManyRequests {
		b.stop(now.Add(r.stop()))
	}
}

// learnWindow takes what an answer says of the limit. Answers overtake one another: an
// older window is dropped, and within one the least that was said to be left holds,
// which our own later calls have lessened already.
func (b *Budget) learnWindow(now time.Time, r reply) {
	limit, ok := r.number("X-Rate-Limit-Limit")
	if !ok || limit < 1 {
		return // a limit of 0 is how calls at once are refused
	}
	b.limit = int(min(limit, maxLimit))
	left, ok := r.number("X-Rate-Limit-Remaining")
	wait, dated := r.untilReset()
	if !ok || !dated || wait <= 0 {
		return
	}
	left = min(max(left, 0), int64(b.limit))
	reset, _ := r.number("X-Rate-Limit-Reset")
	switch {
	case !now.Before(b.window.ends) || reset > b.window.reset:
		// Those under way may be counted in it or not.
		b.window = window{reset: reset, ends: now.Add(min(wait, maxWindow)), left: int(left) - b.flying}
	case reset == b.window.reset:
		b.window.left = min(b.window.left, int(left))
	}
}

// number reads a header of one integer.
func (r reply) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(r.header.Get(name), 10, 64)
	return n, err == nil
}

// untilReset is Okta's reset instant seen from Okta's own clock; ours takes no part. Date
// has whole seconds, hence one more.
func (r reply) untilReset() (time.Duration, bool) {
	reset, ok := r.number("X-Rate-Limit-Reset")
	date, err := http.ParseTime(r.header.Get("Date"))
	if !ok || err != nil {
		return 0, false
	}
	// Capped before the subtraction, which could overflow.
	seconds := min(max(reset, date.Unix()-1), date.Unix()+int64(maxStop/time.Second)) - date.Unix() + 1
	return time.Duration(seconds) * time.Second, true
}

// stop is how long a 429 asks to wait: Retry-After in seconds if it is there, else until
// Okta's reset, else a whole window.
func (r reply) stop() time.Duration {
	if seconds, ok := r.number("Retry-After"); ok && seconds > 0 {
		return time.Duration(min(seconds, int64(maxStop/time.Second))) * time.Second
	}
	if wait, ok := r.untilReset(); ok {
		return min(max(wait, time.Second), maxStop)
	}
	return period
}
