package catalog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// TestMetadata holds where the metadata of protected resources is, and that it is one
// public operation.
func TestMetadata(t *testing.T) {
	t.Parallel()
	cat, findings := compileChanged(t, func(c *durwardv1.Config) {
		c.Apis[0].ProtectedResource, c.Apis[1].ProtectedResource = true, true
		c.Apis[0].Frontend.External = []string{"https://shop.example.com", "https://shop.example.org"}
	})
	if cat == nil || len(findings) > 0 {
		t.Fatalf("findings: %v", findings)
	}
	orders, carts := cat.API("orders"), cat.API("carts")
	for _, tt := range []struct {
		api                     *API
		path, resource, address string
	}{
		{orders, "/.well-known/oauth-protected-resource/orders", "https://shop.example.com/orders", "https://shop.example.com/.well-known/oauth-protected-resource/orders"},
		{carts, "/.well-known/oauth-protected-resource", "http://127.0.0.1:10000", "http://127.0.0.1:10000/.well-known/oauth-protected-resource"},
		{compileExample(t).API("orders"), "", "http://127.0.0.1:10000/orders", ""},
		{new(API), "", "", ""},
	} {
		if got := []string{tt.api.MetadataPath(), tt.api.ResourceURL(), tt.api.MetadataURL()}; !cmp.Equal(got, []string{tt.path, tt.resource, tt.address}) {
			t.Errorf("API %q has %v", tt.api.Name, got)
		}
	}
	path := orders.MetadataPath()
	if m := orders.Match("GET", path); m.Operation == nil || !m.Operation.Public || m.Operation.Policy != nil || m.Operation.Path.String() != path || !orders.Covers(path) {
		t.Errorf("GET %s is %+v", path, m)
	}
	if m := orders.Match("POST", path); m.Operation != nil || !m.PathKnown || !cmp.Equal(m.Allow, []string{"GET"}) {
		t.Errorf("POST %s is %+v", path, m)
	}
	for _, near := range []string{path + "/", path + "/7", strings.TrimSuffix(path, "/orders"), "/orders" + path, strings.ToUpper(path)} {
		if orders.Covers(near) && !strings.HasPrefix(near, "/orders/") || orders.Match("GET", near).Operation != nil {
			t.Errorf("%s is the metadata's too", near)
		}
	}
	if len(orders.Operations) != 3 || orders.Params(orders.Match("GET", path).Operation, path) != nil {
		t.Error("the metadata is among the operations, or has parameters")
	}
	if plain := compileExample(t).API("orders"); plain.Covers(path) || plain.Match("GET", path).PathKnown {
		t.Error("metadata of an API that tells nobody")
	}
}

// TestMetadataRoute holds that the path of an API's metadata is its own, whoever covers
// what is around it.
func TestMetadataRoute(t *testing.T) {
	t.Parallel()
	cat, findings := compileChanged(t, func(c *durwardv1.Config) {
		c.Apis[0].ProtectedResource = true
		c.Apis[1].Frontend.Hosts = []string{"*"}
		c.Apis[1].Operations[0].Path = "/**"
	})
	if cat == nil {
		t.Fatalf("findings: %v", findings)
	}
	for path, want := range map[string]string{
		"/.well-known/oauth-protected-resource/orders":  "orders",
		"/.well-known/oauth-protected-resource/orders/": "carts",
		"/.well-known/oauth-protected-resource":         "carts",
		"/orders/7":                                     "orders",
		"/ordersx":                                      "carts",
	} {
		if api := cat.Route("shop.example.com", path); api == nil || api.Name != want {
			t.Errorf("%s is of %+v; want %s", path, api, want)
		}
	}
	if api := new(Catalogue).Route("a", "/"); api != nil {
		t.Errorf("a route of %+v", api)
	}
}

func TestPatternsMeet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"*", "*", true},
		{"*", "a.example.com", true},
		{"*.example.com", "a.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", "*.b.example.com", true},
		{"*.example.com", "*.example.org", false},
		{"a", "a", true},
		{"a", "b", false},
		{"*.example.com", "*", true},
	} {
		if patternsMeet(tt.a, tt.b) != tt.want || patternsMeet(tt.b, tt.a) != tt.want {
			t.Errorf("%s and %s: want %t", tt.a, tt.b, tt.want)
		}
	}
}
