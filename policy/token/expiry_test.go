package token_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/durward/durward/policy/token"
)

// untimed is good at any time before it expires.
func untimed() token.Claims {
	c := good()
	c.NotBefore, c.IssuedAt = time.Time{}, time.Time{}
	return c
}

// TestNeverServedAtExpiry on the clock that gets there first.
func TestNeverServedAtExpiry(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	type step struct {
		wall, mono time.Duration
		asks       bool
	}
	cases := []struct {
		name  string
		bare  bool
		steps []step
		want  token.Failure // of the last step; empty: believed
	}{
		{"both together, before", false, []step{{hour - 1, hour - 1, false}}, ""},
		{"both together, at", false, []step{{hour, hour, true}}, token.Expired},
		{"without a monotonic reading, before", true, []step{{hour - 1, 0, false}}, ""},
		{"without a monotonic reading, at", true, []step{{hour, 0, true}}, token.Expired},
		{"the wall steps forward", false, []step{{hour, time.Second, true}}, token.Expired},
		{"the monotonic clock alone goes on: asked again", false, []step{{0, hour, true}}, ""},
		{"the monotonic clock ahead, before", false, []step{{-hour, hour - 1, false}}, ""},
		{"the wall steps back: asked again", false, []step{{-hour, hour, true}}, ""},
		{"dead once, then the wall steps back: asked again", false, []step{{hour, time.Second, true}, {-hour, 6 * time.Second, true}}, ""},
	}
	for _, m := range modes {
		for _, c := range cases {
			t.Run(string(m)+" "+c.name, func(t *testing.T) {
				t.Parallel()
				clock := newClock()
				clock.bare = c.bare
				claims := untimed()
				claims.ExpiresAt = now.Add(hour)
				s, r := answers(active(claims), nil), reads(claims)
				v := verifier(t, s, r, clock.now)
				asked := func() int { return len(s.asked()) + int(r.proofs.Load()) }
				fact, err := v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: m, MaxAge: hour})
				mustBelieve(t, fact, err)
				for i, step := range c.steps {
					before := asked()
					clock.step(step.wall, step.mono)
					fact, err = v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: m, MaxAge: hour})
					if expired := !clock.now().Before(claims.ExpiresAt); expired != (err != nil) {
						t.Errorf("step %d: expired %t: %v", i, expired, err)
					}
					// A JWT that says it is expired is not worth a question.
					if believed := err == nil; (asked() > before) != (step.asks && believed) {
						t.Errorf("step %d: asked %d times", i, asked()-before)
					}
				}
				if c.want != "" {
					mustFail(t, fact, err, c.want)
				} else {
					mustBelieve(t, fact, err)
				}
			})
		}
	}
}

// TestMonotonicClockDuringTheQuestion: the wall stands while the token's life runs out.
func TestMonotonicClockDuringTheQuestion(t *testing.T) {
	t.Parallel()
	c, claims := newClock(), untimed()
	claims.ExpiresAt = now.Add(5 * time.Second)
	s := &server{answer: func(context.Context, token.Token, token.Priority) (token.Introspection, error) {
		c.step(0, 6*time.Second)
		return active(claims), nil
	}}
	v := verifier(t, s, nil, c.now)
	fact, err := v.Verify(t.Context(), parsed(t, canary), within(time.Minute))
	mustFail(t, fact, err, token.Expired)
}

// TestP05 walks both clocks at random: no fact at or past exp on either, none older than
// demanded, and none that otter would keep for ever.
func TestP05(t *testing.T) {
	t.Parallel()
	tok := parsed(t, canary)
	rapid.Check(t, func(t *rapid.T) {
		type reading struct {
			wall time.Time
			mono time.Duration
		}
		c, claims := newClock(), untimed()
		c.bare = rapid.Bool().Draw(t, "bare")
		claims.ExpiresAt = now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "lifetime")) * time.Second)
		var learned, ahead reading // when the last question was sent, or proof begun
		learn := func() { learned = reading{c.wall, c.mono} }
		s := &server{answer: func(_ context.Context, _ token.Token, p token.Priority) (token.Introspection, error) {
			if p == token.Ahead {
				ahead = reading{c.wall, c.mono}
			} else {
				learn()
			}
			return active(claims), nil
		}}
		r := reads(claims)
		v, err := token.NewVerifier(config(), token.Parts{Server: s, Reader: r, Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		mode := rapid.SampledFrom(modes).Draw(t, "mode")
		if mode == token.ByJWT {
			r.prove = func(context.Context, string) error { learn(); return nil }
		}
		v.Keep(time.Duration(rapid.IntRange(0, 60).Draw(t, "keep")) * time.Second)
		t.Repeat(map[string]func(*rapid.T){
			"step": func(t *rapid.T) {
				wall := rapid.IntRange(-50, 50).Draw(t, "wall")
				mono := rapid.IntRange(0, 50).Draw(t, "mono")
				c.step(time.Duration(wall)*time.Second/2, time.Duration(mono)*time.Second/2)
			},
			"check": func(t *rapid.T) {
				maxAge := time.Duration(rapid.IntRange(0, 60).Draw(t, "max age")) * time.Second
				asked := len(s.asked())
				defer func() { // early refreshes count from the next check on
					for v.UnderWay() > 0 {
						time.Sleep(time.Microsecond)
					}
					if ahead != (reading{}) {
						learned, ahead = ahead, reading{}
					}
				}()
				fact, err := v.Verify(t.Context(), tok, token.Demand{Mode: mode, MaxAge: maxAge})
				if left, kept := v.Kept(tok, mode); kept && (left <= 0 || left > token.Ceiling) {
					t.Fatalf("kept for %s", left)
				}
				if err != nil {
					if c.wall.Before(claims.ExpiresAt) && len(s.asked()) > asked {
						t.Fatalf("refused before exp: %v", err)
					}
					return
				}
				wall, mono := c.wall.Sub(learned.wall), c.mono-learned.mono
				if c.bare {
					mono = wall
				}
				if !c.wall.Before(claims.ExpiresAt) || mono >= claims.ExpiresAt.Sub(learned.wall) {
					t.Fatalf("served at %s, %s after it was learned at %s; exp %s", c.wall, mono, learned.wall, claims.ExpiresAt)
				}
				if mode != token.ByJWT && (fact.Age != max(wall, mono) || fact.Age > maxAge) {
					t.Fatalf("the age is %s, want %s; max age %s", fact.Age, max(wall, mono), maxAge)
				}
			},
		})
	})
}

// TestKeptNoLongerThanUseful: the lesser of exp and the longest max_age.
func TestKeptNoLongerThanUseful(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name           string
		mode           token.Mode
		keep, lifetime time.Duration
		want           time.Duration // 0: not kept
	}{
		{"max_age", token.ByBoth, 30 * time.Second, time.Hour, 29 * time.Second},
		{"exp", token.ByBoth, 30 * time.Second, 10 * time.Second, 9 * time.Second},
		{"ceiling", token.ByIntrospection, 24 * time.Hour, 24 * time.Hour, token.Ceiling - time.Second},
		{"as long as the answer took", token.ByBoth, time.Second, time.Hour, 0},
		{"never", token.ByBoth, 0, time.Hour, 0},
		{"less than never", token.ByBoth, -time.Hour, time.Hour, 0},
		{"a JWT until exp", token.ByJWT, 0, time.Minute, time.Minute},
		{"a JWT of the year 9999", token.ByJWT, 0, 250 * 365 * 24 * time.Hour, token.Ceiling},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				claims := untimed()
				claims.ExpiresAt = time.Now().Add(c.lifetime)
				v := verifier(t, slow(time.Second, claims), reads(claims), time.Now)
				v.Keep(c.keep)
				fact, err := v.Verify(t.Context(), parsed(t, canary), token.Demand{Mode: c.mode})
				mustBelieve(t, fact, err)
				if left, kept := v.Kept(parsed(t, canary), c.mode); kept != (c.want > 0) || kept && left != c.want {
					t.Errorf("kept %t for %s, want %s", kept, left, c.want)
				}
			})
		})
	}
}
