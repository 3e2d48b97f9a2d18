package authz_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/policy/contract"
)

// TestShadowPasses: a request that would be denied passes, unnamed; whoever sent it
// learns no more than of an allow; log and metric know it apart.
func TestShadowPasses(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	r := prometheus.NewRegistry()
	srv := newServer(t, &log, r, vaultOkta)
	cfg := vault()
	cfg.Apis[1].Mode = "shadow"
	srv.Swap(generation(t, cfg, answers(vaultOkta)))
	allowed := masked(t, check(t, srv, denyRow(func(*call) {}).ask("GET", "")))
	if !mustBeWellFormed(t, allowed) || set(allowed)[contract.HeaderSubject] != "alice@example.com" || allowed.DynamicMetadata.Fields["shadow"] != nil {
		t.Errorf("an allow in shadow mode: %v", allowed)
	}
	passed := 0
	for _, name := range slices.Sorted(maps.Keys(denyRows)) {
		reason, _, _ := strings.Cut(name, " ")
		for _, caller := range callers {
			res := masked(t, check(t, srv, denyRow(denyRows[name]).ask(caller.method, caller.contentType)))
			if reason == string(contract.APIUnknown) {
				mustDeny(t, res, 404, contract.APIUnknown) // of no API, so none in shadow mode
				continue
			}
			passed++
			fields := res.DynamicMetadata.GetFields()
			if !mustBeWellFormed(t, res) || !fields["shadow"].GetBoolValue() || fields["reason"].GetStringValue() == "" {
				t.Errorf("%s, %s: %v", name, caller.name, res)
			}
			mustBeAnonymous(t, res)
			if got, want := told(res), told(allowed); got != want {
				t.Errorf("%s, %s: the caller is told %s, of an allow %s", name, caller.name, got, want)
			}
		}
	}
	if n := strings.Count(log.String(), `"outcome":"shadow_deny"`); n != passed {
		t.Errorf("%d lines for %d requests", n, passed)
	}
	for _, part := range []string{`"reason":"token_inactive"`, `"status":401`, `"reason":"okta_unavailable"`, `"status":503`} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %s", part)
		}
	}
	counted := 0.0
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "durward_decisions_total" && l.GetName() == "outcome" && l.GetValue() == "shadow_deny" {
					counted += m.GetCounter().GetValue()
				}
			}
		}
	}
	if int(counted) != passed {
		t.Errorf("the metric counts %v of %d", counted, passed)
	}
}

// told is what reaches the caller of a pass from us.
func told(res *authv3.CheckResponse) string {
	var b strings.Builder
	for _, h := range res.GetOkResponse().GetResponseHeadersToAdd() {
		b.WriteString(h.String())
	}
	return b.String()
}
