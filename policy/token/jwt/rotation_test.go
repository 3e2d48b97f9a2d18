package jwt

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
)

// TestUnknownKeyIDs (T11): a burst of 10,000 random kids costs one fetch, 2,000 a second
// cost one in 30 s, and tokens of known keys notice nothing.
func TestUnknownKeyIDs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{delay: 300 * time.Millisecond, lifetime: time.Hour}
		p.publish(oldKey())
		k := newKeys(t, p)
		run(t, k)
		mustVerify(t, k, oldToken(), "", 300*time.Millisecond)

		var checks sync.WaitGroup
		for i := range 10_000 {
			checks.Go(func() { mustVerify(t, k, junk(fmt.Sprint("burst", i)), token.SignatureInvalid, 300*time.Millisecond) })
		}
		synctest.Wait()
		mustVerify(t, k, oldToken(), "", 0)
		checks.Wait()
		if p.calls() != 2 {
			t.Errorf("%d fetches for the burst", p.calls())
		}
		for second := range 65 {
			for i := range 2_000 {
				c, err := k.Verify(t.Context(), junk(fmt.Sprint(second, " ", i)))
				if failure(t, c, err) != token.SignatureInvalid {
					t.Fatal(err)
				}
			}
			mustVerify(t, k, oldToken(), "", 0)
			time.Sleep(time.Second)
		}
		if s := k.Status(); s.Forced != 3 || p.calls() != 4 {
			t.Errorf("%d forced of %d fetches in 66 s", s.Forced, p.calls())
		}
	})
}

// TestAbsentKeyID: one kid that nobody has asks for a fetch in 5 minutes, and the memory
// of such kids stays small.
func TestAbsentKeyID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{lifetime: time.Hour}
		p.publish(oldKey())
		k := newKeys(t, p)
		run(t, k)
		mustVerify(t, k, oldToken(), "", 0)
		for range 14 * 60 {
			mustVerify(t, k, junk("gone"), token.SignatureInvalid, 0)
			time.Sleep(time.Second)
		}
		if s := k.Status(); s.Forced != 3 {
			t.Errorf("%d forced fetches in 14 minutes", s.Forced)
		}
		for i := range 3 * 3600 {
			mustVerify(t, k, junk(fmt.Sprint(i)), token.SignatureInvalid, 0)
			if len(k.absent) > int(absentFor/forcedInterval)+1 {
				t.Fatalf("%d kids are remembered", len(k.absent))
			}
			time.Sleep(time.Second)
		}
		// It turns up: any fetch finds it, its memory does not stand in the way.
		k.missed("new")
		p.publish(oldKey(), newKey())
		settled(forcedInterval)
		mustVerify(t, k, newToken(), token.SignatureInvalid, 0)
		mustVerify(t, k, junk("another"), token.SignatureInvalid, 0)
		mustVerify(t, k, newToken(), "", 0)
	})
}

// TestRotation (F09, T13): a new key works with its first token, at the price of one
// fetch; the old one is gone with it, or stays as long as both are published.
func TestRotation(t *testing.T) {
	for name, overlap := range map[string]bool{"overlap": true, "no overlap": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := &publisher{delay: 100 * time.Millisecond, lifetime: time.Hour}
				p.publish(oldKey())
				k := newKeys(t, p)
				run(t, k)
				mustVerify(t, k, oldToken(), "", 100*time.Millisecond)
				settled(10 * time.Minute)
				want := token.Failure("")
				if p.publish(oldKey(), newKey()); !overlap {
					p.publish(newKey())
					want = token.SignatureInvalid
				}
				mustVerify(t, k, oldToken(), "", 0)
				var checks sync.WaitGroup
				for range 1000 {
					checks.Go(func() { mustVerify(t, k, newToken(), "", 100*time.Millisecond) })
				}
				checks.Wait()
				if p.calls() != 2 {
					t.Errorf("%d fetches", p.calls())
				}
				mustVerify(t, k, oldToken(), want, 0)
			})
		})
	}
}

// TestWithdrawnKey (T13): within the document's lifetime a key that is published no more
// stops working, though nothing else happens.
func TestWithdrawnKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{lifetime: 10 * time.Minute}
		p.publish(oldKey(), newKey())
		k := newKeys(t, p)
		run(t, k)
		mustVerify(t, k, oldToken(), "", 0)
		p.publish(newKey())
		mustVerify(t, k, oldToken(), "", 0)
		settled(10 * time.Minute)
		if diff := cmp.Diff([]string{"new"}, k.Status().KeyIDs); diff != "" {
			t.Error(diff)
		}
		mustVerify(t, k, oldToken(), token.SignatureInvalid, 0)
		mustVerify(t, k, newToken(), "", 0)
	})
}

// TestFetchUnderWayMissesTheKey: a fetch that began before the rotation condemns no kid.
func TestFetchUnderWayMissesTheKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{lifetime: time.Minute}
		p.publish(oldKey())
		k := newKeys(t, p)
		run(t, k)
		settled(30 * time.Second)
		p.set(func(p *publisher) { p.delay = time.Second })
		for p.calls() < 2 {
			time.Sleep(100 * time.Millisecond)
		}
		p.publish(newKey())
		took := time.Second - time.Since(p.began[1]) + time.Second
		mustVerify(t, k, newToken(), "", took)
		if s := k.Status(); s.Attempts != 3 || s.Forced != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestConcurrentRefresh is for the race detector: checks of three kinds during rotations.
func TestConcurrentRefresh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{delay: 10 * time.Millisecond, lifetime: time.Minute}
		p.publish(oldKey())
		k := newKeys(t, p)
		run(t, k)
		var checks sync.WaitGroup
		for i := range 30 {
			checks.Go(func() {
				for n := range 200 {
					u := []Unverified{oldToken(), newToken(), junk(fmt.Sprint(i, n))}[(i+n)%3]
					c, err := k.Verify(t.Context(), u)
					if f := failure(t, c, err); f != "" && f != token.SignatureInvalid {
						t.Error(err)
					}
					_ = k.Status()
					time.Sleep(700 * time.Millisecond)
				}
			})
		}
		for i := range 10 {
			p.publish([]jwk{oldKey(), newKey()}[i%2])
			time.Sleep(10 * time.Second)
		}
		checks.Wait()
		if s := k.Status(); s.Forced > 5 || s.Failures > 0 {
			t.Errorf("%+v", s)
		}
	})
}
