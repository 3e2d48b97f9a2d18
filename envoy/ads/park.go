package ads

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/durward/durward/policy/catalog"
)

const (
	// maxListed bounds the APIs, or Envoys, that one line of the log names.
	maxListed = 20
	// maxLeftOut bounds the APIs that are left out one by one to find out about them.
	maxLeftOut = 16
)

// review parks what Envoys refuse, and finds out which of several APIs it was, until the
// server closes.
func (s *Server) review() {
	for {
		s.mu.Lock()
		changed := s.changed
		var due []string
		for key, a := range s.audiences {
			if len(a.pending) > 0 || s.searches(a) {
				due = append(due, key)
			}
		}
		s.mu.Unlock()
		for _, key := range due {
			s.reviewAudience(key)
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

// searches reports whether a search for the guilty goes on among Envoys of which one
// may answer. The caller holds the lock.
func (s *Server) searches(a *audience) bool {
	p := s.progress(a.key)
	return (len(a.groups) > 0 || a.trial != nil) && p.done+p.awaited > 0
}

// mayTry reports whether the last step in the search for the guilty is over, and more
// are to come. The caller holds the lock.
func (s *Server) mayTry(a *audience) bool {
	return s.searches(a) && s.progress(a.key).isSettled()
}

// reviewAudience looks into what is pending, or takes the next step in the search.
func (s *Server) reviewAudience(key string) {
	s.settled(key)
	if !s.takeTurn() {
		return
	}
	defer s.endTurn()
	s.mu.Lock()
	a := s.audiences[key]
	if a == nil {
		s.mu.Unlock()
		return
	}
	pending, current, mayTry := a.pending, a.edition, s.mayTry(a)
	a.pending = nil
	s.mu.Unlock()

	moved := false
	for _, c := range pending {
		if c.in(current) && s.blame(a, current, c) {
			moved = true
		}
	}
	if !moved && mayTry && len(pending) == 0 {
		moved = s.try(a)
	}
	if !moved {
		return
	}
	next, err := newEdition(without(a.whole, a.name, a.published()), a.name, current)
	if err == nil {
		err = s.install(a.gateway, map[string]*edition{key: next})
	}
	if err != nil {
		s.log.Error("what an envoy refused stays in its configuration", "gateway", a.name, "error", err)
	}
}

// blame withholds the APIs that an update may have been refused for, and reports whether
// there are any. The caller has the turn.
func (s *Server) blame(a *audience, current *edition, c charge) bool {
	if a.trial != nil && current.involves(c.refusal, a.trial.apis) {
		s.refuseTrial(a, c.reason)
		return true
	}
	var suspects, before []string
	for _, name := range current.suspects(c) {
		if a.withheld[name] != nil {
			before = append(before, name)
		} else {
			suspects = append(suspects, name)
		}
	}
	switch {
	case len(suspects) > 0:
		return s.withhold(a, c, suspects)
	case len(before) > 0:
		return s.dropFormer(a, current, before)
	}
	s.mu.Lock()
	say := s.once(a.key+" refuses "+c.key(), func() {
		s.log.Error("an envoy refused what belongs to no api, such as its listener or the certificate there, and keeps what it had; correct the gateway",
			"gateway", a.name, "resources", listed(slices.Sorted(maps.Keys(c.versions))), "error_detail", c.reason)
	})
	s.mu.Unlock()
	if say != nil {
		say()
	}
	return false
}

// withhold withholds APIs that the edition has as they were published. The caller has the
// turn.
func (s *Server) withhold(a *audience, c charge, suspects []string) bool {
	fresh := make(map[string]*withheld)
	prints := fingerprints{gateway: a.name}
	former := formers(c.good, c.tables, suspects)
	for _, name := range suspects {
		api := a.whole.API(name)
		print, err := prints.of(a.whole, api)
		if err != nil {
			s.log.Error("an api that an envoy refused is not parked", "gateway", a.name, "api", name, "error", err)
			return false
		}
		fresh[name] = &withheld{api: api, print: print, former: other(former[name], &prints, api, print), reason: c.reason}
	}
	s.mu.Lock()
	if a.withheld == nil {
		a.withheld = make(map[string]*withheld)
	}
	maps.Copy(a.withheld, fresh)
	a.putOff()
	byOne := c.foreign && len(suspects) > 1 && len(suspects) <= maxLeftOut && !a.leavesOut()
	s.mu.Unlock()
	if byOne {
		s.leaveOut(a, suspects, c.reason)
	} else {
		s.divide(a, suspects, c.reason)
	}
	return true
}

// dropFormer gives up what APIs were before they were parked: now that is refused too.
func (s *Server) dropFormer(a *audience, current *edition, parked []string) (dropped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range parked {
		if w := a.withheld[name]; w.former != nil && current.api(name) == w.former {
			w.former, dropped = nil, true
		}
	}
	return dropped
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

// other returns the first of the editions' APIs that is not the refused one, or nil.
func other(editions []*edition, prints *fingerprints, refused *catalog.API, print string) *catalog.API {
	for _, e := range editions {
		api := e.api(refused.Name)
		if api == refused {
			continue
		}
		if was, err := prints.of(e.cat, api); err == nil && was != print {
			return api
		}
	}
	return nil
}

// refuseTrial divides what was on trial. If that was all but one, the next is left out; if
// there is no next, several are guilty. The caller has the turn.
func (s *Server) refuseTrial(a *audience, reason string) {
	s.mu.Lock()
	refused := *a.trial
	a.trial = nil
	another := refused.rest != nil && a.leavesOut() && a.offer()
	s.mu.Unlock()
	if !another {
		s.divide(a, slices.Concat(refused.apis, refused.rest), reason)
	}
}

// divide finds one API guilty, or gets several ready to be offered in halves. All of them
// are withheld. The caller has the turn.
func (s *Server) divide(a *audience, apis []string, reason string) {
	s.mu.Lock()
	var guilty *withheld
	if len(apis) == 1 {
		guilty = a.withheld[apis[0]]
		guilty.guilty, guilty.reason = true, reason
	} else {
		half := len(apis) / 2
		a.groups = slices.Concat([]group{{apis: apis[:half]}, {apis: apis[half:]}}, a.groups)
	}
	envoys := "all"
	if only := s.only(a); len(only) > 0 {
		envoys = listed(only)
	}
	s.mu.Unlock()
	if guilty == nil {
		s.log.Warn("an envoy refused one or more of several apis that changed; they are parked until it is known which",
			"gateway", a.name, "apis", listed(apis), "error_detail", reason)
		return
	}
	s.log.Error("an envoy refuses what this api says; it is parked until it changes, and all others are published",
		"at", place(guilty.api.At), "api", guilty.api.Name, "gateway", a.name, "envoys", envoys, "served", servedAs(guilty), "error_detail", reason)
}

// leaveOut gets ready to offer all of several APIs but one at a time: an Envoy has some of
// them, it is not known how, and would lose those that are withheld meanwhile. The caller
// has the turn.
func (s *Server) leaveOut(a *audience, apis []string, reason string) {
	s.log.Warn("an envoy refused a resource of which it has a version from before durward started; one or more of these apis will be parked",
		"gateway", a.name, "apis", listed(apis), "error_detail", reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	var groups []group
	for i := range apis {
		groups = append(groups, group{apis: slices.Delete(slices.Clone(apis), i, i+1), rest: apis[i : i+1]})
	}
	a.groups = append(groups, a.groups...)
	a.offer()
}

// try releases a group that nobody refused, and offers the next. It reports whether there
// is one. The caller has the turn.
func (s *Server) try(a *audience) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.trial != nil {
		for _, name := range a.trial.apis {
			delete(a.withheld, name)
		}
		if rest := a.trial.rest; rest != nil {
			a.groups = slices.DeleteFunc(a.groups, func(g group) bool { return g.rest != nil })
			a.groups = append([]group{{apis: rest}}, a.groups...)
		}
	}
	a.trial = nil
	return a.offer()
}

// offer makes the next group the trial, if there is one.
func (a *audience) offer() bool {
	if len(a.groups) == 0 {
		return false
	}
	next := a.groups[0]
	a.trial, a.groups = &next, a.groups[1:]
	return true
}

// putOff makes the trial the next group.
func (a *audience) putOff() {
	if a.trial != nil {
		a.groups = append([]group{*a.trial}, a.groups...)
		a.trial = nil
	}
}

// leavesOut reports whether there are groups with a rest.
func (a *audience) leavesOut() bool {
	return slices.ContainsFunc(a.groups, func(g group) bool { return g.rest != nil })
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
