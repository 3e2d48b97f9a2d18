package ads

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/durward/durward/policy/contract"
)

// authors lists the APIs that wrote part of a resource of the edition, each with a hash
// of its part. A scope is of those that it leads to on its host. An API has no part in
// listeners and secrets.
func (e *edition) authors(typeURL, name string) map[string][]byte {
	parts := make(map[string][]byte)
	switch r := e.snap.GetResources(typeURL)[name].(type) {
	case *routev3.RouteConfiguration:
		wrote(parts, r, "")
	case *routev3.ScopedRouteConfiguration:
		table, _ := e.snap.GetResources(resourcev3.RouteType)[r.GetRouteConfigurationName()].(*routev3.RouteConfiguration)
		host, _, _ := strings.Cut(name, "/")
		if wrote(parts, table, host); len(parts) == 0 {
			wrote(parts, table, "")
		}
	case *clusterv3.Cluster:
		for _, table := range e.snap.GetResources(resourcev3.RouteType) {
			for _, vh := range table.(*routev3.RouteConfiguration).GetVirtualHosts() {
				for _, route := range vh.GetRoutes() {
					if leadsTo(route, name) && parts[route.GetName()] == nil {
						add(parts, route.GetName(), "", r)
					}
				}
			}
		}
	}
	delete(parts, contract.NoAPI)
	return parts
}

// wrote adds the parts of a table: of one host, or all.
func wrote(parts map[string][]byte, table *routev3.RouteConfiguration, host string) {
	for _, vh := range table.GetVirtualHosts() {
		if host != "" && vh.GetName() != host {
			continue
		}
		for _, route := range vh.GetRoutes() {
			add(parts, route.GetName(), vh.GetName(), route)
		}
	}
}

// add chains the hashes of what an API wrote.
func add(parts map[string][]byte, api, host string, m types.Resource) {
	sum := sha256.New()
	sum.Write(parts[api])
	sum.Write([]byte(host))
	if err := hashInto(sum, m); err != nil {
		return // it was marshalled before, for its version
	}
	parts[api] = sum.Sum(nil)
}

func leadsTo(route *routev3.Route, cluster string) bool {
	action := route.GetRoute()
	if action.GetCluster() == cluster {
		return true
	}
	return slices.ContainsFunc(action.GetWeightedClusters().GetClusters(), func(c *routev3.WeightedCluster_ClusterWeight) bool {
		return c.GetName() == cluster
	})
}

// leadsInto reports whether a table leads to no cluster but those.
func leadsInto(table *routev3.RouteConfiguration, clusters map[string]string) bool {
	for _, vh := range table.GetVirtualHosts() {
		for _, route := range vh.GetRoutes() {
			action := route.GetRoute()
			if name := action.GetCluster(); name != "" && clusters[name] == "" {
				return false
			}
			for _, c := range action.GetWeightedClusters().GetClusters() {
				if clusters[c.GetName()] == "" {
					return false
				}
			}
		}
	}
	return true
}

// changes lists the APIs that changed in a resource since base, which may be nil, and all
// that are in it.
func (e *edition) changes(base *edition, typeURL, name string) (changed, all []string) {
	var former map[string][]byte
	if base != nil {
		former = base.authors(typeURL, name)
	}
	for api, part := range e.authors(typeURL, name) {
		all = append(all, api)
		if !bytes.Equal(former[api], part) {
			changed = append(changed, api)
		}
	}
	return changed, all
}

// suspects lists the APIs that changed in a refused update since an Envoy last held its
// resources; all of theirs, if that tells none.
func (e *edition) suspects(c charge) []string {
	var changed, all []string
	for name := range c.versions {
		its, whole := e.changes(c.bases[name], c.typeURL, name)
		changed, all = append(changed, its...), append(all, whole...)
	}
	if len(changed) == 0 {
		changed = all
	}
	slices.Sort(changed)
	return slices.Compact(changed)
}

// isOfOne reports whether nothing but one API changed in each of several refused
// resources.
func (e *edition) isOfOne(c charge) bool {
	if !c.in(e) {
		return false
	}
	api := ""
	for name := range c.versions {
		changed, _ := e.changes(c.bases[name], c.typeURL, name)
		if len(changed) != 1 || api != "" && changed[0] != api {
			return false
		}
		api = changed[0]
	}
	return true
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
