package envoy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

const anyHost = "*"

// rule is what Envoy is told of one API for paths that begin alike. Rules are compared by
// pointer: see written.
type rule struct {
	name, basePath string
	hosts          []string
	// segment is where its paths begin; "" is anywhere.
	segment string
	// answered says that Envoy answers itself, and so before any API's other rules are tried.
	answered bool
	routes   []*routev3.Route
}

// equal reports whether Envoy is told the same by both.
func (r *rule) equal(other *rule) bool {
	return r.name == other.name && r.basePath == other.basePath && slices.Equal(r.hosts, other.hosts) &&
		r.segment == other.segment && r.answered == other.answered &&
		slices.EqualFunc(r.routes, other.routes, func(a, b *routev3.Route) bool { return proto.Equal(a, b) })
}

// written is one API as Envoy is told of it. Its rules are apart so that a table has but the
// one that its requests can meet.
type written struct {
	rules    []*rule
	clusters []string
}

// write takes nothing but the API: what it wrote is kept for as long as the API is the
// same. A rule that says what one of former, which may be nil, did is that one.
func write(api *catalog.API, former *written) (*written, error) {
	forwarding, err := apiRoutes(api)
	if err != nil {
		return nil, fmt.Errorf("api %s: %w", api.Name, err)
	}
	documents, err := metadataRoutes(api)
	if err != nil {
		return nil, fmt.Errorf("api %s: %w", api.Name, err)
	}
	w := new(written)
	add := func(path string, answered bool, routes []*routev3.Route) {
		r := &rule{api.Name, api.BasePath, api.Hosts, segmentOf(path), answered, routes}
		if former != nil {
			if i := slices.IndexFunc(former.rules, r.equal); i >= 0 {
				r = former.rules[i]
			}
		}
		w.rules = append(w.rules, r)
	}
	add(api.BasePath, false, forwarding)
	if len(documents) > 0 {
		add(api.MetadataPath(), true, documents)
	}
	for _, b := range api.Backends {
		w.clusters = append(w.clusters, clusterName(b))
	}
	return w, nil
}

// routeTable writes a table with a virtual host for each host it has APIs of, and one for
// all other hosts.
func routeTable(t table, last *routev3.Route, filters map[string]*anypb.Any) *routev3.RouteConfiguration {
	rc := &routev3.RouteConfiguration{
		Name:                           t.name,
		RequestHeadersToRemove:         envoyOnly(),
		MaxDirectResponseBodySizeBytes: wrapperspb.UInt32(maxDocumentBytes),
		TypedPerFilterConfig:           filters,
	}
	byHost := map[string][]*rule{anyHost: nil}
	for _, p := range t.parts {
		byHost[p.host] = append(byHost[p.host], p.rules...)
	}
	for _, host := range slices.Sorted(maps.Keys(byHost)) {
		vh := &routev3.VirtualHost{Name: host, Domains: []string{host}}
		for _, r := range serving(host, byHost[host]) {
			vh.Routes = append(vh.Routes, r.routes...)
		}
		vh.Routes = append(vh.Routes, last)
		rc.VirtualHosts = append(rc.VirtualHosts, vh)
	}
	return rc
}

// serving lists the rules of a virtual host in the order in which Envoy tries them. Envoy
// looks at one virtual host alone, so that each repeats the rules of wider hosts. What Envoy
// answers itself comes first, then the longest base path; of those that share one there is
// that with the most specific host alone: the others are not reachable.
func serving(host string, rules []*rule) []*rule {
	rank := make(map[*rule]int)
	var list []*rule
	for _, r := range rules {
		if rank[r] = catalog.HostRank(r.hosts, host); rank[r] > 0 {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *rule) int {
		if a.answered != b.answered {
			if a.answered {
				return -1
			}
			return 1
		}
		return cmp.Or(
			cmp.Compare(len(b.basePath), len(a.basePath)),
			cmp.Compare(a.basePath, b.basePath),
			cmp.Compare(rank[b], rank[a]),
			cmp.Compare(a.name, b.name),
		)
	})
	return slices.CompactFunc(list, func(a, b *rule) bool { return a.answered == b.answered && a.basePath == b.basePath })
}

// apiRoutes writes an API's two routes, for the base path itself and for what lies
// below it. One prefix route would not do: it matches /ordersX, or rewrites /orders/7
// to //7.
func apiRoutes(api *catalog.API) ([]*routev3.Route, error) {
	if err := checkBackends(api.Backends); err != nil {
		return nil, err
	}
	config, err := checkedAs(api.Name)
	if err != nil {
		return nil, err
	}
	root := api.Backends[0].URL.EscapedPath()
	below := strings.TrimRight(root, "/") + "/"
	if root == "" {
		root = "/"
	}
	routes := []*routev3.Route{{
		Name:                 api.Name,
		Match:                &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: api.BasePath}},
		Action:               forward(api, root),
		TypedPerFilterConfig: config,
	}, {
		Name: api.Name,
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{
			Prefix: strings.TrimRight(api.BasePath, "/") + "/",
		}},
		Action:               forward(api, below),
		TypedPerFilterConfig: config,
	}}
	if err := allowPages(api, routes); err != nil {
		return nil, err
	}
	if err := allowStreams(api, routes); err != nil {
		return nil, err
	}
	return routes, nil
}

// catchAll ends a virtual host. Envoy's filters skip requests that match no route, so
// that this one makes us see, and answer, requests for no API. Nothing is behind it.
func catchAll() (*routev3.Route, error) {
	config, err := checkedAs(contract.NoAPI)
	if err != nil {
		return nil, err
	}
	return &routev3.Route{
		Name:                 contract.NoAPI,
		Match:                &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action:               &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 404}},
		TypedPerFilterConfig: config,
	}, nil
}

// envoyOnly lists what Envoy adds for its own kind and backends have no use for.
func envoyOnly() []string {
	return []string{"x-envoy-external-address", "x-envoy-internal", headerShard}
}
