package authz

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/policy/record"
)

// metrics counts checks. Labels come from the catalogue and from closed lists alone.
type metrics struct {
	decisions *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	panics    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "durward_decisions_total",
			Help: "Checks answered, by API, application, outcome and reason.",
		}, []string{"api", "application", "outcome", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                           "durward_check_duration_seconds",
			Help:                           "How long a check took, from question to answer.",
			Buckets:                        []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, .1, .25, .5, 1, 2.5},
			NativeHistogramBucketFactor:    1.1,
			NativeHistogramMaxBucketNumber: 100,
		}, []string{"outcome"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "durward_check_panics_total",
			Help: "Checks that panicked and were denied.",
		}),
	}
	r.MustRegister(m.decisions, m.duration, m.panics)
	return m
}

func (m *metrics) observe(r record.Record) {
	m.decisions.WithLabelValues(r.API, r.Application, string(r.Outcome), r.Reason).Inc()
	m.duration.WithLabelValues(string(r.Outcome)).Observe(r.Took.Seconds())
}
