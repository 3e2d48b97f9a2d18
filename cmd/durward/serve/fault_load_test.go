package serve

import (
	"context"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// fleeting is an introspector for filling caches: while on, it answers for the server
// that every token that begins with "live" is active.
type fleeting struct {
	*okta.Client
	on     atomic.Bool
	issuer string
}

func (f *fleeting) Introspect(ctx context.Context, t token.Token, p token.Priority) (token.Introspection, error) {
	if !f.on.Load() {
		return f.Client.Introspect(ctx, t, p)
	}
	if !strings.HasPrefix(t.Reveal(), "live") {
		return token.Introspection{}, nil
	}
	now := time.Now()
	return token.Introspection{Active: true, Claims: token.Claims{
		Issuer: f.issuer, Subject: "alice@example.com", UserID: "00uALICE", ClientID: "0oaMOBILE", TokenID: "AT." + t.Name(),
		Audience: []string{"api://default"}, Scopes: []string{"orders.read"}, IssuedAt: now, NotBefore: now, ExpiresAt: now.Add(24 * time.Hour),
	}}, nil
}

// filled puts a verifier with a clock of its own and n live facts into s.
func filled(t *testing.T, i *idp, s *Server, n int) (*token.Verifier, *clock, *fleeting) {
	t.Helper()
	budget, err := okta.NewBudget(okta.BudgetConfig{Limit: int(i.limit.Load())})
	if err != nil {
		t.Fatal(err)
	}
	client, err := okta.NewClient(okta.Config{Issuer: i.url, ClientID: "gateway", ClientSecret: "secret", Auth: okta.SecretBasic, Budget: budget})
	if err != nil {
		t.Fatal(err)
	}
	f, own := &fleeting{Client: client, issuer: i.url}, new(clock)
	v, err := token.NewVerifier(token.Config{Issuers: []string{i.url}, Audience: "api://default", Opaque: true}, token.Parts{Server: f, Now: own.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close(); client.Close() })
	f.on.Store(true)
	for k := range n {
		if err := believed(t.Context(), v, live(k), token.Demand{Mode: token.ByIntrospection, MaxAge: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	f.on.Store(false)
	s.authz.Swap(&authz.Generation{Catalogue: s.Catalogue(), Verifiers: map[string]*token.Verifier{"main": v}})
	return v, own, f
}

func live(n int) string { return "live-" + strconv.Itoa(n) }

// scaled is n, or a tenth where the race detector takes its time.
func scaled(n int) int {
	if raced {
		return n / 10
	}
	return n
}

func opaque(i *idp) { i.opaque = true }

// F27: five thousand callers find one fact gone.
func faultStampede(t *testing.T) {
	i, s, conn := single(t)
	text := i.mint(t, time.Hour)
	expect(t, conn, "main-long", text, "allow")
	if n := upstreamOf(t, s).verifier.Invalidate(token.Invalidation{ClientID: "0oaMOBILE"}); n != 1 {
		t.Fatalf("%d facts dropped, want 1", n)
	}
	i.answer(i.delayed(300 * time.Millisecond))
	before := i.asked.Load()
	got, times := crowd(t, conn, 5000, 1000, 10*time.Second, func(int) (string, string) { return "main-long", text })
	if got["allow"] != 5000 || i.asked.Load()-before != 1 {
		t.Errorf("%v and %d questions, want 5000 allows and 1", got, i.asked.Load()-before)
	}
	t.Logf("5000 checks, 1 question; median %s, slowest %s", ms(percentile(times, 50)), ms(times[len(times)-1]))
}

// F28: many facts are too old at once.
func faultHerd(t *testing.T) {
	const limit = 1200
	i, s, conn := single(t, opaque, func(i *idp) { i.limit.Store(limit) })
	n := 100_000
	if raced {
		n = 3000
	}
	_, own, f := filled(t, i, s, n)
	i.answer(func(w http.ResponseWriter, r *http.Request) { // all are active still
		fact, err := token.Parse(r.PostForm.Get("token"))
		if err != nil {
			t.Error(err)
			return
		}
		now := time.Now()
		writeJSON(w, map[string]any{
			"active": true, "iss": f.issuer, "sub": "alice@example.com", "uid": "00uALICE", "client_id": "0oaMOBILE", "jti": "AT." + fact.Name(),
			"aud": "api://default", "scope": "orders.read", "iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(),
		})
	})
	expect(t, conn, "main-long", live(0), "allow")
	own.advance(61 * time.Minute)
	before, start := i.asked.Load(), time.Now()
	got, times := crowd(t, conn, n, 64, 5*time.Second, func(k int) (string, string) { return "main-long", live(k) })
	took, asked := time.Since(start), i.asked.Load()-before
	// A fifth stays for others, and a quarter of the rest may go at once.
	budget := int64(0.8*limit*0.25 + 0.8*limit*0.75*took.Minutes() + 1)
	t.Logf("%d checks in %s: %v; %d questions, the budget allows %d; median %s", n, ms(took), got, asked, budget, ms(percentile(times, 50)))
	if asked == 0 || asked > budget || asked > limit {
		t.Errorf("%d questions, want at most %d", asked, budget)
	}
	if got["allow"] == 0 || got["allow"]+got["503 okta_rate_limited"]+got["503 overloaded"] != n {
		t.Errorf("outcomes %v", got)
	}
}

// F29: a million tokens, most of them junk, beside some in use.
func faultDistinct(t *testing.T) {
	const hot = 500
	i, s, conn := single(t, opaque)
	v, _, f := filled(t, i, s, hot)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	use := func() {
		got, _ := crowd(t, conn, hot, 8, 5*time.Second, func(k int) (string, string) { return "main-long", live(k) })
		if got["allow"] != hot {
			t.Errorf("tokens in use: %v", got)
		}
	}
	use()
	f.on.Store(true)
	n := scaled(300_000)
	for k := range n {
		if err := believed(t.Context(), v, "junk-"+strconv.Itoa(k), token.Demand{Mode: token.ByIntrospection, MaxAge: time.Hour}); err == nil {
			t.Fatal("junk was believed")
		}
	}
	f.on.Store(false)
	use()
	if asked := i.asked.Load(); asked != 0 {
		t.Errorf("%d questions: junk evicted tokens in use", asked)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d junk tokens beside %d in use: the heap grew by %d KiB", n, hot, grown>>10)
	if grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}
