package envoy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/catalog"
)

// described is an API with all that its document tells.
func described() *catalog.API {
	one := &catalog.TokenPolicy{Server: &catalog.AuthorizationServer{Issuers: []string{"https://z.example.com/oauth2/default", "https://a.example.com/oauth2/default"}}}
	two := &catalog.TokenPolicy{Server: &catalog.AuthorizationServer{Issuers: []string{"https://b.example.com/oauth2/other"}}}
	api := openAPI()
	api.CORS = nil
	api.ProtectedResource = true
	api.External = []string{"https://api.example.com", "https://api.example.org"}
	api.Policy = one
	api.Operations = []*catalog.Operation{
		{Methods: []string{"GET"}, AllScopes: []string{"orders.read", "common"}, Policy: one},
		{Methods: []string{"PUT"}, AnyScopes: []string{"orders.write", "admin"}, Policy: two},
		{Methods: []string{"DELETE"}, AllScopes: []string{"common"}, Policy: one},
		{Methods: []string{"HEAD"}, Public: true},
	}
	return api
}

// atDocument are the routes of the virtual host in which an API's document is found.
func atDocument(res Resources, api *catalog.API) []*routev3.Route {
	return routerOf(res).table("example.com", api.MetadataPath()).GetVirtualHosts()[0].GetRoutes()
}

func body(t *testing.T, r *routev3.Route) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(r.GetDirectResponse().GetBody().GetInlineString()), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// The document has the members of RFC 9728 section 2 that we can answer for, and comes
// before the routes of every other API, whatever their base paths.
func TestMetadataRoute(t *testing.T) {
	t.Parallel()
	api := described()
	greedy := literalAPI("greedy", "/.well-known/oauth-protected-resource/orders", "http://b", "*")
	res := mustTranslate(t, literal(greedy, api))
	routes := atDocument(res, api)
	r := routes[0]
	if r.GetName() != "orders" || r.GetMatch().GetPath() != "/.well-known/oauth-protected-resource/orders" || len(r.GetMatch().GetHeaders()) != 0 {
		t.Fatalf("the first route is %v", r)
	}
	ours(t, r)
	want := map[string]any{
		"resource":              "https://api.example.com/orders",
		"resource_name":         "orders",
		"authorization_servers": []any{"https://z.example.com/oauth2/default", "https://a.example.com/oauth2/default", "https://b.example.com/oauth2/other"},
		"scopes_supported":      []any{"admin", "common", "orders.read", "orders.write"},

		"bearer_methods_supported":          []any{"header"},
		"dpop_signing_alg_values_supported": []any{"ES256", "PS256", "RS256"},
	}
	if diff := cmp.Diff(want, body(t, r)); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	if h := r.GetResponseHeadersToAdd(); len(h) != 1 || h[0].GetHeader().GetKey() != "content-type" || h[0].GetHeader().GetValue() != "application/json" {
		t.Errorf("headers %v", h)
	}
	for _, r := range routes[1:] {
		if r.GetDirectResponse().GetStatus() == 200 {
			t.Errorf("another document: %v", r)
		}
	}
}

// Lists without elements are left out, and the root API is named without a slash.
func TestMetadataOfPublicAPI(t *testing.T) {
	t.Parallel()
	api := literalAPI("all", "/", "http://b", "*")
	api.ProtectedResource = true
	api.External = []string{"https://api.example.com"}
	api.Operations = []*catalog.Operation{{Methods: []string{"GET"}, Public: true}}
	r := atDocument(mustTranslate(t, literal(api)), api)[0]
	if r.GetMatch().GetPath() != "/.well-known/oauth-protected-resource" {
		t.Fatalf("the first route is %v", r)
	}
	got := body(t, r)
	if _, ok := got["authorization_servers"]; ok || got["scopes_supported"] != nil || got["resource"] != "https://api.example.com" {
		t.Errorf("document %v", got)
	}
}

// Envoy's CORS filter leaves this route alone: each origin has a copy that names it.
func TestMetadataForPages(t *testing.T) {
	t.Parallel()
	api := described()
	api.CORS = openAPI().CORS
	api.CORS.Credentials = true
	routes := atDocument(mustTranslate(t, literal(api)), api)
	for i, origin := range api.CORS.Origins {
		r := routes[i]
		headers := make(map[string]string)
		for _, h := range r.GetResponseHeadersToAdd() {
			headers[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
		}
		want := map[string]string{
			"content-type": "application/json", "vary": "origin",
			"access-control-allow-origin": "%REQ(origin)%", "access-control-allow-credentials": "true",
		}
		if diff := cmp.Diff(want, headers); diff != "" {
			t.Errorf("%s: headers (-want +got):\n%s", origin, diff)
		}
		h := r.GetMatch().GetHeaders()
		if len(h) != 1 || h[0].GetName() != "origin" || h[0].GetInvertMatch() || h[0].GetTreatMissingHeaderAsEmpty() ||
			!matches(t, h[0].GetStringMatch(), strings.Replace(origin, "*", "a", 1)) || matches(t, h[0].GetStringMatch(), "null") {
			t.Errorf("%s: matches %v", origin, h)
		}
		ours(t, r)
	}
	if last := routes[2]; len(last.GetMatch().GetHeaders()) != 0 || last.GetDirectResponse().GetStatus() != 200 || len(last.GetResponseHeadersToAdd()) != 2 {
		t.Errorf("for everybody else there is %v", last)
	}
}

// Envoy's limit is raised as far as ours, and what is longer is named.
func TestMetadataTooLong(t *testing.T) {
	t.Parallel()
	api := described()
	for i := range 3000 {
		api.Operations[0].AllScopes = append(api.Operations[0].AllScopes, fmt.Sprintf("orders.%d", i))
	}
	res := mustTranslate(t, literal(api))
	limit := routerOf(res).table("example.com", api.MetadataPath()).GetMaxDirectResponseBodySizeBytes().GetValue()
	if size := len(atDocument(res, api)[0].GetDirectResponse().GetBody().GetInlineString()); size <= 4096 || size > int(limit) {
		t.Errorf("a document of %d bytes under a limit of %d", size, limit)
	}
	api.Operations[0].AllScopes = append(api.Operations[0].AllScopes, strings.Repeat("x", maxDocumentBytes))
	if _, err := Translate(literal(api), "edge"); err == nil || !strings.Contains(err.Error(), "api orders: resource metadata: ") {
		t.Errorf("error %v", err)
	}
}
