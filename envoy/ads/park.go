package ads

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/durward/durward/policy/catalog"
)

// maxListed bounds the APIs that one line of the log names.
const maxListed = 20

// review parks what Envoys refuse, and finds out which of several APIs it was, until the
// server closes.
func (s *Server) review() {
	for {
		s.mu.Lock()
		changed := s.changed
		var due []string
		for name, g := range s.gateways {
			if len(g.pending) > 0 || s.mayTry(g) {
				due = append(due, name)
			}
		}
		s.mu.Unlock()
		for _, name := range due {
			s.reviewGateway(name)
		}
		if len(due) > 0 {
			changed = closedChannel // there may be more to do
		}
		select {
		case <-s.closed:
			return
		default:
		}
		select {
		case <-changed:
		case <-s.closed:
			return
		}
	}
}

var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// mayTry reports whether the last step in the search for the guilty is over, and more
// are to come. The caller holds the lock.
func (s *Server) mayTry(g *gateway) bool {
	if len(g.groups) == 0 && g.trial == nil {
		return false
	}
	p := s.progress(g.name)
	return p.behind == 0 && p.connected > 0
}

// reviewGateway looks into what is pending, or takes the next step in the search.
func (s *Server) reviewGateway(name string) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-s.closed:
		return
	}
	s.mu.Lock()
	g := s.gateways[name]
	if g == nil {
		s.mu.Unlock()
		return
	}
	pending, current, mayTry := g.pending, g.edition, s.mayTry(g)
	g.pending = make(map[string]charge)
	s.mu.Unlock()

	moved := false
	for _, c := range pending {
		if c.in(current) && s.blame(g, current, c) {
			moved = true
		}
	}
	if !moved && mayTry {
		moved = s.try(g)
	}
	if !moved {
		return
	}
	next, err := newEdition(without(g.whole, g.published()), name)
	if err == nil {
		err = s.install(map[string]*edition{name: next})
	}
	if err != nil {
		s.log.Error("what an envoy refused stays in its configuration", "gateway", name, "error", err)
	}
}

// blame withholds the APIs that an update may have been refused for, and reports whether
// there are any. The caller has the turn.
func (s *Server) blame(g *gateway, current *edition, c charge) bool {
	if g.trial != nil && current.involves(c.refusal, g.trial) {
		s.divide(g, g.trial, c.reason)
		return true
	}
	var suspects, before []string
	if !c.unknown {
		suspects = current.suspects(c)
	}
	for _, name := range suspects {
		if g.withheld[name] != nil {
			before = append(before, name)
		}
	}
	suspects = slices.DeleteFunc(suspects, func(name string) bool { return g.withheld[name] != nil })
	switch {
	case len(suspects) > 0:
		return s.withhold(g, c, suspects)
	case len(before) > 0:
		return s.dropFormer(g, current, before)
	}
	s.mu.Lock()
	say := s.once(g.name+" refuses "+c.key(), func() {
		s.log.Error("an envoy refused what it cannot be spared, and keeps what it has: nothing of an api changed in it, or all other envoys have it, or the envoy got what it has before durward started",
			"gateway", g.name, "resources", listed(slices.Sorted(maps.Keys(c.versions))), "error_detail", c.reason)
	})
	s.mu.Unlock()
	if say != nil {
		say()
	}
	return false
}

// withhold withholds APIs that the edition has as they were published.
func (s *Server) withhold(g *gateway, c charge, suspects []string) bool {
	fresh := make(map[string]*withheld)
	s.mu.Lock()
	good := g.good
	s.mu.Unlock()
	former := formers(good, c.tables, suspects)
	for _, name := range suspects {
		api := g.whole.API(name)
		print, err := fingerprint(g.whole, g.name, api)
		if err != nil {
			s.log.Error("an api that an envoy refused is not parked", "gateway", g.name, "api", name, "error", err)
			return false
		}
		fresh[name] = &withheld{api: api, print: print, former: other(former[name], g.name, name, print), reason: c.reason}
	}
	s.mu.Lock()
	maps.Copy(g.withheld, fresh)
	s.mu.Unlock()
	s.divide(g, suspects, c.reason)
	return true
}

// dropFormer gives up what APIs were before they were parked: now that is refused too.
func (s *Server) dropFormer(g *gateway, current *edition, parked []string) (dropped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range parked {
		if w := g.withheld[name]; w.former != nil && current.api(name) == w.former {
			w.former, dropped = nil, true
		}
	}
	return dropped
}

// involves reports whether one of the APIs has a part in what was refused.
func (e *edition) involves(r refusal, apis []string) bool {
	for name := range r.versions {
		parts := e.authors(r.typeURL, name)
		if slices.ContainsFunc(apis, func(api string) bool { return parts[api] != nil }) {
			return true
		}
	}
	return false
}

// formers lists the editions in which an Envoy had APIs, the more trustworthy first: one
// that it had as a whole, and one by whose route table it led to the API, whatever became
// of the cluster.
func formers(good *edition, tables map[string]*edition, apis []string) map[string][]*edition {
	found := make(map[string][]*edition)
	if good != nil {
		for _, api := range apis {
			if good.api(api) != nil {
				found[api] = append(found[api], good)
			}
		}
	}
	for name, base := range tables {
		parts := base.authors(resourcev3.RouteType, name)
		for _, api := range apis {
			if parts[api] != nil {
				found[api] = append(found[api], base)
			}
		}
	}
	return found
}

// other returns the first of the editions' APIs that is not as refused, or nil.
func other(editions []*edition, gateway, name, print string) *catalog.API {
	for _, e := range editions {
		api := e.api(name)
		if was, err := fingerprint(e.cat, gateway, api); err == nil && was != print {
			return api
		}
	}
	return nil
}

// divide finds one API guilty, or gets several ready to be offered in halves. All of
// them are withheld. The caller has the turn.
func (s *Server) divide(g *gateway, apis []string, reason string) {
	s.mu.Lock()
	g.trial = nil
	var guilty *withheld
	if len(apis) == 1 {
		guilty = g.withheld[apis[0]]
		guilty.guilty, guilty.reason = true, reason
	} else {
		half := len(apis) / 2
		g.groups = append([][]string{apis[:half], apis[half:]}, g.groups...)
	}
	s.mu.Unlock()
	if guilty == nil {
		s.log.Warn("an envoy refused one or more of several apis that changed; they are parked until it is known which",
			"gateway", g.name, "apis", listed(apis), "error_detail", reason)
		return
	}
	s.log.Error("an envoy refuses what this api says; it is parked until it changes, and all others are published",
		"at", place(guilty.api.At), "api", guilty.api.Name, "gateway", g.name, "served", servedAs(guilty), "error_detail", reason)
}

// try releases a group that nobody refused, and offers the next. It reports whether there
// is one. The caller has the turn.
func (s *Server) try(g *gateway) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range g.trial {
		delete(g.withheld, name)
	}
	g.trial = nil
	if len(g.groups) == 0 {
		return false
	}
	g.trial, g.groups = g.groups[0], g.groups[1:]
	return true
}

// place is how findings name one.
func place(at catalog.Position) string {
	if at.Line == 0 {
		return at.File
	}
	return fmt.Sprintf("%s:%d:%d", at.File, at.Line, at.Column)
}

func servedAs(w *withheld) string {
	if w.former == nil {
		return "not at all"
	}
	return "as before"
}

func listed(names []string) string {
	if len(names) > maxListed {
		return strings.Join(names[:maxListed], ", ") + fmt.Sprintf(" and %d more", len(names)-maxListed)
	}
	return strings.Join(names, ", ")
}
