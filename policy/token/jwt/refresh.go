package jwt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// fetchTimeout bounds one fetch.
	fetchTimeout = 10 * time.Second
	// minRefresh and maxRefresh bound the time from one fetch that gave keys to the next,
	// whatever Cache-Control says: Okta has sent both no-store and 44 days.
	minRefresh = time.Minute
	maxRefresh = time.Hour
	// usualRefresh is for documents without max-age.
	usualRefresh = 15 * time.Minute
	// minRetry doubles with every failure in a row, up to maxRetry.
	minRetry = time.Second
	maxRetry = time.Minute
)

// Run fetches the keys now and then as often as Cache-Control asks, within 1 minute and
// 1 hour, earlier by up to a tenth lest replicas ask together, and after a failure from
// 1 s to 1 minute later. It also does the fetches that Verify asks for. It returns nil
// when ctx ends; what waits then is told so. A second Run is an error.
func (k *Keys) Run(ctx context.Context) error {
	k.mu.Lock()
	if k.state != idle {
		k.mu.Unlock()
		return errors.New("jwt: keys are run already")
	}
	k.state = running
	k.mu.Unlock()
	defer k.stop()
	for ctx.Err() == nil {
		timer := time.NewTimer(k.refresh(ctx))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-k.wake:
		}
		timer.Stop()
	}
	return nil
}

// stop ends an attempt that nobody will make any more.
func (k *Keys) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state = stopped
	if k.attempt != nil {
		k.end(errors.New("fetched no more"))
	}
}

// refresh makes one attempt and returns how long to wait for the next.
func (k *Keys) refresh(ctx context.Context) time.Duration {
	began := k.begin()
	set, wait, err := k.load(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status.Attempts++
	k.status.Err = err
	if err != nil {
		k.status.Failures++
		wait = retry(k.failed)
		k.failed++
	} else {
		k.failed = 0
		k.held.Store(&held{set: set, at: began, generation: k.following(k.held.Load(), set)})
	}
	k.nextAt = k.now().Add(wait)
	k.end(err)
	return wait
}

// begin takes up the attempt that was asked for, or makes one, and returns its time.
func (k *Keys) begin() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.attempt == nil {
		k.attempt = &attempt{done: make(chan struct{})}
	}
	select {
	case <-k.wake:
	default:
	}
	return k.now()
}

// end tells those who wait. mu is held.
func (k *Keys) end(err error) {
	k.attempt.err = err
	close(k.attempt.done)
	k.attempt = nil
}

func (k *Keys) load(ctx context.Context) (*KeySet, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	document, lifetime, noCache, err := k.fetch(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch: %w", err)
	}
	set, err := ParseKeySet(document, k.allowed...)
	if err != nil {
		return nil, 0, err
	}
	return set, interval(lifetime, noCache), nil
}

// interval is how long after a success to fetch again.
func interval(lifetime time.Duration, noCache bool) time.Duration {
	switch {
	case noCache:
		lifetime = minRefresh
	case lifetime <= 0:
		lifetime = usualRefresh
	}
	return max(jittered(min(lifetime, maxRefresh)), minRefresh)
}

// retry is how long after a failure, the failed-th in a row, to fetch again.
func retry(failed int) time.Duration {
	return jittered(min(minRetry<<min(failed, 10), maxRetry))
}

// jittered takes up to a tenth from d.
func jittered(d time.Duration) time.Duration {
	return d - rand.N(d/10+1) //nolint:gosec // spreads load, guards nothing
}
