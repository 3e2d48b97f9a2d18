package difference

import (
	"fmt"
	"maps"
	"slices"

	"github.com/durward/durward/policy/catalog"
)

// doors compares where an API is reached, from which pages, and what may be opened there.
func (d *comparison) doors(subject Row, b, a access) {
	wasAt, isAt := d.gateways(b.api, a.api)
	for _, changes := range [][]Change{
		listFacet(nil, "hosts", b.hosts, a.hosts),
		listFacet(nil, "gateways", wasAt, isAt),
		facet(nil, "websocket", b.api.Websocket <= a.api.Websocket, a.api.Websocket <= b.api.Websocket, websocketText(b.api), websocketText(a.api)),
		cors(b.api.CORS, a.api.CORS),
	} {
		r := subject
		r.Changes = changes
		d.add(r)
	}
}

// gateways lists those of an API before and after. Where it is on every gateway both
// times, a gateway that only one catalogue has is none of the API's doing, but has a row
// of its own.
func (d *comparison) gateways(before, after *catalog.API) (was, is []string) {
	all := len(before.Gateways) == len(d.before.gateways) && len(after.Gateways) == len(d.after.gateways)
	names := func(api *catalog.API) (list []string) {
		for _, g := range api.Gateways {
			if !all || d.before.gateways[g.Name] != nil && d.after.gateways[g.Name] != nil {
				list = append(list, g.Name)
			}
		}
		return list
	}
	return names(before), names(after)
}

// openings tells of gateways that only one of the catalogues has, and where something may
// be called.
func (d *comparison) openings() {
	for _, name := range slices.Sorted(maps.Keys(d.after.serving)) {
		if d.before.gateways[name] == nil {
			d.add(Row{At: d.after.gateways[name].At, Changes: one(Widened, "gateway", "none", name)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.before.serving)) {
		if d.after.gateways[name] == nil {
			d.add(Row{At: d.before.gateways[name].At, Changes: one(Narrowed, "gateway", name, "none")})
		}
	}
}

// opens notes the gateways where an API may be called.
func (s *side) opens(a access) {
	if a.api == nil || a.isClosed() {
		return
	}
	for _, g := range a.api.Gateways {
		s.serving[g.Name] = true
	}
}

// cors compares what pages of other origins may do.
func cors(b, a *catalog.CORS) []Change {
	var none catalog.CORS
	x, y := b, a
	if x == nil {
		x = &none
	}
	if y == nil {
		y = &none
	}
	all := listFacet(nil, "allow_origins", x.Origins, y.Origins)
	all = facet(all, "allow_credentials", !x.Credentials || y.Credentials, x.Credentials || !y.Credentials, fmt.Sprint(x.Credentials), fmt.Sprint(y.Credentials))
	if b != nil && a != nil {
		all = listFacet(all, "allow_headers", x.AllowHeaders, y.AllowHeaders)
		all = listFacet(all, "expose_headers", x.ExposeHeaders, y.ExposeHeaders)
	}
	return all
}

// listFacet is a facet of what is in a list.
func listFacet(all []Change, what string, before, after []string) []Change {
	return facet(all, what, subset(before, after), subset(after, before), sortedText(before), sortedText(after))
}

func websocketText(api *catalog.API) string {
	if api.Websocket == 0 {
		return "none"
	}
	return api.Websocket.String()
}
