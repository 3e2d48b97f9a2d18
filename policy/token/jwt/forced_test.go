package jwt

import (
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
)

// TestForcedInterval: a kid that nobody knew may ask for a fetch 30 s after the last that
// one asked for, not a moment sooner.
func TestForcedInterval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &publisher{lifetime: time.Hour}
		p.publish(oldKey())
		k := newKeys(t, p)
		run(t, k)
		mustVerify(t, k, oldToken(), "", 0)
		for _, step := range []struct {
			kid    string
			after  time.Duration
			forced uint64
		}{{"a", 0, 1}, {"b", 30*time.Second - 1, 1}, {"c", 1, 2}} {
			time.Sleep(step.after)
			mustVerify(t, k, junk(step.kid), token.SignatureInvalid, 0)
			if got := k.Status().Forced; got != step.forced {
				t.Errorf("%s: %d fetches were forced, want %d", step.kid, got, step.forced)
			}
		}
	})
}
