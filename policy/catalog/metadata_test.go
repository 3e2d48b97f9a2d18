package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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

// TestSpotsMeet holds which patterns match a common host.
func TestSpotsMeet(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"*", "*", true},
		{"*", "a.example.com", true},
		{"*", "a", true},
		{"*", "[::1]", true},
		{"*.example.com", "a.example.com", true},
		{"*.example.com", "b.a.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", "an-example.com", false},
		{"*.example.com", "*.b.example.com", true},
		{"*.example.com", "*.example.org", false},
		{"a", "a", true},
		{"a", "b", false},
		{"*.example.com", "*", true},
	} {
		for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
			s := make(spots)
			s.add(1, []string{"other.test", pair[0]}, "/x")
			if got := s.of([]string{pair[1], pair[1]}, "/x"); len(got) > 1 || len(got) == 1 != tt.want {
				t.Errorf("%s and %s: %v, want %t", pair[0], pair[1], got, tt.want)
			}
			if got := s.of([]string{pair[1]}, "/y"); got != nil {
				t.Errorf("another path: %v", got)
			}
		}
	}
}

// TestMetadataTaken holds who answers at the metadata of orders, at shop.example.com, and
// who does not.
func TestMetadataTaken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		host, base, path string
		taken            bool
	}{
		{"shop.example.com", "/.well-known/oauth-protected-resource", "/{any}", true},
		{"*.example.com", "/.well-known/oauth-protected-resource/orders", "/", true},
		{"*", "/.well-known", "/oauth-protected-resource/orders", true},
		{"shop.example.com", "/", "/.well-known/oauth-protected-resource/orders", true},
		{"shop.example.com", "/", "/.well-known/oauth-protected-resource/orders/", false},
		{"shop.example.com", "/", "/.well-known/oauth-protected-resource/{any}", false},
		{"shop.example.com", "/.well-known", "/**", false},
		{"shop.example.com", "/.well-known/oauth-protected-resource/order", "/", false},
		{"shop.example.com", "/.well-known/oauth-protected-resource/orders/7", "/", false},
		{"example.com", "/.well-known/oauth-protected-resource", "/", false},
		{"*.shop.example.com", "/.well-known", "/oauth-protected-resource/orders", false},
	} {
		_, findings := compileChanged(t, func(c *durwardv1.Config) {
			c.Apis[0].ProtectedResource, c.Apis[0].Frontend.Hosts = true, []string{"shop.example.com"}
			c.Apis[1].Frontend.Hosts, c.Apis[1].Frontend.Path = []string{tt.host}, tt.base
			c.Apis[1].Operations = c.Apis[1].Operations[:1]
			c.Apis[1].Operations[0].Path = tt.path
		})
		found := slices.DeleteFunc(findings, func(f Finding) bool { return f.Code != metadataTaken })
		if len(found) > 1 || (len(found) == 1) != tt.taken || tt.taken && found[0].Path != "apis[0].protected_resource" {
			t.Errorf("%s at %s%s: %v", tt.host, tt.base, tt.path, found)
		}
	}
}

// TestMetadataOfMany: ten thousand APIs with metadata, and as many that answer by hand where
// metadata may be, on other hosts or at other paths, are not compared pair by pair.
func TestMetadataOfMany(t *testing.T) {
	t.Parallel()
	const each = 10_000
	c := &compiler{drafts: make([]draft, 3*each), named: make(map[string]*draft)}
	add := func(i int, api *API) {
		api.Name = fmt.Sprint("api-", i)
		c.drafts[i].api, c.named[api.Name] = api, &c.drafts[i]
	}
	metadata, err := ParseTemplate(wellKnown)
	if err != nil {
		t.Fatal(err)
	}
	for i := range each {
		add(i, &API{Hosts: []string{fmt.Sprintf("a%d.example.com", i)}, BasePath: "/", ProtectedResource: true, metadata: new(Operation)})
		add(each+i, &API{Hosts: []string{fmt.Sprintf("b%d.example.com", i)}, BasePath: "/", Operations: []*Operation{{Path: metadata}}})
		add(2*each+i, &API{Hosts: []string{"*.example.com"}, BasePath: fmt.Sprintf("%s/c%d", wellKnown, i)})
	}
	began := time.Now()
	c.metadataPlaces()
	if took := time.Since(began); took > time.Second || len(c.findings) > 0 {
		t.Errorf("it took %v and found %v", took, c.findings)
	}
	c.drafts[each].api.Hosts[0] = "*.example.com"
	c.metadataPlaces()
	if len(c.findings) != each {
		t.Errorf("%d of %d are found", len(c.findings), each)
	}
}
