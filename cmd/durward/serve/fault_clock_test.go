package serve

import (
	"io"
	"math"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/policy/token"
)

// F07: the authorization server's clock differs from ours. Beyond the leeway that is told,
// by a metric always and in the log once.
func faultSkew(t *testing.T) {
	for _, tt := range []struct {
		skew, ttl time.Duration
		want      string
		alarms    int
	}{
		{20 * time.Second, time.Hour, "allow", 0},
		{-30 * time.Second, time.Hour, "allow", 0},
		{-5 * time.Minute, time.Hour, "allow", 1},
		{5 * time.Minute, time.Hour, "401 token_not_yet_valid", 1},
		{-30 * time.Second, 20 * time.Second, "401 token_inactive", 0}, // no leeway on exp
		{-5 * time.Minute, time.Minute, "401 token_inactive", 1},
	} {
		i := newIdp(t, func(i *idp) { i.skew.Store(int64(tt.skew)) })
		log := new(journal)
		s, conn := newEdge(t, i).launchWith(t, log)
		tried(t, s)
		text := i.mint(t, tt.ttl)
		for _, api := range []string{"main-long", "main-jwt", "main-both", "main-fresh", "main-fresh"} {
			expect(t, conn, api, text, tt.want)
		}
		if got := metric(t, s.OpsAddress(), `durward_okta_clock_skew_seconds{server="main"}`); math.Abs(got-tt.skew.Seconds()) > 2 {
			t.Errorf("a skew of %v s, want %s", got, tt.skew)
		}
		told := log.lines(t, "the server's clock and ours differ by more than the leeway; tokens are refused too early or as not yet valid")
		if len(told) != tt.alarms || tt.alarms > 0 && (told[0]["level"] != "WARN" || told[0]["authorization_server"] != "main" || told[0]["leeway"] != "30s") {
			t.Errorf("a skew of %s is told as %v", tt.skew, told)
		}
	}
}

// clock is the machine's, and what was added to it.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// F08: our clock steps. The verifier is one with a clock of the test's.
func faultClockSteps(t *testing.T) {
	i, s, conn := single(t)
	u := upstreamOf(t, s)
	own := new(clock)
	v, err := token.NewVerifier(
		token.Config{Issuers: []string{i.url}, Audience: "api://default", Leeway: token.DefaultLeeway},
		token.Parts{Server: u.client, Reader: u.keys, Now: own.now},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	s.authz.Swap(&authz.Generation{Catalogue: s.Catalogue(), Verifiers: map[string]*token.Verifier{"main": v}})

	text := i.mint(t, 10*time.Minute)
	expect(t, conn, "main-long", text, "allow")
	expect(t, conn, "main-jwt", text, "allow")
	asked := i.asked.Load()
	own.advance(9 * time.Minute)
	expect(t, conn, "main-long", text, "allow") // from the cache
	expect(t, conn, "main-jwt", text, "allow")
	if i.asked.Load() != asked {
		t.Error("a fact young enough was asked for again")
	}
	own.advance(2 * time.Minute) // past exp
	expect(t, conn, "main-long", text, "401 token_inactive")
	expect(t, conn, "main-jwt", text, "401 token_inactive")
	i.revoke(text)
	own.advance(-11 * time.Minute) // what was dead stays so: it is asked for, and refused
	expect(t, conn, "main-long", text, "401 token_inactive")
	if i.asked.Load() != asked+1 {
		t.Errorf("%d questions after the step back, want 1", i.asked.Load()-asked)
	}
}

// F09: keys rotate under load.
func faultRotation(t *testing.T) {
	i, _, conn := single(t)
	old, next := i.mintBy(t, 0, time.Hour), i.mintBy(t, 1, time.Hour)
	for range 50 { // with overlap nothing is noticed
		expect(t, conn, "main-jwt", old, "allow")
		expect(t, conn, "main-jwt", next, "allow")
	}
	if n := i.fetched.Load(); n != 1 {
		t.Errorf("%d fetches of keys with overlap, want the first", n)
	}
	i.publishKeys(1, 2) // without overlap: 2 was never seen, 0 is withdrawn
	newest := i.mintBy(t, 2, time.Hour)
	start := time.Now()
	got, times := crowd(t, conn, 100, 50, 5*time.Second, func(k int) (string, string) {
		if k%2 == 0 {
			return "main-jwt", next
		}
		return "main-jwt", newest
	})
	if got["allow"] != 100 {
		t.Errorf("outcomes %v", got)
	}
	expect(t, conn, "main-jwt", old, "401 signature_invalid")
	within(t, conn, "rotation without overlap", time.Since(start), 500*time.Millisecond)
	for range 200 {
		expect(t, conn, "main-jwt", i.mintBy(t, 3, time.Hour), "401 signature_invalid")
	}
	if n := i.fetched.Load(); n != 2 {
		t.Errorf("%d fetches of keys, want 2: one at the start and one forced", n)
	}
	t.Logf("slowest of the crowd %s, 2 fetches in all", ms(times[len(times)-1]))
}

// F10: no keys at the start.
func faultNoKeysAtStart(t *testing.T) {
	i := newIdp(t)
	i.down()
	s, conn := newEdge(t, i).launch(t)
	text := i.mint(t, time.Hour)
	expect(t, conn, "main-jwt", text, "503 okta_unavailable")
	expect(t, conn, "main-long", text, "503 okta_unavailable")
	tried(t, s)
	i.up(t)
	start := time.Now()
	eventually(t, "keys come by themselves", func() bool {
		got, _ := tell(t.Context(), conn, "main-jwt", text, time.Second)
		return got == "allow"
	})
	within(t, conn, "recovery", time.Since(start), 4*time.Second)
}

// F11: the key document is broken.
func faultPoisonedKeys(t *testing.T) {
	body := func(media, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			_, _ = io.WriteString(w, text)
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"empty set":     body("application/json", `{"keys":[]}`),
		"half-written":  body("application/json", `{"keys":[{"kty":"RSA","n":"AQ`),
		"symmetric key": body("application/json", `{"keys":[{"kty":"oct","kid":"key-3","alg":"HS256","k":"c2VjcmV0"}]}`),
		"small key":     body("application/json", `{"keys":[{"kty":"RSA","kid":"key-3","n":"AQAB","e":"AQAB"}]}`),
		"HTML":          body("text/html", `<html>`),
		"500":           answering(500),
	} {
		t.Run(name, func(t *testing.T) {
			i, s, conn := single(t)
			u := upstreamOf(t, s)
			good := i.mint(t, time.Hour)
			expect(t, conn, "main-jwt", good, "allow")
			before := u.keys.Status()
			i.publish.Store(&h)
			expect(t, conn, "main-jwt", i.mintBy(t, 3, time.Hour), "503 okta_unavailable")
			after := u.keys.Status()
			if after.Failures != before.Failures+1 || after.Err == nil || !after.FetchedAt.Equal(before.FetchedAt) {
				t.Errorf("status %+v, want one failure and the set that was there", after)
			}
			expect(t, conn, "main-jwt", good, "allow")
			expect(t, conn, "main-jwt", i.mintBy(t, 1, time.Hour), "allow")
		})
	}
}
