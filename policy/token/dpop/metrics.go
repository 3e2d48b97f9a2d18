package dpop

import "github.com/prometheus/client_golang/prometheus"

// result of a check: an index into results.
type result int

const (
	accepted result = iota
	malformed
	otherKey
	badSignature
	otherMethod
	otherURL
	otherToken
	stale
	replayed
	full
)

// results are the names, as metric labels.
var results = [...]string{
	"accepted", "malformed", "other_key", "bad_signature", "other_method", "other_url", "other_token", "stale", "replayed", "full",
}

// metrics of a Checker.
type metrics struct {
	proofs [len(results)]prometheus.Counter
}

// newMetrics registers nothing where r is nil.
func newMetrics(r prometheus.Registerer, remembered func() float64) *metrics {
	all := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "durward_dpop_proofs_total",
		Help: "DPoP proofs that were checked, by result.",
	}, []string{"result"})
	m := new(metrics)
	for i, name := range results {
		m.proofs[i] = all.WithLabelValues(name)
	}
	if r != nil {
		r.MustRegister(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "durward_dpop_proofs_remembered",
			Help: "Used DPoP proofs that are remembered until they are too old to be used again.",
		}, remembered))
	}
	return m
}

func (m *metrics) count(r result) { m.proofs[r].Inc() }
