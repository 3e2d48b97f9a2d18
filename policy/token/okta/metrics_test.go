package okta_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	r := prometheus.NewPedanticRegistry()
	m := okta.NewMetrics(r)
	var status atomic.Int32
	cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if status.Load() == 0 {
			panic(http.ErrAbortHandler)
		}
		writeJSON(w, int(status.Load()), `{"active":false}`)
	}, func(c *okta.Config) { c.Metrics = m })
	for _, code := range []int32{500, 200, 0} {
		status.Store(code)
		_, _ = cl.Introspect(t.Context(), parsed(t, canary), token.Known)
	}
	status.Store(404)
	if cl.Probe(t.Context()) == nil {
		t.Error("a 404 passes for metadata")
	}
	want := `# HELP durward_okta_requests_total Requests sent to Okta, by endpoint and HTTP status.
# TYPE durward_okta_requests_total counter
durward_okta_requests_total{code="200",endpoint="introspect"} 1
durward_okta_requests_total{code="404",endpoint="metadata"} 1
durward_okta_requests_total{code="500",endpoint="introspect"} 2
durward_okta_requests_total{code="reset",endpoint="introspect"} 2
`
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "durward_okta_requests_total"); err != nil {
		t.Error(err)
	}
	cl.ReportKeys(func() time.Time { return time.Now().Add(-time.Hour) })
	if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if n := testutil.CollectAndCount(m); n != 7 {
		t.Errorf("%d gauges", n)
	}
	cl.Close()
	if n := testutil.CollectAndCount(m); n != 0 {
		t.Errorf("%d gauges of a client that is closed", n)
	}
}

// TestGauges: of two clients of one server the newer is shown, of two budgets of one
// organization the one with less left.
func TestGauges(t *testing.T) {
	t.Parallel()
	r := prometheus.NewPedanticRegistry()
	m := okta.NewMetrics(r)
	clock := newClock()
	rich, poor := budget(t, okta.BudgetConfig{Now: clock.now, Limit: 1000}), budget(t, okta.BudgetConfig{Now: clock.now, Limit: 10})
	broken := &flaky{answer: dead}
	old := client(t, "https://example.okta.com", func(c *okta.Config) {
		c.Name, c.Metrics, c.Budget, c.Transport = "main", m, rich, broken
	})
	for range 6 {
		_, _ = old.Introspect(t.Context(), parsed(t, canary), token.Known)
	}
	shows := func(state, left string) {
		t.Helper()
		want := `# HELP durward_okta_breaker_state Circuit breaker: 0 closed, 1 half-open, 2 open.
# TYPE durward_okta_breaker_state gauge
durward_okta_breaker_state{server="main"} ` + state + `
# HELP durward_okta_rate_limit_remaining Calls left of our share of the organization's rate limit in this minute.
# TYPE durward_okta_rate_limit_remaining gauge
durward_okta_rate_limit_remaining{organization="example.okta.com"} ` + left + "\n"
		if err := testutil.GatherAndCompare(r, strings.NewReader(want), "durward_okta_breaker_state", "durward_okta_rate_limit_remaining"); err != nil {
			t.Error(err)
		}
	}
	shows("2", "790")
	fresh := client(t, "https://example.okta.com", func(c *okta.Config) { c.Name, c.Metrics, c.Budget = "main", m, poor })
	shows("0", "8")
	fresh.Close()
	shows("2", "790")
	want := `# HELP durward_okta_not_asked_total Questions that were not sent to Okta, by priority and cause.
# TYPE durward_okta_not_asked_total counter
durward_okta_not_asked_total{cause="breaker",organization="example.okta.com",priority="known"} 1
`
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "durward_okta_not_asked_total"); err != nil {
		t.Error(err)
	}
}
