package serve

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// state is what probes and metrics tell about the configuration.
type state struct {
	mu        sync.Mutex
	revision  string
	rejected  string   // why the newest configuration is not serving; empty if it is
	why       []reason // the same, with what to do
	degraded  bool     // a copy serves, because the configuration was rejected at the start
	unkept    string   // why there is no copy of what serves; empty if there is, or none is wanted
	upstreams map[identity]*upstream
	draining  bool

	loaded, copied prometheus.Gauge
	info           *prometheus.GaugeVec
}

func newState(r prometheus.Registerer) *state {
	s := &state{
		loaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "durward_catalog_last_reload_successful",
			Help: "1 if the newest configuration is serving, 0 if it was rejected.",
		}),
		copied: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "durward_catalog_degraded",
			Help: "1 if the copy of an older configuration is serving, because the present one was rejected at the start.",
		}),
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "durward_catalog_info",
			Help: "1 for the revision of the configuration that is serving.",
		}, []string{"revision"}),
	}
	r.MustRegister(s.loaded, s.copied, s.info)
	return s
}

func (s *state) serving(revision string, upstreams map[identity]*upstream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision, s.rejected, s.why, s.degraded, s.upstreams = revision, "", nil, false, upstreams
	s.loaded.Set(1)
	s.copied.Set(0)
	s.info.Reset()
	s.info.WithLabelValues(revision).Set(1)
}

func (s *state) reject(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejected, s.why = err.Error(), reasons(err)
	s.loaded.Set(0)
}

// degrade says that what serves is a copy, for err is what the configuration got at the
// start.
func (s *state) degrade(err error) {
	s.reject(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.degraded = true
	s.copied.Set(1)
}

// kept says whether what serves was copied.
func (s *state) kept(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unkept = ""
	if err != nil {
		s.unkept = err.Error()
	}
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
	if s.degraded {
		lines = append(lines, "configuration: degraded: the last good copy serves, for the present one was rejected at the start")
	}
	for _, reason := range s.why {
		lines = append(lines, "configuration: the newest was rejected: "+reason.told)
		if reason.fix != "" {
			lines = append(lines, "  fix: "+reason.fix)
		}
	}
	if s.unkept != "" {
		lines = append(lines, "configuration: the last good one cannot be kept: "+s.unkept)
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

// readyz answers with 200 or 503, and with the facts where ?verbose asks for them. That
// Envoys lack something does not count against it either.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ready, lines := s.state.report()
	status, word := http.StatusOK, "ready"
	if !ready {
		status, word = http.StatusServiceUnavailable, "not ready"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, word)
	if !r.URL.Query().Has("verbose") {
		return
	}
	lines = append(lines, certificateLines(s.guards, time.Now())...)
	if cat := s.shown.Load(); cat != nil {
		lines = append(lines, envoyLines(cat, s.ads.Status())...)
	}
	for _, line := range lines {
		_, _ = fmt.Fprintln(w, line)
	}
}
