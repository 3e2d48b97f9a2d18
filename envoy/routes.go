package envoy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

const anyHost = "*"

// table is one route table before it is written.
type table struct {
	name string
	apis []*catalog.API
}

// tables decides which API goes in which table: for now, all in the one that the
// listener names. Nothing else in this package knows how they are spread.
func tables(cat *catalog.Catalogue, gw *catalog.Gateway) []table {
	return []table{{name: tableName(gw), apis: cat.APIs}}
}

func tableName(gw *catalog.Gateway) string { return gw.Name }

// written are the routes of one API.
type written struct {
	// documents are what Envoy answers itself; they are tried before any API's others.
	documents, others []*routev3.Route
}

func write(apis []*catalog.API) (map[*catalog.API]written, error) {
	all := make(map[*catalog.API]written, len(apis))
	for _, api := range apis {
		documents, err := metadataRoutes(api)
		if err != nil {
			return nil, fmt.Errorf("api %s: %w", api.Name, err)
		}
		others, err := apiRoutes(api)
		if err != nil {
			return nil, fmt.Errorf("api %s: %w", api.Name, err)
		}
		all[api] = written{documents, others}
	}
	return all, nil
}

// routeTable writes a table with one virtual host for every host that an API names,
// and one for all other hosts.
func routeTable(t table) (*routev3.RouteConfiguration, error) {
	routes, err := write(t.apis)
	if err != nil {
		return nil, err
	}
	last, err := catchAll()
	if err != nil {
		return nil, err
	}
	hosts := []string{anyHost}
	for _, api := range t.apis {
		hosts = append(hosts, api.Hosts...)
	}
	slices.Sort(hosts)
	rc := &routev3.RouteConfiguration{
		Name:                           t.name,
		RequestHeadersToRemove:         envoyOnly(),
		MaxDirectResponseBodySizeBytes: wrapperspb.UInt32(maxDocumentBytes),
	}
	for _, host := range slices.Compact(hosts) {
		vh := &routev3.VirtualHost{Name: host, Domains: []string{host}}
		apis := serving(host, t.apis)
		for _, api := range firstOfPath(apis, func(a *catalog.API) bool { return routes[a].documents != nil }) {
			vh.Routes = append(vh.Routes, routes[api].documents...)
		}
		for _, api := range firstOfPath(apis, func(*catalog.API) bool { return true }) {
			vh.Routes = append(vh.Routes, routes[api].others...)
		}
		vh.Routes = append(vh.Routes, last)
		rc.VirtualHosts = append(rc.VirtualHosts, vh)
	}
	return rc, nil
}

// serving lists the APIs of a virtual host in the order in which Envoy tries them. Envoy
// looks at one virtual host alone, so that each repeats the APIs of wider hosts. The
// longest base path comes first; of those that share one, the one with the most specific
// host.
func serving(host string, apis []*catalog.API) []*catalog.API {
	rank := make(map[*catalog.API]int)
	var list []*catalog.API
	for _, api := range apis {
		for _, pattern := range api.Hosts {
			if covers(pattern, host) {
				rank[api] = max(rank[api], 1+specificity(pattern))
			}
		}
		if rank[api] > 0 {
			list = append(list, api)
		}
	}
	slices.SortFunc(list, func(a, b *catalog.API) int {
		return cmp.Or(
			cmp.Compare(len(b.BasePath), len(a.BasePath)),
			cmp.Compare(a.BasePath, b.BasePath),
			cmp.Compare(rank[b], rank[a]),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return list
}

// firstOfPath leaves, of those that share a base path, the first that has something
// there: the others are not reachable.
func firstOfPath(apis []*catalog.API, has func(*catalog.API) bool) []*catalog.API {
	list := slices.DeleteFunc(slices.Clone(apis), func(a *catalog.API) bool { return !has(a) })
	return slices.CompactFunc(list, func(a, b *catalog.API) bool { return a.BasePath == b.BasePath })
}

// covers reports whether each host that the pattern host stands for also matches
// pattern.
func covers(pattern, host string) bool {
	if pattern == anyHost || pattern == host {
		return true
	}
	suffix, wildcard := strings.CutPrefix(pattern, "*")
	return wildcard && len(host) > len(suffix) && strings.HasSuffix(strings.TrimPrefix(host, "*"), suffix)
}

// specificity orders the patterns that cover one host: exact hosts, then wildcards by
// length, then any host.
func specificity(pattern string) int {
	switch {
	case pattern == anyHost:
		return 0
	case strings.HasPrefix(pattern, "*"):
		return len(pattern)
	default:
		return 1 << 10 // longer than any host name
	}
}

// apiRoutes writes an API's two routes, for the base path itself and for what lies
// below it. One prefix route would not do: it matches /ordersX, or rewrites /orders/7
// to //7.
func apiRoutes(api *catalog.API) ([]*routev3.Route, error) {
	if api.Backend.Timeout <= 0 { // which Envoy takes for none
		return nil, errors.New("backend.timeout is not positive")
	}
	config, err := checkedAs(api.Name)
	if err != nil {
		return nil, err
	}
	root := api.Backend.URL.EscapedPath()
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
	for _, r := range routes {
		if err := r.ValidateAll(); err != nil {
			return nil, err
		}
	}
	return routes, nil
}

// forward sends a request to the backend under the backend's own host, which is what
// its virtual hosts and certificate are made for; x-forwarded-host tells the caller's.
// Nothing is retried: only the backend knows what may be done twice.
func forward(api *catalog.API, rewrite string) *routev3.Route_Route {
	action := &routev3.RouteAction{
		ClusterSpecifier:     &routev3.RouteAction_Cluster{Cluster: clusterName(api.Backend)},
		HostRewriteSpecifier: &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: api.Backend.URL.Host},
		AppendXForwardedHost: true,
		PrefixRewrite:        rewrite,
		Timeout:              durationpb.New(api.Backend.Timeout),
	}
	if api.Backend.Timeout > streamIdle {
		action.IdleTimeout = durationpb.New(api.Backend.Timeout)
	}
	return &routev3.Route_Route{Route: action}
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
	return []string{"x-envoy-external-address", "x-envoy-internal"}
}
