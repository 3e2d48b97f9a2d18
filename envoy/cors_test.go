package envoy

import (
	"strings"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// matches is what Envoy does with the two kinds of matcher that we write.
func matches(t *testing.T, m *matcherv3.StringMatcher, s string) bool {
	t.Helper()
	if re := m.GetSafeRegex().GetRegex(); re != "" {
		return wholeMatch(t, re).MatchString(s)
	}
	if m.GetExact() == "" || m.GetIgnoreCase() {
		t.Fatalf("matcher %v", m)
	}
	return m.GetExact() == s
}

func TestOriginMatcher(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, out []string }{
		"https://example.com": {
			in: []string{"https://example.com"},
			out: []string{
				"", "*", "null", "https://", "example.com", "http://example.com", "https://example.com:8443", "https://example.com.",
				"https://example.com/", "https://example.com.evil", "https://evilexample.com", "https://evil.com#https://example.com",
				"https://a.example.com", "HTTPS://EXAMPLE.COM", "https://Example.com", "https://user@example.com", "https://exampleXcom",
				"https://example.com,https://example.com", "https://example.com,https://evil.com", " https://example.com",
			},
		},
		"https://*.example.com": {
			in: []string{"https://a.example.com", "https://a.b.example.com", "https://xn--bcher-kva.example.com", "https://a_b.example.com"},
			out: []string{
				"", "*", "null", "https://example.com", "https://.example.com", "https://*.example.com", "http://a.example.com", "https://a.example.com:8443",
				"https://evil-example.com", "https://evilexample.com", "https://a.exampleXcom", "https://a.example.com.evil", "https://a.example.com.",
				"https://A.example.com", "https://a.EXAMPLE.com", "https://user@a.example.com", "https://evil.com/a.example.com", "https://evil.com,https://a.example.com",
				"https://a.example.com,https://b.example.com", "https://a.example.com\n", "https://a..example.com", "https://evil.com#.example.com", "https://evil.com:80.example.com",
			},
		},
		"http://*.example.com:8080": {
			in:  []string{"http://a.example.com:8080"},
			out: []string{"http://a.example.com", "http://a.example.com:80", "http://example.com:8080", "http://aexample.com:8080"},
		},
		"http://[::1]:8080": {in: []string{"http://[::1]:8080"}, out: []string{"http://[::1]", "http://::1:8080"}},
	}
	for origin, tt := range tests {
		t.Run(origin, func(t *testing.T) {
			t.Parallel()
			m, err := originMatcher(origin)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range tt.in {
				if !matches(t, m, s) {
					t.Errorf("%q is refused", s)
				}
			}
			for _, s := range tt.out {
				if matches(t, m, s) {
					t.Errorf("%q is let in", s)
				}
			}
		})
	}
}

// What is not an origin is refused, whoever let it through: "*" means any to Envoy.
func TestOriginMatcherRefuses(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"", "*", "null", "example.com", "https://", "://example.com", "https://*", "https://*.", "https://a.*.example.com", "https://*.*"} {
		if m, err := originMatcher(origin); err == nil {
			t.Errorf("%q becomes %v", origin, m)
		}
		api := literalAPI("orders", "/", "http://b", "*")
		api.CORS = &catalog.CORS{Origins: []string{origin}}
		if _, err := Translate(literal(api), "edge"); err == nil || !strings.Contains(err.Error(), "api orders: cors: ") {
			t.Errorf("%q: error %v", origin, err)
		}
	}
}

func openAPI() *catalog.API {
	api := literalAPI("orders", "/orders", "http://b", "*")
	api.Operations = []*catalog.Operation{{Methods: []string{"PUT", "GET"}}, {Methods: []string{"GET", "DELETE"}}}
	api.CORS = &catalog.CORS{
		Origins:       []string{"https://example.com", "https://*.example.com"},
		AllowHeaders:  []string{"authorization", "content-type", "x-more"},
		ExposeHeaders: []string{"retry-after", "www-authenticate"},
		MaxAge:        90 * time.Second,
	}
	return api
}

func TestCORSPolicy(t *testing.T) {
	t.Parallel()
	closed := literalAPI("closed", "/closed", "http://b", "*")
	res := mustTranslate(t, literal(openAPI(), closed))
	seen := make(map[string]int)
	r := routerOf(res)
	for _, path := range []string{"/orders", "/closed"} {
		for _, r := range r.table("example.com", path).GetVirtualHosts()[0].GetRoutes() {
			seen[r.GetName()]++
			if r.GetName() == "orders" {
				letsPagesIn(t, r)
				continue
			}
			if len(r.GetTypedPerFilterConfig()) != 1 || r.GetResponseHeadersToAdd() != nil || r.GetResponseHeadersToRemove() != nil {
				t.Errorf("route %s speaks of pages: %v", r.GetName(), r)
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"orders": 2, "closed": 2, contract.NoAPI: 2}, seen); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

func letsPagesIn(t *testing.T, r *routev3.Route) {
	t.Helper()
	got := new(corsv3.CorsPolicy)
	if err := r.GetTypedPerFilterConfig()[filterCORS].UnmarshalTo(got); err != nil {
		t.Fatal(err)
	}
	want := &corsv3.CorsPolicy{
		AllowOriginStringMatch:       got.GetAllowOriginStringMatch(), // see TestOriginMatcher
		AllowMethods:                 "DELETE,GET,PUT",
		AllowHeaders:                 "authorization,content-type,x-more",
		ExposeHeaders:                "retry-after,www-authenticate",
		MaxAge:                       "90",
		AllowCredentials:             wrapperspb.Bool(false),
		ForwardNotMatchingPreflights: wrapperspb.Bool(true),
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || len(got.GetAllowOriginStringMatch()) != 2 {
		t.Errorf("policy (-want +got):\n%s\nwith origins %v", diff, got.GetAllowOriginStringMatch())
	}
	if v := r.GetResponseHeadersToAdd(); len(v) != 1 || v[0].GetHeader().GetKey() != "vary" || v[0].GetHeader().GetValue() != "origin" {
		t.Errorf("headers of answers: %v", v)
	}
}
