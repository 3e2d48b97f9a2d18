package policy_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/contract"
)

// TestP01 (P01): every decision is the naive oracle's, by reason and by operation; so an
// allow means that every check held, on this one configuration.
func TestP01(t *testing.T) {
	t.Parallel()
	seen := make(map[contract.Reason]int)
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawWorld(t)
		cat := compile(t, cfg)
		for range 40 {
			r, beliefs := drawRequest(t, cfg), drawBeliefs(t)
			want, op := oracle(cfg, r, beliefs)
			got := policy.Decide(cat, r, policy.Witness{Verify: verifier(beliefs), Now: clock}, nil)
			seen[want]++
			if got.Reason != want || got.Allowed() != (want == "") {
				t.Fatalf("%+v\nbeliefs %+v\napis %v\ngrants %v\nallowed %t, %q (%s); the oracle says %q", r, beliefs, cfg.Apis, cfg.Grants, got.Allowed(), got.Reason, got.Detail, want)
			}
			if !got.Allowed() {
				continue
			}
			if got.API.Name != r.API || got.Operation.Path.String() != op.Path || got.Operation.Public != op.Public {
				t.Fatalf("%+v is operation %s; the oracle says %s", r, got.Operation.Path, op.Path)
			}
		}
	})
	for _, reason := range []contract.Reason{
		"", contract.RequestMalformed, contract.APIUnknown, contract.TokenMissing, contract.TokenExpired, contract.BindingMismatch, contract.TokenTypeWrong,
		contract.ClientUnknown, contract.GrantMissing, contract.OperationUnknown, contract.ScopeMissing, contract.ClaimMismatch,
	} {
		if seen[reason] == 0 {
			t.Errorf("%q was never the verdict: %v", reason, seen)
		}
	}
	t.Logf("verdicts: %v", seen)
}
