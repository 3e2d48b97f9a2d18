package serve

import (
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// state is what probes and metrics tell about the configuration.
type state struct {
	mu        sync.Mutex
	revision  string
	rejected  string // why the newest configuration is not serving; empty if it is
	upstreams map[identity]*upstream
	draining  bool

	loaded prometheus.Gauge
	info   *prometheus.GaugeVec
}

func newState(r prometheus.Registerer) *state {
	s := &state{
		loaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "durward_catalog_last_reload_successful",
			Help: "1 if the newest configuration is serving, 0 if it was rejected.",
		}),
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "durward_catalog_info",
			Help: "1 for the revision of the configuration that is serving.",
		}, []string{"revision"}),
	}
	r.MustRegister(s.loaded, s.info)
	return s
}

func (s *state) serving(revision string, upstreams map[identity]*upstream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision, s.rejected, s.upstreams = revision, "", upstreams
	s.loaded.Set(1)
	s.info.Reset()
	s.info.WithLabelValues(revision).Set(1)
}

func (s *state) reject(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected = err.Error()
	s.loaded.Set(0)
}

func (s *state) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
}

// report says whether requests should come here, and each fact behind that. A dead
// Okta and a rejected new configuration do not count against it.
func (s *state) report() (ready bool, lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ready = s.revision != "" && !s.draining
	lines = append(lines, fmt.Sprintf("configuration: serving %q", s.revision))
	if s.rejected != "" {
		lines = append(lines, "configuration: the newest was rejected: "+s.rejected)
	}
	if s.draining {
		lines = append(lines, "draining")
	}
	var servers []string
	for _, u := range s.upstreams {
		select {
		case <-u.asked:
			servers = append(servers, u.issuer+": tried")
		default:
			ready = false
			servers = append(servers, u.issuer+": not tried yet")
		}
	}
	slices.Sort(servers)
	return ready, append(lines, servers...)
}

// readyz answers with 200 or 503, and with the facts where ?verbose asks for them.
func (s *state) readyz(w http.ResponseWriter, r *http.Request) {
	ready, lines := s.report()
	status, word := http.StatusOK, "ready"
	if !ready {
		status, word = http.StatusServiceUnavailable, "not ready"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, word)
	if r.URL.Query().Has("verbose") {
		for _, line := range lines {
			_, _ = fmt.Fprintln(w, line)
		}
	}
}
