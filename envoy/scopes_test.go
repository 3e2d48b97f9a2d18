package envoy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"pgregory.net/rapid"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// router finds routes as Envoy does with the listener that we write.
type router map[place]*routev3.RouteConfiguration

func routerOf(res Resources) router {
	tables := make(map[string]*routev3.RouteConfiguration)
	for _, rc := range res.Routes {
		tables[rc.GetName()] = rc
	}
	r := make(router)
	for _, s := range res.Scopes {
		parts := s.GetKey().GetFragments()
		r[place{parts[0].GetStringKey(), parts[1].GetStringKey()}] = tables[s.GetRouteConfigurationName()]
	}
	return r
}

// table does what the header and the two scripts do.
func (r router) table(host, path string) *routev3.RouteConfiguration {
	segment := strings.Split(path, "/")[1]
	lower := strings.ToLower(host)
	for _, p := range []place{{"=" + host, segment}, {"=" + lower, segment}, {"=" + lower, ""}} {
		if rc := r[p]; rc != nil {
			return rc
		}
	}
	return r[place{"#", fmt.Sprint(bucketOf(segment))}]
}

// choose does what Envoy does with host and path: in the table, an exact virtual host,
// else the longest wildcard, else any; in it the first route that matches.
func (r router) choose(t interface{ Fatalf(string, ...any) }, host, path string) (route *routev3.Route, rewritten string) {
	rc := r.table(host, path)
	host = strings.ToLower(host)
	var chosen *routev3.VirtualHost
	best := -1
	for _, vh := range rc.GetVirtualHosts() {
		d, score := vh.GetDomains()[0], -1
		switch {
		case d == host:
			score = 1000
		case d == "*":
			score = 0
		case strings.HasPrefix(d, "*") && len(host) > len(d)-1 && strings.HasSuffix(host, d[1:]):
			score = len(d)
		}
		if score > best {
			chosen, best = vh, score
		}
	}
	for _, r := range chosen.GetRoutes() {
		if len(r.GetMatch().GetHeaders()) > 0 { // for pages of other origins
			continue
		}
		if r.GetMatch().GetPath() == path {
			return r, r.GetRoute().GetPrefixRewrite()
		}
		if prefix := r.GetMatch().GetPrefix(); prefix != "" && strings.HasPrefix(path, prefix) {
			return r, r.GetRoute().GetPrefixRewrite() + path[len(prefix):]
		}
	}
	t.Fatalf("no route for %s%s", host, path)
	return nil, ""
}

// Whatever the hosts and paths of a catalogue, and of a request, Envoy's choice is the
// catalogue's.
func TestScopesRouteAsTheCatalogueDoes(t *testing.T) {
	t.Parallel()
	labels := rapid.SampledFrom([]string{"a", "b", "c"})
	segments := rapid.SampledFrom([]string{"x", "y", "z", ".well-known", "oauth-protected-resource"})
	join := func(parts []string, by string) string { return strings.Join(parts, by) }
	var answered, wide int
	rapid.Check(t, func(t *rapid.T) {
		host := rapid.Custom(func(t *rapid.T) string { return join(rapid.SliceOfN(labels, 1, 3).Draw(t, "labels"), ".") })
		path := rapid.Custom(func(t *rapid.T) string { return "/" + join(rapid.SliceOfN(segments, 0, 3).Draw(t, "segments"), "/") })
		cat := literal()
		taken := make(map[string]bool)
		for i := range rapid.IntRange(0, 12).Draw(t, "apis") {
			api := literalAPI(fmt.Sprintf("api-%02d", i), path.Draw(t, "base"), "http://b")
			for range rapid.IntRange(1, 3).Draw(t, "hosts") {
				h := rapid.SampledFrom([]string{"", "", "*."}).Draw(t, "wildcard") + host.Draw(t, "host")
				if rapid.IntRange(0, 4).Draw(t, "any") == 0 {
					h = "*"
				}
				if !taken[h+api.BasePath] {
					taken[h+api.BasePath] = true
					api.Hosts = append(api.Hosts, h)
				}
			}
			if len(api.Hosts) > 0 {
				cat.APIs = append(cat.APIs, api)
			}
		}
		res, err := Translate(cat, "edge")
		if err != nil {
			t.Fatal(err)
		}
		r := routerOf(res)
		for range 50 {
			h, p := host.Draw(t, "asked host"), path.Draw(t, "asked path")
			want := contract.NoAPI
			if api := cat.Route(h, p); api != nil {
				want = api.Name
				answered++
				if api.Hosts[0][0] == '*' {
					wide++
				}
			}
			for _, spelled := range []string{h, strings.ToUpper(h)} {
				if got, _ := r.choose(t, spelled, p); got.GetName() != want {
					t.Fatalf("%s%s: Envoy chooses %s, the catalogue %s", spelled, p, got.GetName(), want)
				}
			}
		}
	})
	if answered < 100 || wide < 100 {
		t.Errorf("%d requests met an API, %d one of a wildcard host", answered, wide)
	}
}

// crowd is a catalogue of n APIs, on hosts of ten or all on one.
func crowd(n int, oneHost bool) *catalog.Catalogue {
	cat := literal()
	for i := range n {
		host, name := fmt.Sprintf("team-%d.example.com", i%max(n/10, 1)), fmt.Sprintf("api-%05d", i)
		if oneHost {
			host = "api.example.com"
		}
		cat.APIs = append(cat.APIs, literalAPI(name, "/"+name, fmt.Sprintf("http://backend-%d.internal:8080/%s", i%4, name), host))
	}
	return cat
}

// What changing, adding or removing one API among ten thousand sends stays small, and
// the listener is no part of it.
func TestOneChangeAmongManySendsLittle(t *testing.T) {
	t.Parallel()
	anyHost := crowd(10_000, false)
	for _, api := range anyHost.APIs {
		api.Hosts = []string{"*"}
	}
	for name, cat := range map[string]*catalog.Catalogue{
		"a thousand hosts": crowd(10_000, false), "one host": crowd(10_000, true), "any host": anyHost,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := mustTranslate(t, cat).bytes(t)
			i := rand.IntN(len(cat.APIs))
			slower := *cat.APIs[i]
			slower.Backends = slices.Clone(slower.Backends)
			slower.Backends[0].Timeout *= 2
			one := func(host string) *catalog.API {
				return literalAPI("new", "/new", "http://backend-1.internal:8080", host)
			}
			elsewhere := *cat.APIs[i]
			elsewhere.BasePath = "/elsewhere"
			for what, apis := range map[string][]*catalog.API{
				"move":               slices.Replace(slices.Clone(cat.APIs), i, i+1, &elsewhere),
				"change":             slices.Replace(slices.Clone(cat.APIs), i, i+1, &slower),
				"removal":            slices.Delete(slices.Clone(cat.APIs), i, i+1),
				"addition":           append(slices.Clone(cat.APIs), one(slower.Hosts[0])),
				"addition of a host": append(slices.Clone(cat.APIs), one("new.example.com")),
			} {
				next := *cat
				next.APIs = apis
				resources, size := difference(before, mustTranslate(t, &next).bytes(t))
				most := 3
				if what == "move" {
					most++ // a scope goes
				}
				if resources == 0 || resources > most || size > 16<<10 {
					t.Errorf("%s of %s: %d resources, %d bytes", what, slower.Name, resources, size)
				}
				t.Logf("%s of %s: %d resources, %d bytes", what, slower.Name, resources, size)
			}
			// No table is so large that a change of another API would send more.
			for name, b := range before {
				if len(b) > 16<<10 {
					t.Errorf("%s has %d bytes", name, len(b))
				}
			}
		})
	}
}

// The documents of a host's APIs share a table, which a change of a backend is not in.
func TestChangeOfABackendSendsNoDocument(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"/", "/new"} {
		cat := crowd(1_000, true)
		cat.APIs = append(cat.APIs, literalAPI("new", base, "http://backend-1.internal:8080", "api.example.com"))
		for _, api := range cat.APIs {
			api.ProtectedResource, api.External = true, []string{"https://api.example.com"}
		}
		before := mustTranslate(t, cat)
		next := *cat
		next.APIs = slices.Clone(cat.APIs)
		slower := *cat.APIs[500]
		slower.Backends = slices.Clone(slower.Backends)
		slower.Backends[0].Timeout *= 2
		next.APIs[500] = &slower
		after, err := before.Next(&next, "edge")
		if err != nil {
			t.Fatal(err)
		}
		if resources, size := difference(before.bytes(t), after.bytes(t)); resources == 0 || resources > 3 || size > 16<<10 {
			t.Errorf("beside an API at %s: %d resources, %d bytes", base, resources, size)
		}
		for _, rc := range after.Routes {
			documents, apis := 0, make(map[string]bool)
			for _, vh := range rc.GetVirtualHosts() {
				for _, r := range vh.GetRoutes() {
					if r.GetRoute() != nil {
						apis[r.GetName()] = true
					} else if r.GetName() != contract.NoAPI {
						documents++
					}
				}
			}
			if documents > 0 && documents < 1_001 || documents > 0 && len(apis) > 10 {
				t.Errorf("table %s has %d documents and %d APIs", rc.GetName(), documents, len(apis))
			}
		}
	}
}

// difference counts the resources that a change sends or removes, and the bytes.
func difference(before, after map[string]string) (resources, size int) {
	for name, b := range after {
		if before[name] != b {
			resources++
			size += len(b)
		}
	}
	for name := range before {
		if _, kept := after[name]; !kept {
			resources++
			size += len(name)
		}
	}
	return resources, size
}

// A scope that came to point elsewhere would point to nothing for a moment.
func TestScopesOfHostsKeepTheirTable(t *testing.T) {
	t.Parallel()
	small, large := routerOf(mustTranslate(t, crowd(100, true))), routerOf(mustTranslate(t, crowd(1000, true)))
	for p, rc := range small {
		if p.host != "#" && large[p].GetName() != rc.GetName() {
			t.Errorf("%s: table %s, with more APIs %s", p, rc.GetName(), large[p].GetName())
		}
	}
}

// Requests for hosts and paths of nobody meet a catch-all that is checked, in every
// layout.
func TestEveryRequestHasATable(t *testing.T) {
	t.Parallel()
	for _, cat := range []*catalog.Catalogue{literal(), crowd(100, true), literal(literalAPI("all", "/", "http://b", "*.example.com"))} {
		r := routerOf(mustTranslate(t, cat))
		for bucket := range buckets {
			rc := r[place{"#", fmt.Sprint(bucket)}]
			if rc == nil {
				t.Fatalf("bucket %d has no table", bucket)
			}
			endsInCatchAll(t, rc)
		}
	}
}

// The scripts and the translation must count alike: see also the tests on real Envoy.
func TestScriptsKnowTheConstants(t *testing.T) {
	t.Parallel()
	for _, want := range []string{
		fmt.Sprintf(" %% %d)", buckets), fmt.Sprintf("#segment, %d)", hashedBytes), fmt.Sprintf(`replace(%q, "%s/" ..`, headerShard, bucketMark),
	} {
		if !strings.Contains(restScript, want) {
			t.Errorf("rest.lua lacks %q", want)
		}
	}
	if want := fmt.Sprintf("replace(%q, %q .. lower", headerShard, hostMark); strings.Count(hostScript, want) != 2 {
		t.Errorf("host.lua lacks %q, twice", want)
	}
}
