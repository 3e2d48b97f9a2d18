package ads

import (
	"errors"
	"fmt"
	"maps"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/durward/durward/envoy"
)

// kind is all resources of one type, by name, and their versions. Neither map changes:
// snapshots share them.
type kind struct {
	resources map[string]types.Resource
	versions  map[string]string
}

// snapshot is what the library serves to a gateway's Envoys. It is a [cachev3.Snapshot]
// that takes over what the one before it has, which that cannot: at ten thousand APIs,
// hashing them all again would take most of the time of a publish.
type snapshot struct {
	revision string
	res      envoy.Resources
	kinds    map[string]kind // by type URL
}

// snapshotOf takes what did not change from former.
func snapshotOf(revision string, res envoy.Resources, former *snapshot) (*snapshot, error) {
	s := &snapshot{revision: revision, res: res, kinds: make(map[string]kind)}
	err := errors.Join(
		put(s, former, resourcev3.ClusterType, res.Clusters, former.res.Clusters),
		put(s, former, resourcev3.ListenerType, res.Listeners, former.res.Listeners),
		put(s, former, resourcev3.SecretType, res.Secrets, former.res.Secrets),
		put(s, former, resourcev3.RouteType, res.Routes, former.res.Routes),
		put(s, former, resourcev3.ScopedRouteType, res.Scopes, former.res.Scopes),
	)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// put adds the resources of one type, sorted by name. A message that former has too keeps
// its version, and the same list its maps.
func put[T interface {
	comparable
	types.ResourceWithName
}](s, former *snapshot, typeURL string, list, before []T,
) error {
	was := former.kinds[typeURL]
	if len(list) == len(before) && (len(list) == 0 || &list[0] == &before[0]) {
		s.kinds[typeURL] = was
		return nil
	}
	k := kind{make(map[string]types.Resource), make(map[string]string)}
	if was.resources != nil {
		k = kind{maps.Clone(was.resources), maps.Clone(was.versions)}
	}
	i := 0
	gone := func(before T) {
		delete(k.resources, before.GetName())
		delete(k.versions, before.GetName())
		i++
	}
	for n, r := range list {
		name := r.GetName()
		if n > 0 && list[n-1].GetName() >= name {
			return fmt.Errorf("%s: %q is there twice, or out of order", typeURL, name)
		}
		for i < len(before) && before[i].GetName() < name {
			gone(before[i])
		}
		if i < len(before) && before[i] == r {
			i++
			continue
		}
		text, err := cachev3.MarshalResource(r)
		if err != nil {
			return fmt.Errorf("%s: %q: %w", typeURL, name, err)
		}
		if i < len(before) && before[i].GetName() == name {
			gone(before[i])
		}
		k.resources[name], k.versions[name] = r, cachev3.HashResource(text)
	}
	for i < len(before) {
		gone(before[i])
	}
	s.kinds[typeURL] = k
	return nil
}

// GetVersion, with the four methods below, implements [cachev3.ResourceSnapshot].
func (s *snapshot) GetVersion(string) string { return s.revision }

// GetResources returns what must not be changed.
func (s *snapshot) GetResources(typeURL string) map[string]types.Resource {
	return s.kinds[typeURL].resources
}

// GetResourcesAndTTL is for the other half of the protocol, which is not served.
func (s *snapshot) GetResourcesAndTTL(typeURL string) map[string]types.ResourceWithTTL {
	all := make(map[string]types.ResourceWithTTL)
	for name, r := range s.kinds[typeURL].resources {
		all[name] = types.ResourceWithTTL{Resource: r}
	}
	return all
}

// ConstructVersionMap has nothing left to do.
func (s *snapshot) ConstructVersionMap() error { return nil }

// GetVersionMap returns what must not be changed.
func (s *snapshot) GetVersionMap(typeURL string) map[string]string { return s.kinds[typeURL].versions }
