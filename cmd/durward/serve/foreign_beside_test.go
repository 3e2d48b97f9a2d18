package serve

import "testing"

// TestForeignBesideOurs: an Envoy of our own asks at the same port as a foreign one. What
// its routes say of an API counts, and its catch-all stays a denial where host and path
// would find one.
func TestForeignBesideOurs(t *testing.T) {
	t.Parallel()
	f := newForeign(t, plainFilter, `listen: "127.0.0.1:10000"`, `listen: "127.0.0.1:0"`,
		"\ngateways:\n", "\ngateways:\n  - { name: inner, listen: \"127.0.0.1:0\", url: \"http://127.0.0.1:10001\" }\n",
		"  - name: vault\n", "  - name: vault\n    gateways: [inner]\n",
		"  - name: watched\n", "  - name: watched\n    gateways: [inner]\n")
	alice := f.token(t, "mobile", "alice", "orders.read")
	ours := *f
	ours.gateway = (&world{Server: f.Server}).gateway(t)
	const vault = "host: vault.example.com\r\n"
	for _, c := range []struct{ path, lines, foreign, ours string }{
		{"/orders/7", "", "200", "200"},
		{"/orders/a!", "", foreignMalformed, foreignMalformed}, // neither says which byte it was
		{"/vault/keys", vault, "200", "404 api_unknown"},
		{"/vault/keys", "", "404 api_unknown", "404 api_unknown"},
		{"/watched/items", "", "200", "404 api_unknown"},
		{"/nothing", "", "404 api_unknown", "404 api_unknown"},
	} {
		for name, at := range map[string]struct {
			*foreign
			want string
		}{"foreign": {f, c.foreign}, "ours": {&ours, c.ours}} {
			got := at.send(t, "GET "+c.path, alice, c.lines)
			if seen := f.backend.take(); got.String() != at.want || (at.want == "200") != (len(seen) == 1) {
				t.Errorf("%s, %s %s: %s, want %s; the backend saw %v", name, c.path, c.lines, got, at.want, seen)
			}
		}
	}
}

// TestForeignRoutesNameTheAPI: a route's context extension of another control plane is
// believed, if the API answers at the host and the path, and no other is looked for.
func TestForeignRoutesNameTheAPI(t *testing.T) {
	t.Parallel()
	f := newForeign(t, plainFilter)
	alice := f.token(t, "mobile", "alice", "orders.read")
	const route = "route: { cluster: backend }"
	for api, want := range map[string][3]string{ // of orders, files and vault
		"orders": {"200", "404 api_unknown", "404 api_unknown"},
		"files":  {"404 api_unknown", "200", "404 api_unknown"},
		"vault":  {"404 api_unknown", "404 api_unknown", "200"},
		"-":      {"404 api_unknown", "404 api_unknown", "404 api_unknown"},
		"gone":   {"404 api_unknown", "404 api_unknown", "404 api_unknown"},
	} {
		g := f.beside(t, route, route+`, typed_per_filter_config: { envoy.filters.http.ext_authz: { "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, check_settings: { context_extensions: { durward.api: "`+api+`" } } } }`)
		for i, path := range []string{"/orders/7", "/files/a", "/vault/keys"} {
			g.wants(t, api, "GET "+path, alice, "host: vault.example.com\r\n", want[i])
		}
		g.wants(t, api, "GET /watched/../orders/7", alice, "host: vault.example.com\r\n", foreignMalformed)
	}
}
