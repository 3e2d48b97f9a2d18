package okta

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/policy/token"
)

// Metrics counts requests to Okta and tells how its clients are. A nil *Metrics counts
// nothing.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	unasked  *prometheus.CounterVec

	mu sync.Mutex
	// clients have the newest last; of those with one name it alone is shown.
	clients []*Client
}

var (
	remainingDesc = prometheus.NewDesc("durward_okta_rate_limit_remaining",
		"Calls left of our share of the organization's rate limit in this minute.", []string{"organization"}, nil)
	breakerDesc = prometheus.NewDesc("durward_okta_breaker_state",
		"Circuit breaker: 0 closed, 1 half-open, 2 open.", []string{"server"}, nil)
	rejectedDesc = prometheus.NewDesc("durward_okta_credentials_rejected",
		"1 while the server refuses our client credentials.", []string{"server"}, nil)
	staleCADesc = prometheus.NewDesc("durward_okta_ca_stale",
		"1 while the CA file cannot be used and what was read before is.", []string{"server"}, nil)
	staleDesc = prometheus.NewDesc("durward_okta_credentials_stale",
		"1 while the secret or key file cannot be used and what was read before is.", []string{"server"}, nil)
	keysAgeDesc = prometheus.NewDesc("durward_okta_keys_age_seconds",
		"How long ago the signing keys in use were fetched.", []string{"server"}, nil)
	skewDesc = prometheus.NewDesc("durward_okta_clock_skew_seconds",
		"How far the server's clock is ahead of ours, by the Date of its last answer.", []string{"server"}, nil)
)

// NewMetrics registers, by server (its configured name) and organization (its host):
//
//   - durward_okta_requests_total{endpoint,code} and
//     durward_okta_request_duration_seconds{endpoint}, where code is the HTTP status,
//     "other" for one that HTTP does not know, or, if no answer came, canceled, tls,
//     timeout, refused, dns, oversize, reset or none;
//   - durward_okta_not_asked_total{organization,priority,cause}, questions not sent by
//     cause: budget, bulkhead or breaker;
//   - durward_okta_rate_limit_remaining{organization};
//   - durward_okta_breaker_state, durward_okta_credentials_rejected,
//     durward_okta_credentials_stale, durward_okta_ca_stale, durward_okta_keys_age_seconds and
//     durward_okta_clock_skew_seconds, all {server}; the last two once they are known.
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
		unasked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "durward_okta_not_asked_total",
			Help: "Questions that were not sent to Okta, by priority and cause.",
		}, []string{"organization", "priority", "cause"}),
	}
	r.MustRegister(m.requests, m.duration, m.unasked, m)
	return m
}

func (m *Metrics) observe(endpoint, code string, took time.Duration) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(endpoint, code).Inc()
	m.duration.WithLabelValues(endpoint).Observe(took.Seconds())
}

func (m *Metrics) notAsked(organization string, p token.Priority, cause string) {
	if m == nil {
		return
	}
	priority := "ahead"
	switch p {
	case token.Known:
		priority = "known"
	case token.Unseen:
		priority = "unseen"
	}
	m.unasked.WithLabelValues(organization, priority, cause).Inc()
}

func (m *Metrics) add(c *Client) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clients = append(m.clients, c)
}

func (m *Metrics) remove(c *Client) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clients = slices.DeleteFunc(m.clients, func(other *Client) bool { return other == c })
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{remainingDesc, breakerDesc, rejectedDesc, staleDesc, staleCADesc, keysAgeDesc, skewDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	clients := slices.Clone(m.clients)
	m.mu.Unlock()
	gauge := func(d *prometheus.Desc, value float64, label string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, label)
	}
	left, seen := make(map[string]int), make(map[string]bool)
	for _, c := range slices.Backward(clients) {
		s := c.Status()
		if least, ok := left[c.host]; !ok || s.Remaining < least {
			left[c.host] = s.Remaining
		}
		if seen[c.config.Name] {
			continue
		}
		seen[c.config.Name] = true
		gauge(breakerDesc, float64(slices.Index(breakerStates[:], s.Breaker)), c.config.Name)
		gauge(rejectedDesc, oneIf(s.Refused), c.config.Name)
		gauge(staleDesc, oneIf(s.Stale), c.config.Name)
		gauge(staleCADesc, oneIf(s.StaleCA), c.config.Name)
		if s.SkewKnown {
			gauge(skewDesc, s.Skew.Seconds(), c.config.Name)
		}
		if fetchedAt := c.fetchedAt.Load(); fetchedAt != nil {
			if at := (*fetchedAt)(); !at.IsZero() {
				gauge(keysAgeDesc, time.Since(at).Seconds(), c.config.Name)
			}
		}
	}
	for host, n := range left {
		gauge(remainingDesc, float64(n), host)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
