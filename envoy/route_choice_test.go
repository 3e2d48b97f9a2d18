package envoy

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
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
		r := routerOf(res)
		for _, host := range callHosts {
			for _, path := range callPaths {
				want, _ := r.choose(t, host, path)
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

// The same for the paths of metadata, which only Compile makes part of an API.
func TestCatalogueRoutesMetadataAsEnvoyDoes(t *testing.T) {
	t.Parallel()
	var documents int
	rapid.Check(t, func(t *rapid.T) {
		cfg := small()
		cfg.Apis = nil
		for _, drawn := range drawAPIs(t) {
			a := api(drawn.Name, drawn.BasePath, "http://backend.internal", drawn.Hosts...)
			a.ProtectedResource = rapid.Bool().Draw(t, "protected")
			if rapid.Bool().Draw(t, "pages") {
				a.Cors = &durwardv1.CORS{AllowOrigins: []string{"https://app.example.com"}}
			}
			cfg.Apis = append(cfg.Apis, a)
		}
		cat, findings := catalog.Compile(cfg, nil)
		if catalog.HasErrors(findings) {
			t.Fatal(findings)
		}
		res, err := Translate(cat, "edge")
		if err != nil {
			t.Fatal(err)
		}
		r := routerOf(res)
		for _, host := range callHosts {
			for _, base := range append(callPaths, "") {
				path := "/.well-known/oauth-protected-resource" + base
				want, _ := r.choose(t, host, path)
				got := contract.NoAPI
				if api := cat.Route(host, path); api != nil {
					got = api.Name
					document := api.Match("GET", path).Operation.Path.String() == path
					if document {
						documents++
					}
					if direct := want.GetDirectResponse() != nil; direct != document {
						t.Fatalf("%s%s: the catalogue's document is %t, Envoy's %t", host, path, document, direct)
					}
				}
				if got != want.GetName() {
					t.Fatalf("%s%s: the catalogue says %s, Envoy %s", host, path, got, want.GetName())
				}
			}
		}
	})
	if documents == 0 {
		t.Error("no document was ever asked for")
	}
}
