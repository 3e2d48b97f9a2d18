package envoy

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

func wholeMatch(t *testing.T, expression string) *regexp.Regexp {
	t.Helper()
	re, err := regexp.Compile("^(?:" + expression + ")$")
	if err != nil {
		t.Fatal(err)
	}
	return re
}

// expected is the rule in the catalogue's own words: of the APIs that serve the host
// and whose base path covers the path, the longest base path, then the host that says
// most.
func expected(apis []*catalog.API, host, path string) *catalog.API {
	var best *catalog.API
	bestHost := 0
	for _, api := range apis {
		base := strings.TrimSuffix(api.BasePath, "/")
		if !api.ServesHost(host) || (path != api.BasePath && !strings.HasPrefix(path, base+"/")) {
			continue
		}
		says := 0
		for _, h := range api.Hosts {
			if (&catalog.API{Hosts: []string{h}}).ServesHost(host) {
				n := len(h)
				if h == host {
					n = 1000
				}
				says = max(says, n)
			}
		}
		if best == nil || len(api.BasePath) > len(best.BasePath) ||
			(len(api.BasePath) == len(best.BasePath) && says > bestHost) {
			best, bestHost = api, says
		}
	}
	return best
}

var (
	hostPatterns = []string{"*", "*.example.com", "*.a.example.com", "a.example.com", "b.a.example.com", "example.com", "[::1]"}
	basePaths    = []string{"/", "/a", "/b", "/ab", "/a/b", "/a/b/c", "/a/b-c"}
	backends     = []string{"http://one", "http://one:80", "https://one", "http://two/v2", "https://192.0.2.1:8443/a/b", "http://[::1]:8080"}
	callHosts    = []string{"a.example.com", "b.a.example.com", "c.b.a.example.com", "x.example.com", "example.com", "other.org", "[::1]"}
	callPaths    = []string{"/", "/a", "/a/", "/a/7", "/ab", "/abc", "/a/b", "/a/b/", "/a/b/c", "/a/b/c/d/", "/a/b-c/x", "/b/a", "/z"}
)

func drawAPIs(t *rapid.T) []*catalog.API {
	taken := make(map[string]bool)
	var apis []*catalog.API
	for i := range rapid.IntRange(0, 8).Draw(t, "apis") {
		api := &catalog.API{Name: fmt.Sprintf("api-%d", i), BasePath: rapid.SampledFrom(basePaths).Draw(t, "base"), Gateways: []*catalog.Gateway{literalEdge}}
		for _, h := range rapid.SliceOfNDistinct(rapid.SampledFrom(hostPatterns), 1, 3, rapid.ID).Draw(t, "hosts") {
			if !taken[h+api.BasePath] {
				taken[h+api.BasePath] = true
				api.Hosts = append(api.Hosts, h)
			}
		}
		u, err := url.Parse(rapid.SampledFrom(backends).Draw(t, "backend"))
		if err != nil {
			t.Fatal(err)
		}
		b := catalog.Backend{URL: u, Timeout: time.Duration(rapid.IntRange(1, 3600).Draw(t, "s")) * time.Second}
		if u.Scheme == "https" && rapid.Bool().Draw(t, "own authority") {
			b.TLS.CAFile = "/ca.pem"
		}
		api.Backends = []catalog.Backend{b}
		if len(api.Hosts) > 0 {
			apis = append(apis, api)
		}
	}
	return apis
}

func TestRoutesChooseTheLongestBasePath(t *testing.T) {
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
				route, rewritten := r.choose(t, host, path)
				api := expected(cat.APIs, host, path)
				if api == nil {
					if route.GetName() != contract.NoAPI || route.GetRoute() != nil {
						t.Fatalf("%s%s goes to %s, not to the catch-all", host, path, route.GetName())
					}
					continue
				}
				if route.GetName() != api.Name || route.GetRoute().GetCluster() != clusterName(api.Backends[0]) {
					t.Fatalf("%s%s goes to %s, not to %s", host, path, route.GetName(), api.Name)
				}
				want := api.Backends[0].URL.Path + strings.TrimPrefix(path, strings.TrimSuffix(api.BasePath, "/"))
				if path == api.BasePath {
					want = api.Backends[0].URL.Path
				}
				if want == "" {
					want = "/"
				}
				if rewritten != want {
					t.Fatalf("%s%s becomes %s, want %s", host, path, rewritten, want)
				}
			}
		}
	})
}

// A response may take longer than connections may otherwise be silent.
func TestLongTimeoutOutlivesIdleTimeout(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]time.Duration{time.Second: 0, streamIdle: 0, time.Hour: time.Hour} {
		api := literalAPI("slow", "/", "http://b", "*")
		api.Backends[0].Timeout = timeout
		action := forward(api, "/").Route
		if got := action.GetIdleTimeout().AsDuration(); got != want || action.GetTimeout().AsDuration() != timeout {
			t.Errorf("timeout %v: idle timeout %v, want %v", timeout, got, want)
		}
	}
}
