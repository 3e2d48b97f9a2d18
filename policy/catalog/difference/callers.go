package difference

import (
	"slices"
	"strings"
	"time"

	"github.com/durward/durward/policy/catalog"
)

// side is one of the two catalogues.
type side struct {
	cat *catalog.Catalogue
	now time.Time
	// apis are the names of its APIs, sorted.
	apis []string
	// unpublished are its other APIs by name, gateways are its gateways, serving are the
	// names of those where something may be called.
	unpublished map[string]*catalog.API
	gateways    map[string]*catalog.Gateway
	serving     map[string]bool
	// applications by organization/name, and who of them belongs to an organization.
	applications map[string]*catalog.Application
	names        map[*catalog.Application]string
	// usable are the client ids of an application, sorted, that no denial turns away.
	usable map[*catalog.Application][]string
}

func sideOf(cat *catalog.Catalogue, now time.Time) *side {
	s := &side{
		cat: cat, now: now,
		unpublished:  make(map[string]*catalog.API),
		gateways:     make(map[string]*catalog.Gateway),
		serving:      make(map[string]bool),
		applications: make(map[string]*catalog.Application),
		names:        make(map[*catalog.Application]string),
		usable:       make(map[*catalog.Application][]string),
	}
	for _, api := range cat.APIs {
		s.apis = append(s.apis, api.Name)
	}
	for _, api := range cat.Unpublished {
		s.unpublished[api.Name] = api
	}
	for _, g := range cat.Gateways {
		s.gateways[g.Name] = g
	}
	for _, org := range cat.Organizations {
		for _, app := range org.Applications {
			name := org.Name + "/" + app.Name
			s.applications[name], s.names[app] = app, name
			for _, id := range app.ClientIDs {
				if cat.Denial("", id, "", now) == nil {
					s.usable[app] = append(s.usable[app], id)
				}
			}
			slices.Sort(s.usable[app])
		}
	}
	return s
}

// access is who may call what of one API. The zero access is nobody, nothing.
type access struct {
	api    *catalog.API
	at     catalog.Position
	shadow bool
	hosts  []string
	// operations by method and full path; keys are theirs, sorted.
	operations map[string]*catalog.Operation
	keys       []string
	// clients are the client ids with which an application may call what is guarded;
	// names are the applications, sorted.
	clients map[string][]string
	names   []string
}

func (s *side) access(api *catalog.API) access {
	a := access{operations: map[string]*catalog.Operation{}, clients: map[string][]string{}}
	if api == nil {
		return a
	}
	a.api, a.at, a.shadow = api, api.At, api.Shadow
	a.hosts = slices.Sorted(slices.Values(api.Hosts))
	add := func(method, path string, op *catalog.Operation) {
		key := method + " " + path
		a.operations[key] = op
		a.keys = append(a.keys, key)
	}
	for _, op := range api.Operations {
		for _, method := range op.Methods {
			add(method, api.FullPath(op), op)
		}
	}
	if path := api.MetadataPath(); path != "" {
		add("GET", path, &catalog.Operation{Public: true, At: api.At})
	}
	slices.Sort(a.keys)
	for _, org := range s.cat.Organizations {
		if org.Disabled || !api.OrganizationGranted(org) {
			continue
		}
		for _, app := range org.Applications {
			if !app.Disabled && api.ApplicationGranted(app) && len(s.usable[app]) > 0 {
				a.clients[s.names[app]] = s.usable[app]
				a.names = append(a.names, s.names[app])
			}
		}
	}
	slices.Sort(a.names)
	return a
}

// presence says whether an API is there for callers.
func (s *side) presence(name string) string {
	switch {
	case s.cat.API(name) != nil:
		return "published"
	case s.unpublished[name] != nil:
		return "unpublished"
	}
	return "absent"
}

// isClosed reports whether nobody may call anything.
func (a access) isClosed() bool {
	if a.shadow {
		return false
	}
	for _, op := range a.operations {
		if op.Public || len(a.names) > 0 {
			return false
		}
	}
	return true
}

// obstacle says what keeps an application from an API, and what it is where it does not.
func (s *side) obstacle(api *catalog.API, name string) (what, no, yes string) {
	app := s.applications[name]
	switch {
	case app == nil:
		return "application", "absent", "declared"
	case app.Organization.Disabled:
		return "organization", "disabled", "enabled"
	case app.Disabled:
		return "application", "disabled", "enabled"
	case !api.ApplicationGranted(app):
		return "grant", "none", "granted"
	}
	return "clients", "denied", "not denied"
}

// callers compares who may call the operations of subject, which both sides have.
func (d *comparison) callers(subject Row, b, a access) {
	type cause struct{ what, before, after string }
	rows := make(map[cause]*Row)
	note := func(name string, direction Direction, c cause) {
		r := rows[c]
		if r == nil {
			copied := subject
			r = &copied
			r.Changes = one(direction, c.what, c.before, c.after)
			rows[c] = r
		}
		r.Callers = append(r.Callers, name)
	}
	for _, name := range union(b.names, a.names) {
		before, after := b.clients[name], a.clients[name]
		switch {
		case before == nil:
			what, no, yes := d.before.obstacle(b.api, name)
			note(name, Widened, cause{what, no, yes})
		case after == nil:
			what, no, yes := d.after.obstacle(a.api, name)
			note(name, Narrowed, cause{what, yes, no})
		default:
			for _, c := range facet(nil, "clients", subset(before, after), subset(after, before), strings.Join(before, " "), strings.Join(after, " ")) {
				note(name, c.Direction, cause{c.What, c.Before, c.After})
			}
		}
	}
	for _, r := range rows {
		if app := d.after.applications[r.Callers[0]]; r.Changes[0].What == "grant" && app != nil {
			r.At = a.api.GrantAt(app.Organization)
		}
		d.add(*r)
	}
}

// denials compares who is turned away from every API: users and tokens. That of a
// client is seen in what its application may call, as long as its end stays.
func (d *comparison) denials() {
	before, after := d.before.denied(), d.after.denied()
	names := make([]string, 0, len(before)+len(after))
	for name := range before {
		names = append(names, name)
	}
	for name := range after {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		b, a := before[name], after[name]
		r := Row{Callers: []string{name}}
		if a != nil {
			r.At = a.At
		} else {
			r.At = b.At
		}
		lasts := func(x, y *catalog.Denial) bool { // at least as long as
			return y == nil || x != nil && (x.Until.IsZero() || !y.Until.IsZero() && !x.Until.Before(y.Until))
		}
		if b != nil && a != nil || isPerson(b, a) {
			r.Changes = facet(nil, "denial", lasts(b, a), lasts(a, b), untilText(b), untilText(a))
		}
		d.add(r)
	}
}

// isPerson reports whether the one denial that is there is of a user or a token.
func isPerson(b, a *catalog.Denial) bool {
	if a == nil {
		a = b
	}
	return a.ClientID == ""
}

// denied are the denials in force, by whom they turn away.
func (s *side) denied() map[string]*catalog.Denial {
	all := make(map[string]*catalog.Denial)
	for _, denial := range s.cat.Denials {
		if denial.InForce(s.now) {
			all[denial.Whom()] = denial
		}
	}
	return all
}

func untilText(denial *catalog.Denial) string {
	switch {
	case denial == nil:
		return "none"
	case denial.Until.IsZero():
		return "for good"
	}
	return "until " + denial.Until.UTC().Format(time.RFC3339)
}
