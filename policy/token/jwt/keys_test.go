package jwt

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
)

func TestFirstFetchIsWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{delay: 3 * time.Second}
		p.publish(oldKey())
		k := newKeys(t, p)
		run(t, k)
		var checks sync.WaitGroup
		for range 100 {
			checks.Go(func() { mustVerify(t, k, oldToken(), "", 3*time.Second) })
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if c, err := k.Verify(ctx, oldToken()); failure(t, c, err) != token.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a deadline: %v", err)
		}
		checks.Wait()
		if p.calls() != 1 {
			t.Errorf("%d fetches", p.calls())
		}
		if s := k.Status(); s.Attempts != 1 || s.Forced != 0 || s.Failures != 0 || s.Err != nil || !s.FetchedAt.Equal(p.began[0]) || len(s.KeyIDs) != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestUnreachableAtStart (F10): unavailable, at once after the first attempt, until the
// server answers; no more than a minute later all is well without anybody's doing.
func TestUnreachableAtStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{delay: 2 * time.Second, err: errors.New("refused")}
		k := newKeys(t, p)
		run(t, k)
		mustVerify(t, k, oldToken(), token.Unavailable, 2*time.Second)
		for range 1000 {
			err := mustVerify(t, k, oldToken(), token.Unavailable, 0)
			var known *token.Error
			if errors.As(err, &known) && (known.RetryAfter < time.Second || known.RetryAfter > time.Minute) {
				t.Fatalf("retry after %s", known.RetryAfter)
			}
		}
		settled(10 * time.Minute)
		if n := p.calls(); n < 12 || n > 18 {
			t.Errorf("%d fetches in 10 minutes of outage", n)
		}
		if s := k.Status(); s.Failures != s.Attempts || s.Err == nil || !s.FetchedAt.IsZero() || s.KeyIDs != nil {
			t.Errorf("%+v", s)
		}
		for n := p.calls(); p.calls() == n; {
			time.Sleep(100 * time.Millisecond)
		}
		mustVerify(t, k, oldToken(), token.Unavailable, 0) // though an attempt is under way
		p.publish(oldKey())
		settled(p.delay)
		err := mustVerify(t, k, oldToken(), token.Unavailable, 0)
		var known *token.Error
		if !errors.As(err, &known) {
			t.Fatal(err)
		}
		settled(known.RetryAfter + p.delay)
		mustVerify(t, k, oldToken(), "", 0)
	})
}

func TestNotRunning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{}
		p.publish(oldKey())
		k := newKeys(t, p)
		mustVerify(t, k, oldToken(), token.Unavailable, 5*time.Second)
		stop := run(t, k)
		mustVerify(t, k, oldToken(), "", 0)
		if err := k.Run(t.Context()); err == nil {
			t.Error("a second Run")
		}
		p.set(func(p *publisher) { p.delay = 8 * time.Second })
		time.AfterFunc(2*time.Second, stop)
		mustVerify(t, k, newToken(), token.Unavailable, 2*time.Second) // its fetch never ended
		settled(0)
		mustVerify(t, k, newToken(), token.Unavailable, 0)
		mustVerify(t, k, oldToken(), "", 0)
		if err := k.Run(t.Context()); err == nil {
			t.Error("Run after Run")
		}
		settled(25 * time.Hour)
		mustVerify(t, k, oldToken(), token.Unavailable, 0)
	})
}

// TestStopped: what is known works on, and nobody waits for what will not come.
func TestStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{lifetime: time.Hour}
		p.publish(oldKey())
		k := newKeys(t, p)
		stop := run(t, k)
		mustVerify(t, k, oldToken(), "", 0)
		stop()
		mustVerify(t, k, oldToken(), "", 0)
		mustVerify(t, k, newToken(), token.Unavailable, 0)
		if n := p.calls(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

// TestAsk holds what only a race would show: a key that arrives between look-up and
// asking is found, and a fetch that was asked for as the timer fired is made once.
func TestAsk(t *testing.T) {
	t.Parallel()
	p := &publisher{}
	p.publish(oldKey())
	k := newKeys(t, p)
	k.refresh(t.Context())
	if a, mine, err := k.ask("old"); err != nil || mine || a != finished {
		t.Errorf("of a known key: %v", err)
	}
	a, mine, err := k.ask("new")
	if err != nil || !mine || len(k.wake) != 1 {
		t.Fatalf("of an unknown key: %v", err)
	}
	k.refresh(t.Context())
	select {
	case <-a.done:
	default:
		t.Error("the attempt is not done")
	}
	if len(k.wake) != 0 || p.calls() != 2 {
		t.Errorf("another is due after %d", p.calls())
	}
}

// TestTooOld is judged by the clock, whatever became of the fetches.
func TestTooOld(t *testing.T) {
	t.Parallel()
	p := &publisher{}
	p.publish(oldKey())
	at := time.Now()
	k, err := NewKeys(p.fetch, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	k.refresh(t.Context())
	for age, want := range map[time.Duration]token.Failure{0: "", 24 * time.Hour: "", 24*time.Hour + 1: token.Unavailable} {
		at = k.Status().FetchedAt.Add(age)
		c, err := k.Verify(t.Context(), oldToken())
		if got := failure(t, c, err); got != want {
			t.Errorf("after %s: %v", age, err)
		}
		if err != nil && !strings.Contains(err.Error(), "too old") {
			t.Errorf("after %s: %v", age, err)
		}
	}
}

func TestAlgorithmsOfKeys(t *testing.T) {
	t.Parallel()
	p := &publisher{}
	p.publish(oldKey(), ecJWK("e1", &p256Key().PublicKey))
	for want, allowed := range map[string][]Algorithm{"old": nil, "e1": {ES256}} {
		k, err := NewKeys(p.fetch, time.Now, allowed...)
		if err != nil {
			t.Fatal(err)
		}
		k.refresh(t.Context())
		if diff := cmp.Diff([]string{want}, k.Status().KeyIDs); diff != "" {
			t.Error(diff)
		}
	}
}

// TestStoppedBeforeTheFirstFetch tells those who wait.
func TestStoppedBeforeTheFirstFetch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKeys(t, &publisher{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.AfterFunc(time.Second, func() {
			if err := k.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		mustVerify(t, k, oldToken(), token.Unavailable, time.Second)
		if n := k.Status().Attempts; n != 0 {
			t.Errorf("%d fetches", n)
		}
	})
}

// TestSameKeyID (T12): two servers may use one kid for different keys.
func TestSameKeyID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := &publisher{lifetime: time.Hour}, &publisher{lifetime: time.Hour}
		a.publish(oldKey())
		b.publish(newKey().with("kid", "old"))
		ofA, ofB := newKeys(t, a), newKeys(t, b)
		run(t, ofA)
		run(t, ofB)
		for range 3 { // cold and warm
			mustVerify(t, ofB, oldToken(), token.SignatureInvalid, 0)
			mustVerify(t, ofA, oldToken(), "", 0)
		}
		if a.calls() != 1 || b.calls() != 1 {
			t.Errorf("%d and %d fetches: a bad signature is no reason for one", a.calls(), b.calls())
		}
	})
}

func TestNewKeysRefuses(t *testing.T) {
	t.Parallel()
	p := &publisher{}
	for name, make := range map[string]func() (*Keys, error){
		"no fetch":  func() (*Keys, error) { return NewKeys(nil, time.Now) },
		"no clock":  func() (*Keys, error) { return NewKeys(p.fetch, nil) },
		"algorithm": func() (*Keys, error) { return NewKeys(p.fetch, time.Now, RS256, "HS256") },
	} {
		if k, err := make(); err == nil || k != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	c, err := newKeys(t, p).Verify(t.Context(), Unverified{})
	if failure(t, c, err) != token.Malformed {
		t.Errorf("no token: %v", err)
	}
}
