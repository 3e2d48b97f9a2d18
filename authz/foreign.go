package authz

import (
	"slices"
	"strings"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// foreignEnvoy reports whether Envoys may ask whose configuration is not ours.
func (g *Generation) foreignEnvoy() bool {
	cat := g.catalogue()
	return cat != nil && cat.Listeners.Check.ForeignEnvoy
}

// doubt finds a defect in a path that may not be the one which the backend gets: Envoy
// writes "!" for each byte that is no UTF-8, and a path that it did not normalise has them.
func (q *question) doubt() {
	if !q.exact && strings.Contains(q.Path, "!") {
		q.Defect = `"!" in a path may stand for another byte: encode_raw_headers tells which`
	}
}

// route names the API that answers at the request's host and path, unless Envoy's route
// says which it is. It names none where they could be read in two ways: such an Envoy may
// not have normalised them, and the server behind it may yet.
func (q *question) route(cat *catalog.Catalogue) {
	if !q.unrouted {
		return
	}
	host, err := catalog.CanonicalHost(q.Host)
	path, _, _ := strings.Cut(q.Path, "?")
	if err != nil || q.Defect != "" || catalog.CheckPath(path) != nil {
		return
	}
	api := cat.Route(host, path)
	if api == nil || cat.Route(host, catalog.CanonicalPath(path)) != api {
		return
	}
	q.API = api.Name
}

// ownedIn are the headers of which no caller's copy reaches a backend: the catalogue's,
// and before a foreign Envoy, which removes nothing at the door, those that it sent with
// the question.
func (s *serving) ownedIn(q question) []string {
	if !s.foreignEnvoy() {
		return s.owned
	}
	prefixes := append(contract.DoorPrefixes(), s.Catalogue.Headers.Prefix)
	names := append(slices.Clone(s.owned), contract.HeaderPartialBody)
	for _, name := range q.others {
		if isStray(name, s.owned, prefixes) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// managed are headers with a door prefix that every Envoy writes or removes by itself as
// its connection manager is told.
var managed = []string{"x-forwarded-client-cert", "x-forwarded-for", "x-forwarded-proto"}

// hyphens reads a header's name as backends may that take an underscore, or a dot, for a
// hyphen.
var hyphens = strings.NewReplacer("_", "-", ".", "-")

// isStray reports whether a backend could take name for a header of a gateway's.
func isStray(name string, owned, prefixes []string) bool {
	if name == contract.HeaderDecisionID || slices.Contains(managed, name) {
		return false
	}
	read := hyphens.Replace(name)
	return read == contract.HeaderDecisionID || slices.Contains(owned, read) ||
		slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(read, prefix) })
}
