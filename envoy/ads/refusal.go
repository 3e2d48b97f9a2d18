package ads

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/durward/durward/policy/contract"
)

const (
	// maxRefused bounds the refusals that are remembered of one Envoy.
	maxRefused = 64
	// maxRefusing bounds the Envoys of one gateway of which any are.
	maxRefusing = 1024
)

// refusal is one update that an Envoy refused as a whole.
type refusal struct {
	typeURL  string
	versions map[string]string // of the resources in it, by name
	// reason is in Envoy's words, after the type of resource.
	reason string
}

// charge is a refusal that is to be looked into, with what its Envoy had before.
type charge struct {
	refusal
	// bases are, by name of a refused resource, the editions before; tables the editions
	// of the route tables that the Envoy has.
	bases, tables map[string]*edition
	// unknown says that it cannot be told what changed for the Envoy: it has none of what
	// all others have, or an Envoy has something from before our start.
	unknown bool
}

// key is the same for the same update.
func (r refusal) key() string {
	var b strings.Builder
	b.WriteString(r.typeURL)
	for _, name := range slices.Sorted(maps.Keys(r.versions)) {
		b.WriteString("\x00" + name + "\x00" + r.versions[name])
	}
	return b.String()
}

// within reports whether a response would offer the whole update again.
func (r refusal) within(res *discoveryv3.DeltaDiscoveryResponse) bool {
	if res.GetTypeUrl() != r.typeURL {
		return false
	}
	found := 0
	for _, one := range res.GetResources() {
		if r.versions[one.GetName()] == one.GetVersion() {
			found++
		}
	}
	return found == len(r.versions)
}

// in reports whether the edition still has the whole update.
func (r refusal) in(e *edition) bool {
	versions := e.versions(r.typeURL)
	for name, version := range r.versions {
		if versions[name] != version {
			return false
		}
	}
	return true
}

// refuse remembers what an Envoy refused, for the reviewer and so that it is not sent
// again. It reports whether that is news. The caller holds the lock.
func (s *Server) refuse(st *stream, res *discoveryv3.DeltaDiscoveryResponse, reason string) bool {
	g := s.gateways[st.gateway]
	if g == nil || len(res.GetResources()) == 0 {
		return true // a removal, or an answer to nothing
	}
	r := refusal{typeURL: res.GetTypeUrl(), versions: make(map[string]string), reason: reason}
	for _, one := range res.GetResources() {
		r.versions[one.GetName()] = one.GetVersion()
	}
	st.askew = st.askew || len(r.versions) > 1
	key, news := r.key(), true
	for _, of := range g.refused {
		if _, ok := of[key]; ok {
			news = false
		}
	}
	of := g.refused[st.envoy()]
	if of == nil {
		of = make(map[string]refusal)
		makeRoom(g.refused, maxRefusing)
		g.refused[st.envoy()] = of
	}
	makeRoom(of, maxRefused)
	of[key] = r
	s.charge(g, st, r)
	return news
}

// charge leaves a refusal to the reviewer. More than it takes come again with the next
// edition. The caller holds the lock.
func (s *Server) charge(g *gateway, st *stream, r refusal) {
	if len(g.pending) >= maxRefused {
		return
	}
	c := charge{refusal: r, bases: make(map[string]*edition), tables: make(map[string]*edition)}
	for name, version := range r.versions {
		c.bases[name] = g.known(r.typeURL, name, st.held[r.typeURL][name])
		if c.bases[name] != nil {
			continue
		}
		inGood := g.good != nil && g.good.versions(r.typeURL)[name] != ""
		c.unknown = c.unknown || inGood || s.anyHoldsOther(g, r.typeURL, name, version)
	}
	c.unknown = c.unknown || g.good == nil && s.anyHoldsForeign(g)
	for name, version := range st.held[resourcev3.RouteType] {
		if e := g.known(resourcev3.RouteType, name, version); e != nil {
			c.tables[name] = e
		}
	}
	g.pending[r.key()] = c
	s.notify()
}

// chargeAgain is for what an Envoy has refused, and should have again. The caller holds
// the lock.
func (s *Server) chargeAgain(g *gateway, st *stream) {
	for _, r := range g.refused[st.envoy()] {
		if r.in(g.edition) && !r.heldBy(st) {
			s.charge(g, st, r)
		}
	}
}

func (r refusal) heldBy(st *stream) bool {
	for name, version := range r.versions {
		if st.held[r.typeURL][name] != version {
			return false
		}
	}
	return true
}

// anyHoldsForeign reports whether an Envoy has a route table that did not come from here.
func (s *Server) anyHoldsForeign(g *gateway) bool {
	for _, st := range s.streams {
		if st.gateway != g.name {
			continue
		}
		for name, version := range st.held[resourcev3.RouteType] {
			if g.known(resourcev3.RouteType, name, version) == nil {
				return true
			}
		}
	}
	return false
}

// anyRefused reports whether an Envoy has refused what the edition has in it.
func (g *gateway) anyRefused(e *edition) bool {
	for _, of := range g.refused {
		for _, r := range of {
			if r.in(e) {
				return true
			}
		}
	}
	return false
}

func (s *Server) anyHoldsOther(g *gateway, typeURL, name, version string) bool {
	for _, st := range s.streams {
		if held := st.held[typeURL][name]; st.gateway == g.name && held != "" && held != version {
			return true
		}
	}
	return false
}

// isRefused reports whether an Envoy refused a resource, alone or among others, and none
// has it. The caller holds the lock.
func (s *Server) isRefused(g *gateway, typeURL, name, version string) bool {
	if s.anyHolds(g, typeURL, name, version) {
		return false
	}
	for _, of := range g.refused {
		for _, r := range of {
			if r.typeURL == typeURL && r.versions[name] == version {
				return true
			}
		}
	}
	return false
}

// makeRoom removes any one entry of a map that is full.
func makeRoom[V any](m map[string]V, limit int) {
	for key := range m {
		if len(m) < limit {
			return
		}
		delete(m, key)
	}
}

// known returns an edition which has that version of a resource, or nil.
func (g *gateway) known(typeURL, name, version string) *edition {
	for _, e := range g.base[typeURL][name] {
		if e.versions(typeURL)[name] == version {
			return e
		}
	}
	return nil
}

// settle notes which of the editions has what an Envoy now holds. The caller holds the
// lock.
func (g *gateway) settle(typeURL, name, version string, editions ...*edition) {
	if g.known(typeURL, name, version) != nil {
		return
	}
	for _, e := range editions {
		if e == nil || e.versions(typeURL)[name] != version {
			continue
		}
		if g.base[typeURL] == nil {
			g.base[typeURL] = make(map[string][]*edition)
		}
		g.base[typeURL][name] = append(g.base[typeURL][name], e)
		return
	}
}

// replace makes another edition the present one. It is known for what did not change
// since, too, so that no older one is kept for that; of what did, versions that no Envoy
// holds any more are forgotten. The caller holds the lock.
func (s *Server) replace(g *gateway, next *edition) {
	for typeURL, base := range g.base {
		versions := next.versions(typeURL)
		for name, all := range base {
			all = slices.DeleteFunc(all, func(e *edition) bool {
				version := e.versions(typeURL)[name]
				return version != versions[name] && !s.anyHolds(g, typeURL, name, version)
			})
			for i, e := range all {
				if e.versions(typeURL)[name] == versions[name] {
					all[i] = next
				}
			}
			if base[name] = all; len(all) == 0 {
				delete(base, name)
			}
		}
	}
	g.edition, g.former = next, g.edition
}

func (s *Server) anyHolds(g *gateway, typeURL, name, version string) bool {
	for _, st := range s.streams {
		if st.gateway == g.name && st.held[typeURL][name] == version {
			return true
		}
	}
	return false
}

// authors lists the APIs that wrote part of a resource of the edition, each with a hash
// of its part. An API has no part in listeners.
func (e *edition) authors(typeURL, name string) map[string][]byte {
	resource := e.snap.GetResources(typeURL)[name]
	parts := make(map[string][]byte)
	switch r := resource.(type) {
	case *routev3.RouteConfiguration:
		for _, vh := range r.GetVirtualHosts() {
			for _, route := range vh.GetRoutes() {
				add(parts, route.GetName(), vh.GetName(), route)
			}
		}
	case *clusterv3.Cluster:
		for _, table := range e.snap.GetResources(resourcev3.RouteType) {
			for _, vh := range table.(*routev3.RouteConfiguration).GetVirtualHosts() {
				for _, route := range vh.GetRoutes() {
					if leadsTo(route, name) && parts[route.GetName()] == nil {
						add(parts, route.GetName(), "", r)
					}
				}
			}
		}
	}
	delete(parts, contract.NoAPI)
	return parts
}

// add chains the hashes of what an API wrote.
func add(parts map[string][]byte, api, host string, m types.Resource) {
	sum := sha256.New()
	sum.Write(parts[api])
	sum.Write([]byte(host))
	if err := hashInto(sum, m); err != nil {
		return // it was marshalled before, for its version
	}
	parts[api] = sum.Sum(nil)
}

func leadsTo(route *routev3.Route, cluster string) bool {
	action := route.GetRoute()
	if action.GetCluster() == cluster {
		return true
	}
	return slices.ContainsFunc(action.GetWeightedClusters().GetClusters(), func(c *routev3.WeightedCluster_ClusterWeight) bool {
		return c.GetName() == cluster
	})
}

// suspects lists the APIs that changed in a refused update since an Envoy last held its
// resources; all of theirs, if that tells none. What all other Envoys have as it stands is
// beyond suspicion.
func (e *edition) suspects(c charge) []string {
	changed, all := make(map[string]bool), make(map[string]bool)
	for name, version := range c.versions {
		var former map[string][]byte
		if base := c.bases[name]; base != nil {
			if base.versions(c.typeURL)[name] == version {
				continue
			}
			former = base.authors(c.typeURL, name)
		}
		for api, part := range e.authors(c.typeURL, name) {
			all[api] = true
			if !bytes.Equal(former[api], part) {
				changed[api] = true
			}
		}
	}
	if len(changed) == 0 {
		changed = all
	}
	return slices.Sorted(maps.Keys(changed))
}
