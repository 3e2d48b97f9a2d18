package jwt

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
)

// TestBadDocuments (F11): what is not a usable document changes nothing for 24 hours,
// shows in the status, and is made good by the next that is one.
func TestBadDocuments(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{lifetime: time.Hour}
		p.publish(oldKey())
		k := newKeys(t, p)
		run(t, k)
		mustVerify(t, k, oldToken(), "", 0)
		fetched := k.Status().FetchedAt
		good := document(oldKey())
		bad := [][]byte{nil, []byte(`{"keys":[]}`), good[:len(good)/2], []byte("<html>"), document(oldKey().with("alg", "none")), document(oldKey(), oldKey())}
		for time.Since(fetched) <= 24*time.Hour {
			p.set(func(p *publisher) { p.document = bad[len(p.began)%len(bad)] })
			mustVerify(t, k, oldToken(), "", 0)
			settled(10 * time.Minute)
		}
		mustVerify(t, k, oldToken(), token.Unavailable, 0)
		s := k.Status()
		if s.Err == nil || s.Failures != s.Attempts-1 || !s.FetchedAt.Equal(fetched) {
			t.Errorf("%+v", s)
		}
		if s.Attempts > 25*70 {
			t.Errorf("%d attempts in a day", s.Attempts)
		}
		p.publish(oldKey())
		settled(maxRetry)
		mustVerify(t, k, oldToken(), "", 0)
		if s := k.Status(); s.Err != nil || time.Since(s.FetchedAt) > maxRetry {
			t.Errorf("%+v", s)
		}
	})
}

// TestUnknownKeyIDInAnOutage: nobody can say whether the key is new; known keys work.
func TestUnknownKeyIDInAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{lifetime: time.Hour}
		p.publish(oldKey())
		k := newKeys(t, p)
		run(t, k)
		mustVerify(t, k, oldToken(), "", 0)
		p.fail(errors.New("down"))
		settled(time.Minute)
		for range 100 {
			mustVerify(t, k, newToken(), token.Unavailable, 0)
			mustVerify(t, k, oldToken(), "", 0)
		}
		if s := k.Status(); s.Forced != 1 || s.Attempts != 2 {
			t.Errorf("%+v", s)
		}
		p.publish(newKey())
		settled(maxRetry)
		mustVerify(t, k, newToken(), "", 0)
	})
}

// TestNobodyWaitsForARefresh: a server that drips is given 10 s, and known keys no wait.
func TestNobodyWaitsForARefresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{lifetime: time.Minute}
		p.publish(oldKey())
		k := newKeys(t, p)
		run(t, k)
		mustVerify(t, k, oldToken(), "", 0)
		p.set(func(p *publisher) { p.delay = time.Hour })
		for range 300 {
			mustVerify(t, k, oldToken(), "", 0)
			time.Sleep(time.Second)
		}
		if s := k.Status(); s.Failures < 5 || !errors.Is(s.Err, context.DeadlineExceeded) {
			t.Errorf("%+v", s)
		}
		for i := 2; i < len(p.began); i++ {
			if gap := p.began[i].Sub(p.began[i-1]); gap < fetchTimeout || gap > fetchTimeout+maxRetry {
				t.Errorf("attempt %d began %s after the one before", i, gap)
			}
		}
	})
}

// TestWaitersLeave: a check that gives up ends no fetch for the others.
func TestWaitersLeave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{delay: 2 * time.Second, lifetime: time.Hour}
		p.publish(oldKey())
		k := newKeys(t, p)
		run(t, k)
		mustVerify(t, k, oldToken(), "", 2*time.Second)
		p.publish(newKey())
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		var other sync.WaitGroup
		other.Go(func() {
			time.Sleep(time.Millisecond)
			mustVerify(t, k, newToken(), "", 2*time.Second-time.Millisecond)
		})
		if c, err := k.Verify(ctx, newToken()); failure(t, c, err) != token.Unavailable || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		other.Wait()
		if p.calls() != 2 {
			t.Errorf("%d fetches", p.calls())
		}
	})
}

// TestCacheControl is heeded within bounds.
func TestCacheControl(t *testing.T) {
	for name, c := range map[string]struct {
		lifetime        time.Duration
		noCache         bool
		shortest, until time.Duration
	}{
		"none":           {0, false, 13*time.Minute + 30*time.Second, 15 * time.Minute},
		"negative":       {-time.Hour, false, 13*time.Minute + 30*time.Second, 15 * time.Minute},
		"no-cache":       {0, true, time.Minute, time.Minute},
		"no-cache, long": {time.Hour, true, time.Minute, time.Minute},
		"10 s":           {10 * time.Second, false, time.Minute, time.Minute},
		"10 min":         {10 * time.Minute, false, 9 * time.Minute, 10 * time.Minute},
		"44 days":        {3832304 * time.Second, false, 54 * time.Minute, time.Hour},
		"for ever":       {1<<63 - 1, false, 54 * time.Minute, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &publisher{lifetime: c.lifetime, noCache: c.noCache}
				p.publish(oldKey())
				run(t, newKeys(t, p))
				settled(10 * time.Hour)
				gaps := map[time.Duration]bool{}
				for i := 1; i < len(p.began); i++ {
					gap := p.began[i].Sub(p.began[i-1])
					if gaps[gap] = true; gap < c.shortest || gap > c.until {
						t.Errorf("fetched again after %s, want %s to %s", gap, c.shortest, c.until)
					}
				}
				if len(p.began) < 10 || (c.shortest != c.until && len(gaps) < 5) {
					t.Errorf("%d fetches, %d different gaps", len(p.began), len(gaps))
				}
			})
		})
	}
}

// TestRetries double from 1 s to 1 min and begin anew after a success.
func TestRetries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{err: errors.New("down"), lifetime: time.Minute}
		run(t, newKeys(t, p))
		settled(5 * time.Minute)
		p.publish(oldKey())
		settled(maxRetry)
		p.fail(errors.New("down again"))
		settled(5 * time.Minute)
		want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
		again := 0
		for i := 1; i < len(p.began); i++ {
			gap := p.began[i].Sub(p.began[i-1])
			if i <= len(want) && (gap > want[i-1]*time.Second || gap < want[i-1]*time.Second*9/10) {
				t.Errorf("attempt %d came %s after the one before", i+1, gap)
			}
			if i > len(want) && gap <= time.Second {
				again++
			}
		}
		if again != 1 {
			t.Errorf("the first retry was used %d times more", again)
		}
	})
}
