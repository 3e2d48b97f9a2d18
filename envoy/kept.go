package envoy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/durward/durward/policy/catalog"
)

// kept is what resources were made of, from which the next take what is the same. It holds
// nothing that they do not.
type kept struct {
	apis     []*catalog.API // sorted by name
	written  []*written     // of apis
	clusters pool[string, *clusterv3.Cluster]
	scopes   pool[scope, *routev3.ScopedRouteConfiguration]
	last     *routev3.Route        // of every virtual host
	filters  map[string]*anypb.Any // of every table
	tables   map[string]drawn
	routes   []*routev3.RouteConfiguration // of tables, sorted by name
}

// drawn is a table, and what was written of it.
type drawn struct {
	table
	rc *routev3.RouteConfiguration
}

func (k kept) next(cat *catalog.Catalogue, gw *catalog.Gateway) (kept, error) {
	for i, api := range cat.APIs {
		if i > 0 && cat.APIs[i-1].Name >= api.Name {
			return kept{}, fmt.Errorf("api %s: the APIs are not sorted by unique names", api.Name)
		}
	}
	next := kept{apis: servedBy(gw.Name, cat.APIs), last: k.last, filters: k.filters}
	var err error
	if next.written, err = k.write(next.apis); err != nil {
		return kept{}, err
	}
	ours, err := ourClusters(cat, gw)
	if err != nil {
		return kept{}, err
	}
	if next.clusters, err = k.gather(ours, next.apis, next.written); err != nil {
		return kept{}, err
	}
	if next.filters == nil {
		if next.filters, err = unbuffered(); err != nil {
			return kept{}, err
		}
	}
	if next.last == nil {
		if next.last, err = catchAll(); err != nil {
			return kept{}, err
		}
	}
	lay := spread(gw.Name, next.written)
	if err := next.draw(lay.tables(), k); err != nil {
		return kept{}, err
	}
	next.scopes, err = k.scopes.next(lay.scopes, func(s scope) (*routev3.ScopedRouteConfiguration, error) { return s.write(), nil })
	return next, err
}

// write writes the APIs that are not as they were.
func (k kept) write(apis []*catalog.API) ([]*written, error) {
	list, former := make([]*written, len(apis)), make([]*written, len(apis))
	var fresh []int
	i := 0
	for n, api := range apis {
		for i < len(k.apis) && k.apis[i].Name < api.Name {
			i++
		}
		if i < len(k.apis) && k.apis[i].Name == api.Name {
			former[n] = k.written[i]
		}
		if former[n] == nil || k.apis[i] != api {
			fresh = append(fresh, n)
			continue
		}
		list[n] = former[n]
	}
	results, err := each(fresh, func(n int) (*written, error) {
		return write(apis[n], former[n])
	})
	if err != nil {
		return nil, err
	}
	for i, n := range fresh {
		list[n] = results[i]
	}
	return list, nil
}

// servedBy lists the APIs that a gateway serves.
func servedBy(gateway string, apis []*catalog.API) []*catalog.API {
	return slices.DeleteFunc(slices.Clone(apis), func(a *catalog.API) bool { return !a.ServedBy(gateway) })
}

// ourClusters are those that lead to no backend, by name: where checks go, and where the
// gateway's certificate comes from if a server has it.
func ourClusters(cat *catalog.Catalogue, gw *catalog.Gateway) (map[string]*clusterv3.Cluster, error) {
	check, err := toChecks(cat.Listeners.Check)
	if err != nil {
		return nil, err
	}
	sds, err := toSDS(gw)
	if err != nil {
		return nil, err
	}
	if sds == nil {
		return map[string]*clusterv3.Cluster{checkCluster: check}, nil
	}
	return map[string]*clusterv3.Cluster{checkCluster: check, sdsCluster: sds}, nil
}

// gather makes the clusters: ours, and each backend once, however many APIs it serves.
func (k kept) gather(ours map[string]*clusterv3.Cluster, apis []*catalog.API, list []*written) (pool[string, *clusterv3.Cluster], error) {
	var names []string
	at := make(map[string]int) // indices of the first APIs
	for name, c := range ours {
		if former := k.clusters.get(name); former != nil && !proto.Equal(former, c) {
			k.clusters = k.clusters.without(name)
		}
		names = append(names, name)
		at[name] = 0
	}
	for n, w := range list {
		for _, name := range w.clusters {
			if _, ok := at[name]; !ok {
				at[name] = n
				names = append(names, name)
			}
		}
	}
	return k.clusters.next(names, func(name string) (*clusterv3.Cluster, error) {
		if c := ours[name]; c != nil {
			return c, nil
		}
		api := apis[at[name]]
		b := api.Backends[slices.Index(list[at[name]].clusters, name)]
		c, err := backendCluster(name, b)
		if err != nil {
			return nil, fmt.Errorf("api %s: backend: %w", api.Name, err)
		}
		return c, nil
	})
}

// draw writes and checks the tables that are not as they were.
func (k *kept) draw(tables []table, former kept) error {
	slices.SortFunc(tables, func(a, b table) int { return strings.Compare(a.name, b.name) })
	fresh := 0
	var err error
	k.routes, err = each(tables, func(t table) (*routev3.RouteConfiguration, error) {
		if before := former.tables[t.name]; before.equal(t) {
			return before.rc, nil
		}
		rc := routeTable(t, k.last, k.filters)
		if err := checkTable(rc, k.clusters); err != nil {
			return nil, fmt.Errorf("route table %s: %w", t.name, err)
		}
		return rc, nil
	})
	if err != nil {
		return err
	}
	k.tables = make(map[string]drawn, len(tables))
	for i, t := range tables {
		k.tables[t.name] = drawn{t, k.routes[i]}
		if former.tables[t.name].rc != k.routes[i] {
			fresh++
		}
	}
	if fresh == 0 && len(k.routes) == len(former.routes) {
		k.routes = former.routes
	}
	return nil
}

// resource is a message with a name.
type resource interface {
	message
	GetName() string
}

// pool has one checked message for each key, sorted by name.
type pool[K comparable, M resource] struct {
	at   map[K]int // indices in the others
	keys []K
	list []M
}

// get returns nil for a key that is not there.
func (p pool[K, M]) get(key K) (m M) {
	if i, ok := p.at[key]; ok {
		m = p.list[i]
	}
	return m
}

func (p pool[K, M]) without(key K) pool[K, M] {
	p.at = maps.Clone(p.at)
	delete(p.at, key)
	return p
}

func (p *pool[K, M]) add(key K, m M) {
	p.at[key] = len(p.list)
	p.keys, p.list = append(p.keys, key), append(p.list, m)
}

// next has a message for each of the keys, which are unique. Those that p does not have are
// written; if it has them all and no other, p itself is returned.
func (p pool[K, M]) next(keys []K, write func(K) (M, error)) (pool[K, M], error) {
	kept := make([]bool, len(p.list))
	var missing []K
	for _, key := range keys {
		if i, ok := p.at[key]; ok {
			kept[i] = true
		} else {
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 && !slices.Contains(kept, false) {
		return p, nil
	}
	type entry struct {
		key K
		m   M
	}
	fresh, err := each(missing, func(key K) (entry, error) {
		m, err := write(key)
		if err != nil {
			return entry{}, err
		}
		if err := m.ValidateAll(); err != nil {
			return entry{}, fmt.Errorf("%s: %w", m.GetName(), err)
		}
		return entry{key, m}, nil
	})
	if err != nil {
		return pool[K, M]{}, err
	}
	slices.SortFunc(fresh, func(a, b entry) int { return strings.Compare(a.m.GetName(), b.m.GetName()) })
	next := pool[K, M]{make(map[K]int, len(keys)), make([]K, 0, len(keys)), make([]M, 0, len(keys))}
	i := 0
	keep := func(before func(M) bool) {
		for ; i < len(p.list) && before(p.list[i]); i++ {
			if kept[i] {
				next.add(p.keys[i], p.list[i])
			}
		}
	}
	for _, e := range fresh {
		keep(func(m M) bool { return m.GetName() < e.m.GetName() })
		next.add(e.key, e.m)
	}
	keep(func(M) bool { return true })
	return next, nil
}
