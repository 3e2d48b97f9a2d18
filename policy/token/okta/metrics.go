package okta

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts requests to Okta. A nil *Metrics counts nothing.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// NewMetrics registers durward_okta_requests_total{endpoint,code}, where code is the
// HTTP status or "none" if no answer came, and durward_okta_request_duration_seconds.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "durward_okta_requests_total",
			Help: "Requests sent to Okta, by endpoint and HTTP status.",
		}, []string{"endpoint", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                           "durward_okta_request_duration_seconds",
			Help:                           "How long Okta took to answer.",
			Buckets:                        []float64{.005, .01, .025, .05, .1, .2, .3, .4, .6, .8, 1, 2, 5},
			NativeHistogramBucketFactor:    1.1,
			NativeHistogramMaxBucketNumber: 100,
		}, []string{"endpoint"}),
	}
	r.MustRegister(m.requests, m.duration)
	return m
}

func (m *Metrics) observe(endpoint string, status int, took time.Duration) {
	if m == nil {
		return
	}
	code := "none"
	if status > 0 {
		code = strconv.Itoa(status)
	}
	m.requests.WithLabelValues(endpoint, code).Inc()
	m.duration.WithLabelValues(endpoint).Observe(took.Seconds())
}
