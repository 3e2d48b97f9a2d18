package envoy

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/durward/durward/policy/contract"
)

// TestCatalogueRoutesAsEnvoyDoes holds that explain, which has no Envoy, looks for an
// API where Envoy would send the request.
func TestCatalogueRoutesAsEnvoyDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cat := literal(drawAPIs(t)...)
		res, err := Translate(cat, "edge")
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range callHosts {
			for _, path := range callPaths {
				want, _ := choose(t, res.Routes[0], host, path)
				got := contract.NoAPI
				if api := cat.Route(host, path); api != nil {
					got = api.Name
				}
				if got != want.GetName() {
					t.Fatalf("%s%s: the catalogue says %s, Envoy %s", host, path, got, want.GetName())
				}
			}
		}
	})
}
