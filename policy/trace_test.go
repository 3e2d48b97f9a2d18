package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy"
)

// TestTraceOfAnAllow: every step that was passed is told, in the order of judgement, with
// what was asked for and what was found.
func TestTraceOfAnAllow(t *testing.T) {
	t.Parallel()
	var trace policy.Trace
	d := policy.Decide(compile(t, config()), get(nil), policy.Witness{Verify: believed(nil), Now: clock}, &trace)
	if !d.Allowed() {
		t.Fatalf("denied: %q %s", d.Reason, d.Detail)
	}
	for i := range trace.Steps {
		trace.Steps[i].At.File = ""
	}
	want := []policy.Step{
		{Name: "api", OK: true, Expected: "orders", Found: "api.example.com /orders/7"},
		{Name: "token", OK: true, Expected: "users", Found: "active until 2027-01-15T09:00:00Z"},
		{Name: "client", OK: true, Expected: "mobile", Found: "0oaMOBILE"},
		{Name: "grant", OK: true, Expected: "orders", Found: "retail mobile"},
		{Name: "operation", OK: true, Expected: "/{id}", Found: "GET /orders/7"},
		{Name: "scope", OK: true, Expected: "orders.read openid", Found: "openid orders.read"},
	}
	if diff := cmp.Diff(want, trace.Steps); diff != "" {
		t.Error(diff)
	}
}
