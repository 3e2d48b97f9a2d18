package serve

import (
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// TestDeadTokensTakeAlike: how long an answer takes does not tell how a token died. What
// is measured is a whole Check over gRPC on loopback, one at a time, each kind in turn,
// about tokens that were asked about before: what Okta said is known, and nobody asks it.
// The first question about a token differs by nature: an expired one is not worth asking
// Okta about, and says so itself to whoever holds it.
func TestDeadTokensTakeAlike(t *testing.T) {
	t.Parallel()
	const samples = 1_000
	s := newStrict(t, "")
	tokens := map[string]string{
		"unknown":         s.unheardOf(),
		"expired":         s.with("exp", strconv.FormatInt(time.Now().Unix()-60, 10)),
		"revoked here":    s.with("uid", `"00uMALLORY"`),
		"revoked at Okta": s.with(),
	}
	s.is.mu.Lock()
	delete(s.is.issued, "default "+tokens["revoked at Okta"]) // well signed, and once the server's own
	s.is.mu.Unlock()
	kinds := slices.Sorted(maps.Keys(tokens))
	client := authv3.NewAuthorizationClient(s.conn)
	took := map[string][]time.Duration{}
	check := func(kind string) time.Duration {
		req := question("vault", "/vault/items", tokens[kind])
		start := time.Now()
		res, err := client.Check(t.Context(), req)
		elapsed := time.Since(start)
		if err != nil || outcome(res) != "401 token_inactive" {
			t.Fatalf("%s: %s, %v", kind, outcome(res), err)
		}
		return elapsed
	}
	for range 100 {
		for _, kind := range kinds {
			check(kind)
		}
	}
	before := s.is.asked("introspect")
	for range samples {
		for _, kind := range kinds {
			took[kind] = append(took[kind], check(kind))
		}
	}
	// A refusal is known for some seconds: few samples are others, and no median.
	if n := s.is.asked("introspect") - before; n > samples/20 {
		t.Errorf("%d introspections: the state was not warm", n)
	}
	medians := map[string]time.Duration{}
	for _, kind := range kinds {
		slices.Sort(took[kind])
		medians[kind] = took[kind][samples/2]
	}
	t.Logf("medians of %d checks each: %v", samples, medians)
	fastest, slowest := slices.Min(slices.Collect(maps.Values(medians))), slices.Max(slices.Collect(maps.Values(medians)))
	if slowest >= 2*fastest {
		t.Errorf("%s beside %s: %v", fastest, slowest, medians)
	}
}
