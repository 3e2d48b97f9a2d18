package catalog

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

func openAPI(name string, change func(*durwardv1.API)) *durwardv1.API {
	a := &durwardv1.API{
		Name:       name,
		Frontend:   &durwardv1.Frontend{Hosts: []string{"api.example.com"}, Path: "/" + name},
		Backend:    &durwardv1.Backend{Url: "http://127.0.0.1:8080"},
		Operations: []*durwardv1.Operation{{Methods: []string{"GET"}, Path: "/", Public: true}},
	}
	change(a)
	return a
}

// An API that is not published is judged with the others, and nobody finds it who looks
// for one to serve; what names it is not dangling.
func TestUnpublished(t *testing.T) {
	t.Parallel()
	hide := func(a *durwardv1.API) { a.Published = proto.Bool(false) }
	cfg := &durwardv1.Config{
		Version:       1,
		Gateways:      []*durwardv1.Gateway{{Name: "edge", Listen: "127.0.0.1:10000", Url: "http://127.0.0.1:10000"}},
		Organizations: []*durwardv1.Organization{{Name: "retail"}},
		Apis: []*durwardv1.API{
			openAPI("zebra", hide), openAPI("open", func(a *durwardv1.API) { a.Published = proto.Bool(true) }),
			openAPI("drafted", func(a *durwardv1.API) { hide(a); a.ProtectedResource = true }),
		},
		Grants: []*durwardv1.Grant{{Api: "drafted", Organization: "retail", AllApplications: true}},
	}
	cat, findings := Compile(cfg, nil)
	if cat == nil {
		t.Fatal(findings)
	}
	if len(cat.APIs) != 1 || len(cat.Unpublished) != 2 || cat.Unpublished[0].Name != "drafted" || cat.Unpublished[1].Name != "zebra" {
		t.Fatalf("published %v, the others %v", cat.APIs, cat.Unpublished)
	}
	for path, name := range map[string]string{"/drafted": "drafted", "/drafted/x": "drafted", "/zebra": "zebra", cat.Unpublished[0].MetadataPath(): "drafted"} {
		if cat.API(name) != nil || cat.Route("api.example.com", path) != nil {
			t.Errorf("%s is served", path)
		}
		if api := cat.RouteUnpublished("api.example.com", path); api == nil || api.Name != name {
			t.Errorf("%s would be answered by %v", path, api)
		}
	}
	if api := cat.RouteUnpublished("api.example.com", "/open"); cat.Route("api.example.com", "/open") == nil || api != nil {
		t.Errorf("/open is not published but %v", api)
	}
	// What is wrong with it is found all the same, and its place is taken.
	cfg.Apis = append(cfg.Apis, openAPI("open2", func(a *durwardv1.API) { a.Frontend.Path = "/zebra" }))
	cfg.Apis[0].Operations = nil
	var codes []string
	cat, findings = Compile(cfg, nil)
	for _, f := range findings {
		codes = append(codes, f.Code)
	}
	if want := []string{noOperations, duplicateFrontend}; cat != nil || !slices.Equal(codes, want) {
		t.Errorf("findings %v, want %v", codes, want)
	}
}

// An API is served by the gateways that it names, or by all, and is found under their
// URLs.
func TestServingGateways(t *testing.T) {
	t.Parallel()
	naming := func(names ...string) func(*durwardv1.API) {
		return func(a *durwardv1.API) { a.Gateways = names }
	}
	cat, findings := Compile(&durwardv1.Config{
		Version: 1,
		Gateways: []*durwardv1.Gateway{
			{Name: "edge", Listen: "127.0.0.1:10000", Url: "https://api.example.com"}, {Name: "inner", Listen: "127.0.0.1:10001", Url: "http://inner.example.com"},
		},
		Apis: []*durwardv1.API{openAPI("all", naming()), openAPI("both", naming("inner", "edge")), openAPI("inside", naming("inner"))},
	}, nil)
	if cat == nil {
		t.Fatal(findings)
	}
	for name, want := range map[string][2]bool{"all": {true, true}, "both": {true, true}, "inside": {false, true}} {
		api := cat.API(name)
		if got := [2]bool{api.ServedBy("edge"), api.ServedBy("inner")}; got != want || api.ServedBy("") {
			t.Errorf("%s is served by edge and inner: %v", name, got)
		}
		if slices.Contains(api.External, "https://api.example.com") != want[0] || !slices.Contains(api.External, "http://inner.example.com") {
			t.Errorf("%s is found at %q", name, api.External)
		}
	}
	if new(API).ServedBy("edge") {
		t.Error("the zero API is served")
	}
}
