package ads

import (
	"maps"
	"slices"
	"strings"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

const (
	// maxRefused bounds the resources of which it is remembered that one Envoy refused
	// them: two for each route table.
	maxRefused = 2048
	// maxRefusing bounds the Envoys of one gateway that are not connected of which any are.
	maxRefusing = 256
	// maxPending bounds the refusals that wait to be looked into.
	maxPending = 64
)

// resource is one version of one resource.
type resource struct{ typeURL, name, version string }

// refusal is an update that an Envoy refused as a whole.
type refusal struct {
	typeURL  string
	versions map[string]string // of the resources in it, by name
	// reason is in Envoy's words.
	reason string
}

// charge is a refusal that is to be looked into, with what its Envoy had before.
type charge struct {
	refusal
	// bases are, by name of a refused resource, the editions before; tables the editions
	// of the route tables that the Envoy has; good the last of which it had all, or nil.
	bases, tables map[string]*edition
	good          *edition
	// foreign says that an Envoy has of the refused something that did not come from here,
	// so that it cannot be told what changed.
	foreign bool
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

func (r resource) in(e *edition) bool { return e.versions(r.typeURL)[r.name] == r.version }

func (r resource) heldBy(st *stream) bool { return st.held[r.typeURL][r.name] == r.version }

// nacked takes note of a refusal. The whole response is refused, whatever in it was the
// reason, so that several resources are offered again in halves, unless what changed in
// all of them is one API's. It reports whether that is news. The caller holds the lock.
func (s *Server) nacked(a *audience, st *stream, res sent, reason string) (news bool) {
	if res.DeltaDiscoveryResponse == nil {
		return false // an answer to nothing
	}
	if len(res.GetResources()) == 0 { // nobody can keep what is gone
		st.removed(res.DeltaDiscoveryResponse)
	}
	later := st.outran(res.GetTypeUrl())
	for _, name := range res.GetRemovedResources() {
		if st.held[res.GetTypeUrl()][name] != "" && !later[name] {
			st.isUnused(res.GetTypeUrl(), name)
		}
	}
	offered := slices.DeleteFunc(slices.Clone(res.GetResources()), func(one *discoveryv3.Resource) bool { return later[one.GetName()] })
	if a == nil || len(offered) == 0 {
		return true // what is not offered any more
	}
	c := chargeOf(a.gateway, st, res.GetTypeUrl(), offered, reason)
	if len(offered) > 1 && !a.edition.isOfOne(c) {
		half := len(offered) / 2
		st.parts = append([]part{
			{res.GetTypeUrl(), offered[:half], res.editions},
			{res.GetTypeUrl(), offered[half:], res.editions},
		}, st.parts...)
		return false
	}
	for name, version := range c.versions {
		r := resource{c.typeURL, name, version}
		news = news || !s.isRefused(a.gateway, r)
		makeRoom(st.refused, maxRefused)
		st.refused[r] = reason
	}
	s.leave(st, c)
	return news
}

// isRefused reports whether any Envoy of the gateway refused it. The caller holds the lock.
func (s *Server) isRefused(g *gateway, r resource) bool {
	for _, st := range s.streams {
		if _, ok := st.refused[r]; ok && st.gateway == g.name {
			return true
		}
	}
	for _, of := range g.left {
		if _, ok := of[r]; ok {
			return true
		}
	}
	return false
}

// chargeOf notes what the Envoy had before. The caller holds the lock.
func chargeOf(g *gateway, st *stream, typeURL string, offered []*discoveryv3.Resource, reason string) charge {
	c := charge{
		refusal: refusal{typeURL, make(map[string]string), reason},
		bases:   make(map[string]*edition), tables: make(map[string]*edition), good: st.good,
	}
	for _, one := range offered {
		name, version := one.GetName(), one.GetVersion()
		c.versions[name] = version
		held := st.held[typeURL][name]
		c.bases[name] = g.known(typeURL, name, held)
		c.foreign = c.foreign || held != "" && c.bases[name] == nil
		if c.bases[name] == nil && st.good != nil && st.good.versions(typeURL)[name] != version {
			c.bases[name] = st.good
		}
	}
	for name, version := range st.held[resourcev3.RouteType] {
		if e := g.known(resourcev3.RouteType, name, version); e != nil {
			c.tables[name] = e
		}
	}
	return c
}

// leave sets an Envoy apart, if it is not, and leaves its refusal to the reviewer. More than
// that takes come again with the next edition. The caller holds the lock.
func (s *Server) leave(st *stream, c charge) {
	s.assign(st)
	b := s.audiences[apartKey(st.gateway)]
	if b == nil || len(b.pending) >= maxPending {
		return
	}
	if b.pending == nil {
		b.pending = make(map[string]charge)
	}
	b.pending[c.key()] = c
	s.notify()
}

// chargeAgain is for what an Envoy has refused, and should have again. The caller holds
// the lock.
func (s *Server) chargeAgain(st *stream) {
	b := s.audiences[apartKey(st.gateway)]
	for r, reason := range st.refused {
		if len(b.pending) >= maxPending {
			return
		}
		if r.in(b.edition) && !r.heldBy(st) {
			one := &discoveryv3.Resource{Name: r.name, Version: r.version}
			s.leave(st, chargeOf(b.gateway, st, r.typeURL, []*discoveryv3.Resource{one}, reason))
		}
	}
}

// anyHolds reports whether an Envoy of the gateway has that version.
func (s *Server) anyHolds(g *gateway, r resource) bool {
	for _, st := range s.streams {
		if st.gateway == g.name && r.heldBy(st) {
			return true
		}
	}
	return false
}

// makeRoom removes any one entry of a map that is full.
func makeRoom[K comparable, V any](m map[K]V, limit int) {
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
func (g *gateway) settle(r resource, editions ...*edition) {
	if g.known(r.typeURL, r.name, r.version) != nil {
		return
	}
	for _, e := range editions {
		if e == nil || !r.in(e) {
			continue
		}
		if g.base[r.typeURL] == nil {
			g.base[r.typeURL] = make(map[string][]*edition)
		}
		g.base[r.typeURL][r.name] = append(g.base[r.typeURL][r.name], e)
		return
	}
}

// replace makes another edition the present one. It is known for what did not change
// since, too, so that no older one is kept for that; of what did, versions that no Envoy
// holds any more are forgotten. The caller holds the lock.
func (s *Server) replace(a *audience, next *edition) {
	for typeURL, base := range a.base {
		versions := next.versions(typeURL)
		for name, all := range base {
			all = slices.DeleteFunc(all, func(e *edition) bool {
				version := e.versions(typeURL)[name]
				return version != versions[name] && !s.anyHolds(a.gateway, resource{typeURL, name, version})
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
	a.edition, a.former = next, a.edition
}
