package ads

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/policy/catalog"
)

// Status is what is known of the Envoys at one moment.
type Status struct {
	// Envoys are those connected, by gateway and node id.
	Envoys []Envoy
	// Parked are the APIs that are not published as they stand, by gateway and name.
	Parked []Parked
}

// Envoy is one that is connected. What it says of itself is not proved.
type Envoy struct {
	Gateway, NodeID string
	// Version is its release, such as 1.40.0; empty if it tells none.
	Version string
	// Outdated says that the release lacks fixes of known holes.
	Outdated  bool
	Connected time.Time
	// Revision is that of the last catalogue of which it acknowledged all that was
	// published; empty before the first.
	Revision string
	// Current says that it has all that is published now.
	Current bool
	// LastError is the type of resource that it last refused on this connection, and its
	// reason in its own words, cut to 2 kB; empty if it refused none.
	LastError string
}

// Parked is an API that an Envoy of the gateway refused, alone or with others.
type Parked struct {
	Gateway, API string
	// At is where the API is declared.
	At catalog.Position
	// Reason is the type of resource and the reason in Envoy's own words.
	Reason string
	// Guilty says that Envoy refuses this very API; else it is one of several of which it
	// is being found out.
	Guilty bool
	// Former says that Envoys have the API as it was before; else they have none of it.
	Former bool
}

// Status returns what is known now.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all Status
	for _, st := range s.streams {
		g := s.gateways[st.gateway]
		if g == nil {
			continue // it has not said who it is, or its gateway is gone
		}
		all.Envoys = append(all.Envoys, Envoy{
			Gateway: st.gateway, NodeID: st.node, Version: st.version, Outdated: isOutdated(st.version),
			Connected: st.since, Revision: st.revision, Current: g.edition != nil && st.has == g.edition, LastError: st.lastError,
		})
	}
	for _, g := range s.gateways {
		for name, w := range g.withheld {
			all.Parked = append(all.Parked, Parked{
				Gateway: g.name, API: name, At: w.api.At, Reason: w.reason, Guilty: w.guilty, Former: w.former != nil,
			})
		}
	}
	slices.SortFunc(all.Envoys, func(a, b Envoy) int {
		return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.NodeID, b.NodeID), a.Connected.Compare(b.Connected))
	})
	slices.SortFunc(all.Parked, func(a, b Parked) int {
		return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.API, b.API))
	})
	return all
}

var (
	envoysDesc = prometheus.NewDesc("durward_xds_envoys",
		"Envoys that are connected, by gateway, release, the revision that they last acknowledged, and whether they are current, behind, or refused what is published.",
		[]string{"gateway", "version", "revision", "state"}, nil)
	outdatedDesc = prometheus.NewDesc("durward_xds_envoys_outdated",
		"Envoys that are connected and whose release lacks fixes of known holes.", []string{"gateway"}, nil)
	parkedDesc = prometheus.NewDesc("durward_xds_parked_apis",
		"APIs that are not published as they stand, because an Envoy refused them.", []string{"gateway"}, nil)
)

// collector tells the numbers of Status. Envoys are not told apart: node ids are theirs
// to choose.
type collector struct{ server *Server }

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	out <- envoysDesc
	out <- outdatedDesc
	out <- parkedDesc
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	type labels struct{ gateway, version, revision, state string }
	envoys, outdated, parked := make(map[labels]int), make(map[string]int), make(map[string]int)
	all := c.server.Status()
	for _, e := range all.Envoys {
		state := "behind"
		switch {
		case e.Current:
			state = "current"
		case e.LastError != "":
			state = "refused"
		}
		envoys[labels{e.Gateway, e.Version, e.Revision, state}]++
		if e.Outdated {
			outdated[e.Gateway]++
		}
	}
	for _, p := range all.Parked {
		parked[p.Gateway]++
	}
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	for l, n := range envoys {
		gauge(envoysDesc, n, l.gateway, l.version, l.revision, l.state)
	}
	for _, name := range c.server.gatewayNames() {
		gauge(outdatedDesc, outdated[name], name)
		gauge(parkedDesc, parked[name], name)
	}
}

func (s *Server) gatewayNames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.gateways))
	for name := range s.gateways {
		names = append(names, name)
	}
	return names
}
