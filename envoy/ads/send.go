package ads

import (
	"fmt"
	"maps"
	"slices"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// admit takes a response of the library's into account that is about to be sent, and
// reports whether anything of it is to be. What this Envoy has refused is left out, and is
// as good as refused again; the removal of clusters is put off, and so are tables that lead
// to clusters which it does not have yet. Envoy waits for the first response of each type,
// even if that is empty. The caller holds the lock.
func (s *Server) admit(a *audience, st *stream, res *discoveryv3.DeltaDiscoveryResponse) bool {
	out := sent{DeltaDiscoveryResponse: res}
	typeURL := res.GetTypeUrl()
	st.outrun(res)
	if a != nil {
		out.editions = [2]*edition{a.edition, a.former}
		st.putOff(a, res)
		res.Resources = slices.DeleteFunc(res.Resources, func(one *discoveryv3.Resource) bool {
			r := resource{typeURL, one.GetName(), one.GetVersion()}
			reason, refused := st.refused[r]
			if refused = refused && !r.heldBy(st); refused {
				s.leave(st, chargeOf(a.gateway, st, typeURL, []*discoveryv3.Resource{one}, reason))
			}
			return refused
		})
		if typeURL == resourcev3.RouteType && st.awaitsClusters(a.edition) {
			var later []*discoveryv3.Resource
			res.Resources, later = st.ready(part{typeURL, res.Resources, out.editions})
			st.parts = append(st.parts, part{typeURL, later, out.editions})
		}
	}
	if st.told[typeURL] && len(res.GetResources())+len(res.GetRemovedResources()) == 0 {
		st.nudge(typeURL) // or the library waits for an answer
		return false
	}
	st.told[typeURL] = true
	s.register(st, out)
	return true
}

// register notes a response that is about to be sent. The caller holds the lock.
func (s *Server) register(st *stream, out sent) {
	s.metrics.sent.WithLabelValues(typeLabels[out.GetTypeUrl()]).Add(float64(len(out.GetResources())))
	st.unanswered[out.GetNonce()] = out
}

// own returns a response that the library does not know of: the next part of what was
// refused, or a removal that is due. The caller holds the lock.
func (s *Server) own(st *stream) *discoveryv3.DeltaDiscoveryResponse {
	var out sent
	if next := st.nextPart(); len(next.resources) > 0 {
		out = sent{&discoveryv3.DeltaDiscoveryResponse{TypeUrl: next.typeURL, Resources: next.resources}, next.editions}
	}
	offered := out.DeltaDiscoveryResponse != nil
	if !offered {
		typeURL := st.removalDue()
		if typeURL == "" {
			return nil
		}
		out.DeltaDiscoveryResponse = &discoveryv3.DeltaDiscoveryResponse{
			TypeUrl: typeURL, RemovedResources: slices.Sorted(maps.Keys(st.unused[typeURL])),
		}
	}
	st.nonces++
	out.Nonce = fmt.Sprintf("durward-%d", st.nonces)
	if offered {
		st.part = out.Nonce
	} else {
		st.removing = out.Nonce
	}
	s.register(st, out)
	return out.DeltaDiscoveryResponse
}

// nextPart takes what is to be sent next of what was put off, if nothing of it is on its
// way. The caller holds the lock.
func (st *stream) nextPart() part {
	st.parts = slices.DeleteFunc(st.parts, func(p part) bool { return len(p.resources) == 0 })
	for i, p := range st.parts {
		if st.part != "" {
			break
		}
		if now, later := st.ready(p); len(now) > 0 {
			st.parts[i].resources = later
			return part{p.typeURL, now, p.editions}
		}
	}
	return part{}
}

// awaitsClusters reports whether an Envoy that asks for clusters lacks some of the edition's.
func (st *stream) awaitsClusters(e *edition) bool {
	held := st.held[resourcev3.ClusterType]
	if held == nil || e == nil {
		return false
	}
	for name := range e.versions(resourcev3.ClusterType) {
		if held[name] == "" {
			return true
		}
	}
	return false
}

// ready sorts out the tables that lead to clusters which the Envoy does not have.
func (st *stream) ready(p part) (now, later []*discoveryv3.Resource) {
	held := st.held[resourcev3.ClusterType]
	for _, one := range p.resources {
		if p.typeURL == resourcev3.RouteType && held != nil && !leadsInto(p.table(one), held) {
			later = append(later, one)
		} else {
			now = append(now, one)
		}
	}
	return now, later
}

// table returns nil for a table that is of none of the part's editions.
func (p part) table(one *discoveryv3.Resource) *routev3.RouteConfiguration {
	for _, e := range p.editions {
		if e != nil && (resource{p.typeURL, one.GetName(), one.GetVersion()}).in(e) {
			table, _ := e.snap.GetResources(p.typeURL)[one.GetName()].(*routev3.RouteConfiguration)
			return table
		}
	}
	return nil
}

// outrun drops from what is to be offered again what the library sends anew, or removes.
func (st *stream) outrun(res *discoveryv3.DeltaDiscoveryResponse) {
	if len(st.parts) == 0 {
		return
	}
	names := namesOf(res)
	for i, p := range st.parts {
		if p.typeURL == res.GetTypeUrl() {
			st.parts[i].resources = slices.DeleteFunc(slices.Clone(p.resources), func(one *discoveryv3.Resource) bool { return names[one.GetName()] })
		}
	}
}

// outran has the resources of a type of which something later is on its way, or about to
// be. What is not answered was sent later than what is.
func (st *stream) outran(typeURL string) map[string]bool {
	names := make(map[string]bool)
	maps.Copy(names, st.unused[typeURL])
	for _, res := range st.unanswered {
		if res.GetTypeUrl() == typeURL {
			maps.Copy(names, namesOf(res.DeltaDiscoveryResponse))
		}
	}
	for _, p := range st.parts {
		if p.typeURL == typeURL {
			maps.Copy(names, namesOf(&discoveryv3.DeltaDiscoveryResponse{Resources: p.resources}))
		}
	}
	return names
}

func namesOf(res *discoveryv3.DeltaDiscoveryResponse) map[string]bool {
	names := make(map[string]bool)
	for _, one := range res.GetResources() {
		names[one.GetName()] = true
	}
	for _, name := range res.GetRemovedResources() {
		names[name] = true
	}
	return names
}

// putOff takes the removal of clusters out of a response. The library would remove them
// with the new ones, ahead of the routes that still lead there: be it because another
// catalogue is published, or because Envoy comes back with those of another. What was to be
// removed, and is needed again, need not be sent.
func (st *stream) putOff(a *audience, res *discoveryv3.DeltaDiscoveryResponse) {
	typeURL := res.GetTypeUrl()
	res.Resources = slices.DeleteFunc(res.Resources, func(one *discoveryv3.Resource) bool {
		kept := st.unused[typeURL][one.GetName()] && st.removing == "" && resource{typeURL, one.GetName(), one.GetVersion()}.heldBy(st)
		delete(st.unused[typeURL], one.GetName())
		return kept
	})
	if typeURL == resourcev3.ClusterType {
		for _, name := range res.GetRemovedResources() {
			st.isUnused(typeURL, name)
		}
		res.RemovedResources = nil
	}
	for _, e := range []*edition{a.edition, a.former} {
		if e != nil {
			st.grace = max(st.grace, e.cat.CheckTimeout)
		}
	}
}

func (st *stream) isUnused(typeURL, name string) {
	if st.unused[typeURL] == nil {
		st.unused[typeURL] = make(map[string]bool)
	}
	st.unused[typeURL][name] = true
}

// firstUnused returns the type of which something is unused that leads to the others, or
// nothing.
func (st *stream) firstUnused() string {
	for _, typeURL := range slices.Backward(inOrder) {
		if len(st.unused[typeURL]) > 0 {
			return typeURL
		}
	}
	return ""
}

// removeLater lets the wait begin after which what is unused is removed, once Envoy has all
// else: requests that chose their route before that may still be checked. The caller
// holds the lock.
func (s *Server) removeLater(st *stream) {
	if st.firstUnused() == "" || st.removal != nil {
		return
	}
	st.removal = time.AfterFunc(st.grace+spread, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		st.graceOver = true
		st.nudge(resourcev3.ClusterType)
	})
}

// removalDue returns a type of which something is to be removed now, or nothing. If Envoy
// is to have something else meanwhile, the wait begins again. The caller holds the lock.
func (st *stream) removalDue() string {
	if !st.graceOver {
		return ""
	}
	st.graceOver = false
	typeURL := st.firstUnused()
	if st.has == nil || typeURL == "" {
		st.removal = nil
		return ""
	}
	return typeURL
}

// removed notes that Envoy has resources no more. The caller holds the lock.
func (st *stream) removed(res *discoveryv3.DeltaDiscoveryResponse) {
	for _, name := range res.GetRemovedResources() {
		st.lose(res.GetTypeUrl(), name)
		delete(st.unused[res.GetTypeUrl()], name)
	}
	if st.firstUnused() == "" {
		st.grace = 0
	}
}

// stopRemoval ends the wait, and lets another begin. The caller holds the lock.
func (st *stream) stopRemoval() {
	if st.removal != nil {
		st.removal.Stop()
		st.removal, st.graceOver = nil, false
	}
}
