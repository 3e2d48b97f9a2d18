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
	// Refusal is the same of something that is published to it now.
	Refusal string
}

// Parked is an API that an Envoy of the gateway refused, alone or with others.
type Parked struct {
	Gateway, API string
	// At is where the API is declared.
	At catalog.Position
	// Reason is in Envoy's own words, cut to 2 kB.
	Reason string
	// Guilty says that Envoy refuses this very API; else it is one of several of which it
	// is being found out.
	Guilty bool
	// Former says that Envoys have the API as it was before; else they have none of it.
	Former bool
	// Only are the node ids of the Envoys that this is about, sorted, where others have the
	// API as it stands; empty for all.
	Only []string
}

// Status returns what is known now.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all Status
	for _, st := range s.streams {
		a := s.audiences[st.audience]
		if a == nil {
			continue // it has not said who it is, or its gateway is gone
		}
		all.Envoys = append(all.Envoys, Envoy{
			Gateway: st.gateway, NodeID: st.node, Version: st.version, Outdated: isOutdated(st.version),
			Connected: st.since, Revision: st.revision, Current: a.edition != nil && st.has == a.edition, LastError: st.lastError, Refusal: st.refusal(a),
		})
	}
	for _, b := range s.audiences {
		only := s.only(b)
		if len(only) == 0 && s.progress(b.name).connected > 0 {
			continue // whoever goes without is not connected
		}
		for name, w := range b.withheld {
			all.Parked = append(all.Parked, Parked{
				Gateway: b.name, API: name, At: w.api.At, Reason: w.reason, Guilty: w.guilty, Former: w.former != nil, Only: only,
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

// only lists the Envoys of an audience, where there are others of its gateway. The caller
// holds the lock.
func (s *Server) only(a *audience) []string {
	var ids []string
	others := false
	for _, st := range s.streams {
		switch {
		case st.audience == a.key:
			ids = append(ids, st.node)
		case st.gateway == a.name:
			others = true
		}
	}
	if !others {
		return nil
	}
	slices.Sort(ids)
	return slices.Compact(ids)
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
		case e.Refusal != "":
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
	c.server.mu.Lock()
	names := c.server.gatewayNames()
	c.server.mu.Unlock()
	for _, name := range names {
		gauge(outdatedDesc, outdated[name], name)
		gauge(parkedDesc, parked[name], name)
	}
}

// gatewayNames are sorted. The caller holds the lock.
func (s *Server) gatewayNames() (names []string) {
	for key, a := range s.audiences {
		if !a.isApart() {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	return names
}
