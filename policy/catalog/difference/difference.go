package difference

import (
	"cmp"
	"slices"
	"time"

	"github.com/durward/durward/policy/catalog"
)

// Direction is what a difference does to access.
type Direction string

// The directions. Changed is both, or cannot be told.
const (
	Widened  Direction = "widened"
	Narrowed Direction = "narrowed"
	Changed  Direction = "changed"
)

// Anybody is the caller without a token.
const Anybody = "anybody"

// Row is one difference: for these callers and operations the same changed. Its JSON
// form is an interface: names and values stay.
type Row struct {
	Direction Direction `json:"direction"`
	// API is empty for every API, or all those of a gateway.
	API string `json:"api"`
	// Operations are methods and full path templates; none stands for all of the API's.
	Operations []string `json:"operations"`
	// Callers are organization/application, Anybody, or a user or token that is denied;
	// none stands for all who may call.
	Callers []string `json:"callers"`
	// Changes are in a fixed order; never empty.
	Changes []Change `json:"changes"`
	// At is where the newer catalogue that has the row's subject says so.
	At catalog.Position `json:"-"`
}

// Change is one thing that decides about access, before and after.
type Change struct {
	Direction Direction `json:"direction"`
	// What is api, operation, public, mode, hosts, gateway, gateways, websocket, application,
	// organization, grant, clients, denial, a key of cors, or a key of the configuration that
	// asks something of tokens or of who says so.
	What   string `json:"what"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Between returns the differences from one catalogue to another, at now, when some
// denials may have ended. They are sorted by API and operations. Swapping the
// catalogues swaps widened and narrowed, before and after. The lists of rows are shared:
// do not change them.
func Between(before, after *catalog.Catalogue, now time.Time) []Row {
	d := comparison{before: sideOf(before, now), after: sideOf(after, now)}
	d.denials()
	names := union(d.before.apis, d.after.apis)
	for _, name := range names {
		d.api(name, before.API(name), after.API(name))
	}
	d.openings()
	slices.SortStableFunc(d.rows, compareRows)
	return d.rows
}

func compareRows(a, b Row) int {
	return cmp.Or(
		cmp.Compare(a.API, b.API),
		slices.Compare(a.Operations, b.Operations),
		cmp.Compare(a.Changes[0].What, b.Changes[0].What),
		slices.Compare(a.Callers, b.Callers),
	)
}

// comparison is one run of Between.
type comparison struct {
	before, after *side
	rows          []Row
}

// add files a row; without changes there is none.
func (d *comparison) add(r Row) {
	if len(r.Changes) == 0 {
		return
	}
	r.Direction = r.Changes[0].Direction
	for _, c := range r.Changes[1:] {
		if c.Direction != r.Direction {
			r.Direction = Changed
		}
	}
	if r.Callers == nil {
		r.Callers = []string{}
	}
	if r.Operations == nil {
		r.Operations = []string{}
	}
	d.rows = append(d.rows, r)
}

// api compares one API, which is nil where it is not there.
func (d *comparison) api(name string, before, after *catalog.API) {
	b, a := d.before.access(before), d.after.access(after)
	d.before.opens(b)
	d.after.opens(a)
	subject := Row{API: name, At: b.at}
	if after != nil {
		subject.At = a.at
	} else if withheld := d.after.unpublished[name]; withheld != nil {
		subject.At = withheld.At
	}
	switch {
	case b.api == nil || a.api == nil:
		d.wholeAPI(subject, b, a)
	case b.shadow || a.shadow:
		d.shadow(subject, b, a)
	default:
		d.operations(subject, b, a)
	}
	if b.api != nil && a.api != nil && !b.isClosed() && !a.isClosed() {
		d.doors(subject, b, a)
	}
}

// wholeAPI compares with an API that is not there or not published, which lets nobody
// call.
func (d *comparison) wholeAPI(subject Row, b, a access) {
	there, direction := a, Widened
	if a.api == nil {
		there, direction = b, Narrowed
	}
	what := one(direction, "api", d.before.presence(subject.API), d.after.presence(subject.API))
	r := subject
	r.Changes = what
	if there.shadow {
		r.Callers = []string{Anybody}
		d.add(r)
		return
	}
	var open, guarded []string
	for _, key := range there.keys {
		if there.operations[key].Public {
			open = append(open, key)
		} else {
			guarded = append(guarded, key)
		}
	}
	if len(open) > 0 {
		r.Operations, r.Callers = open, []string{Anybody}
		d.add(r)
	}
	if len(guarded) > 0 && len(there.names) > 0 {
		r.Operations, r.Callers = guarded, there.names
		d.add(r)
	}
}

// shadow compares where one of the two lets every request pass.
func (d *comparison) shadow(subject Row, b, a access) {
	r := subject
	r.Callers = []string{Anybody}
	switch {
	case !b.shadow:
		r.Changes = one(Widened, "mode", "enforce", "shadow")
	case !a.shadow:
		r.Changes = one(Narrowed, "mode", "shadow", "enforce")
	}
	d.add(r)
}

// operations compares operation by operation, and then, for those that both have and
// guard, who may call.
func (d *comparison) operations(subject Row, b, a access) {
	var both, stay []string
	for _, name := range b.names {
		if _, ok := a.clients[name]; ok {
			stay = append(stay, name)
		}
	}
	for _, key := range union(b.keys, a.keys) {
		r := subject
		r.Operations = []string{key}
		before, after := b.operations[key], a.operations[key]
		if after != nil {
			r.At = after.At
		}
		openBefore, openAfter := before != nil && before.Public, after != nil && after.Public
		switch {
		case openBefore && openAfter:
			continue
		case before == nil:
			r.Changes, r.Callers = one(Widened, "operation", "absent", "declared"), a.names
		case after == nil:
			r.Changes, r.Callers = one(Narrowed, "operation", "declared", "absent"), b.names
		case openAfter:
			r.Changes = one(Widened, "public", "false", "true")
		case openBefore:
			r.Changes = one(Narrowed, "public", "true", "false")
		default:
			both = append(both, key)
			r.Changes, r.Callers = demands(before, after), stay
		}
		if openBefore || openAfter {
			r.Callers = []string{Anybody}
		}
		if len(r.Callers) > 0 {
			d.add(r)
		}
	}
	if len(both) > 0 {
		subject.Operations = both
		d.callers(subject, b, a)
	}
}

func one(d Direction, what, before, after string) []Change {
	return []Change{{Direction: d, What: what, Before: before, After: after}}
}

// facet adds a change where before and after do not accept the same: wider says that
// all that passes before passes after, narrower the reverse.
func facet(changes []Change, what string, wider, narrower bool, before, after string) []Change {
	c := Change{Changed, what, before, after}
	switch {
	case wider && narrower:
		return changes
	case wider:
		c.Direction = Widened
	case narrower:
		c.Direction = Narrowed
	}
	return append(changes, c)
}

// subset reports whether all of a are in b.
func subset[T comparable](a, b []T) bool {
	return !slices.ContainsFunc(a, func(x T) bool { return !slices.Contains(b, x) })
}

// union merges two sorted lists.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
