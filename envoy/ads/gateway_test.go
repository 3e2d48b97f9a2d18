package ads

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/catalog"
)

// What was is not put where something else is, and nothing is that the gateway does not serve.
func TestWithoutGivesAPlaceOnce(t *testing.T) {
	t.Parallel()
	edge, inner := &catalog.Gateway{Name: "edge"}, &catalog.Gateway{Name: "inner"}
	at := func(name, path string, gw *catalog.Gateway) *catalog.API {
		return &catalog.API{Name: name, Hosts: []string{"a"}, BasePath: path, Gateways: []*catalog.Gateway{gw}}
	}
	out := func(former *catalog.API) *withheld { return &withheld{former: former} }
	cat := &catalog.Catalogue{APIs: []*catalog.API{
		at("a", "/new", edge), at("b", "/newer", edge), at("c", "/taken", edge), at("d", "/d", edge),
		at("elsewhere", "/e", inner), at("f", "/f", edge), at("g", "/g", edge),
	}}
	left := without(cat, "edge", map[string]*withheld{
		"a": out(at("a", "/x", edge)), "b": out(at("b", "/x", edge)), "d": out(at("d", "/taken", edge)),
		"f": out(at("f", "/e", edge)), "g": out(at("g", "/g0", inner)),
	})
	var got []string
	for _, api := range left.APIs {
		got = append(got, api.Name+" "+api.BasePath)
	}
	if diff := cmp.Diff([]string{"a /x", "c /taken", "f /e"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is withheld and did not change is known without translating it.
func TestWithheldIsKnownByItself(t *testing.T) {
	t.Parallel()
	api := &catalog.API{Name: "a"}
	a := &audience{gateway: newGateway("no such gateway"), withheld: map[string]*withheld{"a": {api: api}, "gone": {}}}
	still, err := a.stillWithheld(&catalog.Catalogue{APIs: []*catalog.API{api}})
	if err != nil || len(still) != 1 || still["a"].api != api {
		t.Errorf("%v, %v", still, err)
	}
}
