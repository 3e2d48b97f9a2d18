package jwt

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/durward/durward/policy/token"
)

const (
	// maxAge is how long keys are used after the last fetch that gave any.
	maxAge = 24 * time.Hour
	// forcedInterval is the least time between two fetches that tokens ask for.
	forcedInterval = 30 * time.Second
	// absentFor is how long a kid that was fetched for in vain asks for no fetch again.
	// A key that appears meanwhile is found by any other fetch.
	absentFor = 5 * time.Minute
)

// Fetch reads the JWKS document of one authorization server, at most 1 MiB, once. lifetime
// is the max-age of its Cache-Control, zero where there is none; noCache says that it must
// not be cached. Fetch heeds its context, which always has a deadline.
type Fetch func(ctx context.Context) (document []byte, lifetime time.Duration, noCache bool, err error)

// Keys are the keys of one authorization server, kept fresh by Run. It is safe for
// concurrent use.
//
// A fetch that gives a usable key replaces the whole set: a key that the server withdrew
// stops working. Any other outcome leaves the set alone until it is 24 h old.
type Keys struct {
	fetch   Fetch
	allowed []Algorithm
	now     func() time.Time
	held    atomic.Pointer[held]
	// wake tells Run of an attempt that a token asked for.
	wake chan struct{}

	mu sync.Mutex
	// attempt is asked for or under way, else nil.
	attempt  *attempt
	forcedAt time.Time
	nextAt   time.Time
	// failed counts failures since the last success.
	failed int
	// absent holds until when each kid asks for no fetch. One joins it per forced fetch,
	// so there are never more than absentFor/forcedInterval.
	absent map[string]time.Time
	state  state
	status Status
}

// held is a set and when its fetch began.
type held struct {
	set        *KeySet
	at         time.Time
	generation uint64
}

// attempt is one fetch, which any number of checks wait for.
type attempt struct {
	done chan struct{}
	// err is to be read when done is closed.
	err error
}

type state int

const (
	idle state = iota
	running
	stopped
)

// Status tells how the keys of one server are, for metrics and logs.
type Status struct {
	// KeyIDs are the usable keys, sorted.
	KeyIDs []string
	// Dropped says why other keys of the same document are not usable.
	Dropped []error
	// FetchedAt is when the last fetch that gave usable keys began; zero if none did.
	FetchedAt time.Time
	// Attempts counts fetches that ended, Forced those that unknown kids asked for, and
	// Failures those that gave no usable key.
	Attempts, Forced, Failures uint64
	// Err is why the last attempt failed, nil where it did not.
	Err error
}

// NewKeys prepares the keys of one server; it fetches nothing, see Run. The algorithms
// allowed are RS256 where none is given, see ParseKeySet. now tells the time.
func NewKeys(fetch Fetch, now func() time.Time, allowed ...Algorithm) (*Keys, error) {
	allowed, err := algorithms(allowed)
	if err != nil {
		return nil, err
	}
	if fetch == nil || now == nil {
		return nil, errors.New("jwt: keys without fetch or clock")
	}
	return &Keys{
		fetch: fetch, allowed: allowed, now: now,
		wake:    make(chan struct{}, 1),
		attempt: &attempt{done: make(chan struct{})},
		absent:  make(map[string]time.Time),
	}, nil
}

// Verify is Key.Verify with the key that the token names. It waits, as long as ctx does,
// for the first fetch ever, and for a fetch that an unknown kid makes necessary: at most
// one per 30 s, shared by all that wait, and one per kid in 5 minutes. A known kid never
// waits. The error is a *token.Error: SignatureInvalid where keys that were just fetched
// do not have the kid, Unavailable where there are no keys or they could not be fetched.
func (k *Keys) Verify(ctx context.Context, u Unverified) (token.Claims, error) {
	if u.parsed == nil {
		return token.Claims{}, malformed(errors.New("no token"))
	}
	key, err := k.key(ctx, u.parsed.header.keyID)
	if err != nil {
		return token.Claims{}, err
	}
	return key.Verify(u)
}

// Status returns a snapshot.
func (k *Keys) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.status
	if h := k.held.Load(); h != nil {
		s.KeyIDs, s.Dropped, s.FetchedAt = h.set.IDs(), h.set.Dropped(), h.at
	}
	return s
}

// current returns the set in use, nil where there is none or it is too old.
func (k *Keys) current() *KeySet {
	h := k.held.Load()
	if h == nil || k.tooOld(h) {
		return nil
	}
	return h.set
}

func (k *Keys) tooOld(h *held) bool { return k.now().Sub(h.at) > maxAge }

func (k *Keys) key(ctx context.Context, kid string) (Key, error) {
	asked := false
	for {
		if key, ok := k.current().Lookup(kid); ok {
			return key, nil
		}
		if asked {
			k.missed(kid)
			return Key{}, invalid("no key has the kid")
		}
		a, mine, err := k.ask(kid)
		if err != nil {
			return Key{}, err
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return Key{}, token.Unavailablef("keys are being fetched: %w", context.Cause(ctx))
		}
		if a.err != nil {
			return Key{}, token.Unavailablef("keys: %w", a.err)
		}
		asked = mine
	}
}

// ask returns an attempt worth waiting for by a token whose kid is not in the set, and
// whether it begins for this kid: one that is under way may have missed the key.
func (k *Keys) ask(kid string) (a *attempt, mine bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	set, now := k.current(), k.now()
	_, known := set.Lookup(kid)
	switch {
	case known:
		return finished, false, nil
	case set != nil && now.Before(k.absent[kid]):
		return nil, false, invalid("no key has the kid")
	case k.state == stopped:
		return nil, false, token.Unavailablef("keys are fetched no more")
	case k.attempt != nil && (set != nil || k.status.Attempts == 0):
		return k.attempt, false, nil
	case set == nil || k.status.Err != nil && k.coolsDown(now):
		return nil, false, k.unavailable(now)
	case k.coolsDown(now):
		return nil, false, invalid("no key has the kid")
	}
	k.forcedAt = now
	k.attempt = &attempt{done: make(chan struct{})}
	k.status.Forced++
	k.wake <- struct{}{}
	return k.attempt, true, nil
}

// finished is an attempt that nobody needs to wait for.
var finished = func() *attempt {
	a := &attempt{done: make(chan struct{})}
	close(a.done)
	return a
}()

// coolsDown reports whether the last forced fetch is too recent for another. mu is held.
func (k *Keys) coolsDown(now time.Time) bool {
	return now.Sub(k.forcedAt) < forcedInterval
}

// unavailable says when the next attempt is due. mu is held.
func (k *Keys) unavailable(now time.Time) error {
	cause := k.status.Err
	if cause == nil {
		cause = errors.New("too old")
	}
	err := token.Unavailablef("no fresh keys: %w", cause)
	err.RetryAfter = max(k.nextAt.Sub(now), time.Second)
	return err
}

// missed remembers a kid that a fetch of its own did not find.
func (k *Keys) missed(kid string) {
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, until := range k.absent {
		if !now.Before(until) {
			delete(k.absent, id)
		}
	}
	k.absent[kid] = now.Add(absentFor)
}
