package jwt

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/token"
)

// publisher is an authorization server's key endpoint.
type publisher struct {
	mu       sync.Mutex
	document []byte
	lifetime time.Duration
	noCache  bool
	err      error
	delay    time.Duration
	began    []time.Time
}

// fetch answers after the delay with what was published when it began.
func (p *publisher) fetch(ctx context.Context) ([]byte, time.Duration, bool, error) {
	p.mu.Lock()
	p.began = append(p.began, time.Now())
	document, lifetime, noCache, delay, err := p.document, p.lifetime, p.noCache, p.delay, p.err
	p.mu.Unlock()
	select {
	case <-time.After(delay):
		return document, lifetime, noCache, err
	case <-ctx.Done():
		return nil, 0, false, ctx.Err()
	}
}

func (p *publisher) set(change func(*publisher)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *publisher) publish(keys ...jwk) {
	p.set(func(p *publisher) { p.document, p.err = document(keys...), nil })
}

func (p *publisher) fail(err error) { p.set(func(p *publisher) { p.err = err }) }

func (p *publisher) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.began)
}

func newKeys(t *testing.T, p *publisher) *Keys {
	t.Helper()
	k, err := NewKeys(p.fetch, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// run starts k and ends it with the test.
func run(t *testing.T, k *Keys) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- k.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// oldKey and newKey are what a server rotates between.
func oldKey() jwk { return rsaJWK("old", &rsaKey().PublicKey) }
func newKey() jwk { return rsaJWK("new", &otherRSA().PublicKey) }

var (
	oldToken = sync.OnceValue(func() Unverified {
		return must(parseText(jws(`{"kid":"old","alg":"RS256"}`, aliceClaims, rs256(rsaKey()))))
	})
	newToken = sync.OnceValue(func() Unverified {
		return must(parseText(jws(`{"kid":"new","alg":"RS256"}`, aliceClaims, rs256(otherRSA()))))
	})
)

// junk names a key that nobody has.
func junk(kid string) Unverified {
	return Unverified{&parsed{header: header{RS256, kid}, claims: alice(), compact: &compact{signed: "x.y", signature: make([]byte, 256)}}}
}

// mustVerify wants the verdict after exactly that time; "" is success.
func mustVerify(t *testing.T, k *Keys, u Unverified, want token.Failure, after time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	began := time.Now()
	c, err := k.Verify(ctx, u)
	if got := failure(t, c, err); got != want {
		t.Errorf("error is %v, want %q", err, want)
	}
	if err == nil && c.Subject != "alice@example.com" {
		t.Errorf("claims are %+v", c)
	}
	if took := time.Since(began); took != after {
		t.Errorf("took %s, want %s", took, after)
	}
	return err
}

// settled waits until nothing is under way but timers.
func settled(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	oldToken() // made outside: signing is not about time
	newToken()
	synctest.Test(t, test)
}
