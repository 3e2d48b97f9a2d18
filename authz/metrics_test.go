package authz_test

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/durward/durward/policy/contract"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestLabelsAreBounded (G13): callers invent names, metrics do not repeat them.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	r := prometheus.NewPedanticRegistry()
	srv := newServer(t, io.Discard, r, okta)
	for _, c := range calls {
		check(t, srv, c.request())
	}
	for i := range 1000 {
		check(t, srv, get(func(c *call) {
			c.api = fmt.Sprint("api", i)
			c.path = fmt.Sprint("/orders/", i)
			c.method = fmt.Sprint("M", i)
			c.host = fmt.Sprint("h", i)
		}).request())
		check(t, srv, get(func(c *call) { c.path = fmt.Sprint("/orders/", i) }, bearer(fmt.Sprint("token", i))).request())
	}
	closed := map[string][]string{
		"api":         {"orders", "unknown"},
		"application": {"mobile", "partner", "tool", "unknown"},
		"outcome":     {"allow", "deny", "error", "shadow_deny"},
		"reason":      {""},
	}
	for _, reason := range contract.Reasons() {
		closed["reason"] = append(closed["reason"], string(reason))
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(closed[l.GetName()], l.GetValue()) {
					t.Errorf("%s{%s=%q}", f.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
	if diff := cmp.Diff([]string{"durward_check_duration_seconds", "durward_check_panics_total", "durward_decisions_total"}, names); diff != "" {
		t.Error(diff)
	}
	if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
