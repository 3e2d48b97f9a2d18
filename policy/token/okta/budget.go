package okta

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"

	"github.com/durward/durward/policy/token"
)

const (
	// period is Okta's rate limit window.
	period = time.Minute
	// defaultShare leaves a fifth of the bucket to whatever else lives in it: sign-outs,
	// userinfo, the other applications of the organization.
	defaultShare = 0.8
	// defaultLimit is the least that Okta grants any organization.
	defaultLimit = 300
	// maxLimit is beyond what Okta grants; more is not believed.
	maxLimit = 1_000_000
)

// What part of the share each priority may use up before it has to stop. What is kept
// back for Known cannot be drained by tokens that nobody saw before, not even by many
// replicas together, since Okta tells each what all have spent.
const (
	aheadPart  = 0.5
	unseenPart = 0.7
	// unseenShare and retryShare are parts of the share that have meters of their own.
	unseenShare = 0.3
	retryShare  = 0.1
)

// BudgetConfig describes a Budget. The zero value is a good one.
type BudgetConfig struct {
	// Now is the clock, time.Now where nil. Only the time that passes between two
	// readings counts.
	Now func() time.Time
	// Share is the part of the organization's limit that may be spent, at most 1; zero
	// means 0.8. With several replicas it need not be divided by their number: each
	// stops when all together have spent it.
	Share float64
	// Limit is how many calls per minute are assumed until the server says; zero means
	// 300. A server that never says leaves it at that.
	Limit int
}

// Budget bounds what one Okta organization (host) is asked, over all its authorization
// servers and across configurations: never more than its share of the limit in any
// minute, wherever the minute begins, never all of it at once, and never more than 64
// calls at a time. It believes the X-Rate-Limit headers as the server's own Date dates
// them.
//
// Clients of one host share a Budget. The organization's own authorization server, whose
// issuer has no path, has a bucket of its own at Okta and should have another Budget.
type Budget struct {
	now   func() time.Time
	share float64
	// slots are calls under way; guests those of them that are not about a known token.
	slots, guests bulkhead.Bulkhead[any]

	mu    sync.Mutex
	limit int
	// all is everything spent; unseen and retries are parts of it.
	all, unseen, retries meter
	flying               int
	window               window
	stopped              time.Time
}

// window is what the server said of its own counting.
type window struct {
	// reset names it, by the server's clock; ends is the same by ours.
	reset int64
	ends  time.Time
	left  int
}

// NewBudget refuses a share that is none.
func NewBudget(c BudgetConfig) (*Budget, error) {
	if c.Share == 0 {
		c.Share = defaultShare
	}
	if c.Limit == 0 {
		c.Limit = defaultLimit
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if !(c.Share > 0 && c.Share <= 1) {
		return nil, fmt.Errorf("okta: budget share %g is not above 0 and at most 1", c.Share)
	}
	if c.Limit < 1 || c.Limit > maxLimit {
		return nil, fmt.Errorf("okta: budget limit %d is not between 1 and %d", c.Limit, maxLimit)
	}
	return &Budget{
		now: c.Now, share: c.Share, limit: c.Limit,
		slots: bulkhead.New[any](maxFlying), guests: bulkhead.New[any](maxGuests),
	}, nil
}

// meter is a leaky bucket: it fills with what is spent and runs out steadily.
type meter struct {
	level float64
	// at is when level was right; in the future, the meter stands still until then.
	at time.Time
}

func (m *meter) drain(now time.Time, rate float64) {
	if passed := now.Sub(m.at); passed > 0 {
		m.level = max(0, m.level-rate*passed.Seconds())
		m.at = now
	}
}

// allowance bounds a meter: burst at once and rate per second.
type allowance struct{ burst, rate float64 }

// perMinute allows n in any minute, a part of it at once.
func perMinute(n, part float64) allowance {
	burst := max(1, n*part)
	return allowance{burst, max((n-burst)/period.Seconds(), 0.5/period.Seconds())}
}

// allowances returns what the limit comes to. mu is held.
func (b *Budget) allowances() (ours float64, all, unseen, retries allowance) {
	ours = b.share * float64(b.limit)
	return ours, perMinute(ours, 0.25), perMinute(ours*unseenShare, 0.5), perMinute(ours*retryShare, 0.5)
}

// admit spends one call, or says why not and when there will be more. What it admitted
// must come to learn or refund.
func (b *Budget) admit(p token.Priority, retry bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	ours, all, unseen, retries := b.allowances()
	b.all.drain(now, all.rate)
	b.unseen.drain(now, unseen.rate)
	b.retries.drain(now, retries.rate)
	part := partOf(p)
	open := now.Before(b.window.ends)
	switch {
	case now.Before(b.stopped):
		return b.refuse(now, 0, "the server said stop")
	case open && float64(b.limit-b.window.left) >= ours*part:
		if part == 1 {
			b.stop(b.window.ends)
		}
		return b.refuse(now, 0, "the window is spent")
	case b.all.level+1 > max(1, all.burst*part):
		return b.refuse(now, (b.all.level+1-all.burst*part)/all.rate, "too many calls at once")
	case p == token.Unseen && b.unseen.level+1 > unseen.burst:
		return b.refuse(now, (b.unseen.level+1-unseen.burst)/unseen.rate, "too many unknown tokens")
	case retry && b.retries.level+1 > retries.burst:
		return b.refuse(now, 0, "too many retries")
	}
	b.spend(p, retry, 1)
	return nil
}

func partOf(p token.Priority) float64 {
	switch p {
	case token.Known:
		return 1
	case token.Unseen:
		return unseenPart
	default:
		return aheadPart
	}
}

// spend moves the meters by one call, or back. mu is held.
func (b *Budget) spend(p token.Priority, retry bool, n int) {
	b.all.level = max(0, b.all.level+float64(n))
	if p == token.Unseen {
		b.unseen.level = max(0, b.unseen.level+float64(n))
	}
	if retry {
		b.retries.level = max(0, b.retries.level+float64(n))
	}
	b.window.left -= n
	b.flying += n
}

// refund takes back a call that was admitted and not made.
func (b *Budget) refund(p token.Priority, retry bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spend(p, retry, -1)
}

// check refuses a call that was admitted before the server said stop.
func (b *Budget) check() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.now(); now.Before(b.stopped) {
		return b.refuse(now, 0, "the server said stop")
	}
	return nil
}

// refuse tells when the server counts anew, if that is known, else when the meter will
// have run out far enough. mu is held.
func (b *Budget) refuse(now time.Time, seconds float64, why string) error {
	wait := time.Duration(min(seconds, maxStop.Seconds()) * float64(time.Second))
	if now.Before(b.window.ends) {
		wait = b.window.ends.Sub(now)
	}
	if now.Before(b.stopped) {
		wait = b.stopped.Sub(now)
	}
	return &token.Error{Failure: token.RateLimited, RetryAfter: max(wait, time.Second), Cause: errors.New("not asked: " + why)}
}

// stop allows nothing until then, and from then on what runs out of the meters: not all
// that waited at once. mu is held.
func (b *Budget) stop(until time.Time) {
	if !until.After(b.stopped) {
		return
	}
	_, all, unseen, retries := b.allowances()
	b.stopped = until
	b.all = meter{level: all.burst, at: until}
	b.unseen = meter{level: unseen.burst, at: until}
	b.retries = meter{level: retries.burst, at: until}
}
