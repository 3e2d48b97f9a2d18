package okta_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// dated is a server whose clock is ahead of ours, and whose answers take some time.
type dated struct {
	ahead, there, back time.Duration
	age                string
	undated            bool
}

func (d *dated) answer(*http.Request) (*http.Response, error) {
	time.Sleep(d.there)
	res, err := plain(200, "application/json", `{"active":false}`)
	if !d.undated {
		res.Header.Set("Date", time.Now().Add(d.ahead).UTC().Format(http.TimeFormat))
	}
	if d.age != "" {
		res.Header.Set("Age", d.age)
	}
	time.Sleep(d.back)
	return res, err
}

// TestClockSkew (F07): the server's Date tells how far the clocks are apart, and the log
// tells it once for each change.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	const second = time.Second
	synctest.Test(t, func(t *testing.T) {
		var log journal
		metric := prometheus.NewPedanticRegistry()
		d := &dated{}
		cl := client(t, "https://example.okta.com", func(c *okta.Config) {
			c.Name, c.Transport, c.Budget, c.Metrics = "main", roundTrip(d.answer), unlimited(t), okta.NewMetrics(metric)
			c.Leeway, c.Log = 30*second, log.logger()
		})
		// asks asks some times, wherever in a second, and holds the gauge to half of one.
		asks := func(want time.Duration) {
			t.Helper()
			for range 10 {
				time.Sleep(130 * time.Millisecond)
				if _, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known); err != nil {
					t.Fatal(err)
				}
				if got := gauge(t, metric, "durward_okta_clock_skew_seconds"); len(got) != 1 || (time.Duration(got[0]*float64(second))-want).Abs() > second/2+(d.there+d.back)/2 {
					t.Fatalf("a skew of %v s, want %s", got, want)
				}
			}
		}
		d.undated = true
		_, _ = cl.Introspect(t.Context(), parsed(t, canary), token.Known)
		if got := gauge(t, metric, "durward_okta_clock_skew_seconds"); len(got) != 0 {
			t.Errorf("a skew without a Date: %v", got)
		}
		d.undated = false
		asks(0)
		d.ahead = 29 * second
		asks(d.ahead)
		d.ahead = -29 * second
		asks(d.ahead)
		log.mustBe(t)
		d.ahead = -30 * second // the leeway itself
		asks(d.ahead)
		d.ahead, d.back = 32*second, 4*second // may be less
		asks(d.ahead)
		log.mustBe(t)
		d.back, d.there = 0, 4*second // is more, all the same
		asks(d.ahead)
		log.mustBe(t, differing)
		d.there = 0
		d.ahead = -300 * second
		asks(d.ahead)
		d.ahead = 30*second + 100*time.Millisecond // about the leeway: stays as told
		asks(d.ahead)
		log.mustBe(t, differing)
		d.ahead = 3 * second
		asks(d.ahead)
		log.mustBe(t, differing, agreeing)
		d.age, d.ahead = "90", 300*second // from a cache
		if _, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known); err != nil {
			t.Fatal(err)
		}
		if got := gauge(t, metric, "durward_okta_clock_skew_seconds"); len(got) != 1 || got[0] > 4 {
			t.Errorf("a cached answer tells of the clock: %v", got)
		}
		d.age, d.ahead = "", 0
		asks(0)
		log.mustBe(t, differing, agreeing)
		if text := log.String(); !strings.Contains(text, "leeway=30s") || !strings.Contains(text, "fix=") {
			t.Errorf("neither leeway nor fix in\n%s", text)
		}
	})
}

// TestSkewWithoutLeeway: what Date cannot tell is no alarm.
func TestSkewWithoutLeeway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log journal
		d := &dated{ahead: time.Second}
		cl := client(t, "https://example.okta.com", func(c *okta.Config) {
			c.Name, c.Transport, c.Budget, c.Log = "main", roundTrip(d.answer), unlimited(t), log.logger()
		})
		for range 2 {
			for range 10 {
				time.Sleep(130 * time.Millisecond)
				_, _ = cl.Introspect(t.Context(), parsed(t, canary), token.Known)
			}
			if d.ahead == time.Second {
				log.mustBe(t)
			}
			d.ahead = 4 * time.Second
		}
		log.mustBe(t, differing)
	})
}

// gauge returns the values of all series of that name.
func gauge(t *testing.T, r prometheus.Gatherer, name string) (values []float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			values = append(values, m.GetGauge().GetValue())
		}
	}
	return values
}
