package ads

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/envoy"
	"github.com/durward/durward/policy/catalog"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// drawn is a catalogue of some of ten APIs, each on one of few hosts, paths and backends.
func drawn(t *testing.T, r *rand.Rand) *catalog.Catalogue {
	t.Helper()
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	cfg := &durwardv1.Config{
		Version:  1,
		Gateways: []*durwardv1.Gateway{{Name: "edge", Listen: "127.0.0.1:0", Url: "http://127.0.0.1:10000"}},
		Listeners: &durwardv1.Listeners{
			Check: &durwardv1.Listener{Address: one("127.0.0.1:1", "127.0.0.1:2")},
			Xds:   &durwardv1.Listener{Address: "127.0.0.1:3"},
		},
	}
	taken := make(map[string]bool)
	for i := range 10 {
		host := one("a", "b", "*.c", "*")
		path := one("/", "/x", "/y/z")
		if taken[host+path] || r.IntN(2) == 0 {
			continue
		}
		taken[host+path] = true
		cfg.Apis = append(cfg.Apis, &durwardv1.API{
			Name:       fmt.Sprint("api-", i),
			Frontend:   &durwardv1.Frontend{Hosts: []string{host}, Path: path},
			Backend:    &durwardv1.Backend{Url: one("http://one", "http://two")},
			Operations: []*durwardv1.Operation{{Methods: []string{"GET"}, Path: "/**", Public: true}},
		})
	}
	cat, findings := catalog.Compile(cfg, nil)
	if cat == nil {
		t.Fatalf("compile: %v", findings)
	}
	return cat
}

// fromScratch is the library's own snapshot.
func fromScratch(t *testing.T, cat *catalog.Catalogue) *cachev3.Snapshot {
	res, err := envoy.Translate(cat, "edge")
	if err != nil {
		t.Fatal(err)
	}
	snap, err := cachev3.NewSnapshot(cat.Revision, map[resourcev3.Type][]types.Resource{
		resourcev3.ClusterType:     asResources(res.Clusters),
		resourcev3.ListenerType:    asResources(res.Listeners),
		resourcev3.SecretType:      asResources(res.Secrets),
		resourcev3.RouteType:       asResources(res.Routes),
		resourcev3.ScopedRouteType: asResources(res.Scopes),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := snap.ConstructVersionMap(); err != nil {
		t.Fatal(err)
	}
	if err := snap.Consistent(); err != nil {
		t.Fatal(err)
	}
	return snap
}

// Replicas and restarts agree: whatever was published before, an edition has the
// resources and versions that the library gives one from scratch.
func TestEditionsDoNotDependOnThoseBefore(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var ed *edition
	for n := range 25 {
		cat := drawn(t, r)
		next, err := newEdition(cat, "edge", ed)
		if err != nil {
			t.Fatal(err)
		}
		want := fromScratch(t, cat)
		for typeURL := range typeLabels {
			if got, want := next.snap.GetVersionMap(typeURL), want.GetVersionMap(typeURL); !maps.Equal(got, want) {
				t.Fatalf("edition %d: %s: versions %v, want %v", n, typeURL, got, want)
			}
			same := maps.EqualFunc(next.snap.GetResources(typeURL), want.GetResources(typeURL), func(a, b types.Resource) bool { return proto.Equal(a, b) })
			if !same {
				t.Fatalf("edition %d: %s: other resources", n, typeURL)
			}
		}
		ed = next
	}
}
