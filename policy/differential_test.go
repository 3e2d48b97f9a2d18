package policy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/contract"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// TestP01 (P01): every decision is the naive oracle's, by reason and by operation; so an
// allow means that every check held, on this one configuration. What passes in shadow mode
// is a denial all the same.
func TestP01(t *testing.T) {
	t.Parallel()
	seen := make(map[contract.Reason]int)
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawWorld(t)
		cat := compile(t, cfg)
		for range 40 {
			r, beliefs := drawRequest(t, cfg), drawBeliefs(t)
			want, op := oracle(cfg, r, beliefs)
			got := policy.Decide(cat, r, witness(beliefs), nil)
			seen[want]++
			if shadow := slices.ContainsFunc(cfg.Apis, func(a *durwardv1.API) bool { return a.Name == r.API && a.Mode == "shadow" }); got.Shadowed() != (shadow && want != "" && want != contract.APIUnknown) {
				t.Fatalf("%+v\nshadow %t, verdict %q, shadowed %t", r, shadow, want, got.Shadowed())
			}
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
		contract.ProofInvalid, contract.TokenRevoked, contract.ApplicationDisabled, contract.StepUpRequired,
		contract.ClientUnknown, contract.GrantMissing, contract.OperationUnknown, contract.ScopeMissing, contract.ClaimMismatch,
	} {
		if seen[reason] == 0 {
			t.Errorf("%q was never the verdict: %v", reason, seen)
		}
	}
	t.Logf("verdicts: %v", seen)
}
