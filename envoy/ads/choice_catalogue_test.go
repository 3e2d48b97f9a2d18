package ads_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/durward/durward/policy/catalog"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const wellKnown = ".well-known/oauth-protected-resource"

// Words are so few that hosts nest, paths begin alike, and requests meet APIs. Of the
// segments, two pairs share a bucket: short ones, and ones that differ behind what is
// hashed; and two are numbers of buckets.
var (
	labels   = []string{"a", "a", "b", "b", "example", "com", "a_b", "xn--nme-ela", "7", strings.Repeat("l", 63)}
	numbers  = []string{"[2001:db8::1]", "[::1]", "192.0.2.7"}
	segments = []string{
		"x", "x", "y", "y", "X", "orders", "ordersx", "az", "ib", "5", "5", "53", "0", "a%20b", "%C3%A9", "~!$&'()+,=:@", "...", ".well-known", wellKnown,
		strings.Repeat("s", 64), strings.Repeat("s", 64) + "-1", strings.Repeat("s", 64) + "-2",
	}

	drawnHost = rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 19).Draw(t, "numeric") == 0 {
			return rapid.SampledFrom(numbers).Draw(t, "address")
		}
		list := rapid.SliceOfN(rapid.SampledFrom(labels), 1, 3).Draw(t, "labels")
		return strings.Join(list, ".")
	})
	drawnPath = rapid.Custom(func(t *rapid.T) string {
		return "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(segments), 0, 3).Draw(t, "segments"), "/")
	})
	// drawnPattern may be any of an API's hosts.
	drawnPattern = rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0, 1, 2:
			if host := drawnHost.Draw(t, "domain"); !slices.Contains(numbers, host) {
				return "*." + host
			}
			return "*"
		case 3:
			return "*"
		default:
			return drawnHost.Draw(t, "host")
		}
	})
)

// drawBackends draws one of many ways to say that all requests go to the addresses.
func drawBackends(t *rapid.T, a *durwardv1.API, addresses []string) {
	root := drawnPath.Draw(t, "root")
	if rapid.Bool().Draw(t, "no root") {
		root = ""
	}
	var timeout, idle *durationpb.Duration
	if rapid.Bool().Draw(t, "timeouts") {
		// Not so short that they end a request before it is checked.
		timeout = durationpb.New(time.Duration(rapid.IntRange(20_000, 3_600_000).Draw(t, "ms")) * time.Millisecond)
		idle = durationpb.New(time.Duration(rapid.IntRange(20, 3600).Draw(t, "s")) * time.Second)
	}
	protocols := rapid.SampledFrom([][]string{{"", "http1"}, {"http1", "http2"}, {"http2"}, {"grpc"}}).Draw(t, "protocols")
	retries := uint32(0)
	if protocols[0] != "grpc" {
		retries = rapid.Uint32Range(0, 5).Draw(t, "retries")
	}
	a.Backend = nil
	for _, address := range addresses[:rapid.SampledFrom([]int{1, 1, 1, 2, len(addresses)}).Draw(t, "backends")] {
		b := &durwardv1.Backend{
			Url: rapid.SampledFrom([]string{"http://", "http://", "https://"}).Draw(t, "scheme") + address + root, Timeout: timeout, IdleTimeout: idle, Retries: retries,
			Protocol: rapid.SampledFrom(protocols).Draw(t, "protocol"), Weight: rapid.Uint32Range(1, 1000).Draw(t, "weight"),
		}
		if strings.HasPrefix(b.Url, "https:") && rapid.Bool().Draw(t, "named") {
			b.Tls = &durwardv1.BackendTLS{Sans: []string{"b.example.com", "192.0.2.1", "2001:db8::1", "spiffe://example.com/b"}}
		}
		a.Backends = append(a.Backends, b)
	}
	if len(a.Backends) == 1 {
		a.Backend, a.Backends = a.Backends[0], nil
		a.Backend.Weight = 0
	}
	switch streams := rapid.IntRange(0, 3).Draw(t, "streams"); {
	case streams == 0 && protocols[0] == "":
		a.Websocket = &durwardv1.Websocket{MaxDuration: durationpb.New(2 * time.Hour)}
	case streams == 1 && protocols[0] != "grpc":
		a.MaxRequestBytes = rapid.Uint32Range(1, 64<<20).Draw(t, "bytes")
	}
}

// drawAPI draws an API of the places that are not taken; nil if there is none. Where it
// is not wide, no wildcard host has the base path "/", which takes a thousand tables to
// say.
func drawAPI(t *rapid.T, name string, addresses []string, wide bool, taken map[string]bool) *durwardv1.API {
	a := api(name, drawnPath.Draw(t, "base"), "")
	a.Frontend.Hosts = nil
	for _, host := range rapid.SliceOfNDistinct(drawnPattern, 1, 3, rapid.ID).Draw(t, "hosts") {
		place := host + " " + a.Frontend.Path
		if !taken[place] && (wide || a.Frontend.Path != "/" || host[0] != '*') {
			taken[place] = true
			a.Frontend.Hosts = append(a.Frontend.Hosts, host)
		}
	}
	if a.Frontend.Hosts == nil {
		return nil
	}
	drawBackends(t, a, addresses)
	a.Gateways = rapid.SampledFrom([][]string{nil, nil, nil, {"edge"}, {"inner", "edge"}, {"inner"}}).Draw(t, "gateways")
	if once(t, 12, "unpublished") {
		a.Published = proto.Bool(false)
	}
	if once(t, 3, "protected") {
		a.ProtectedResource = true
		a.Frontend.External = []string{"https://api.example.com"}
	}
	if once(t, 3, "pages") {
		a.Cors = &durwardv1.CORS{AllowOrigins: rapid.SampledFrom([][]string{
			{pageOrigin}, {"https://*.example.com"}, {"http://localhost:3000", pageOrigin},
		}).Draw(t, "origins"), AllowCredentials: rapid.Bool().Draw(t, "credentials")}
	}
	return a
}

// drawCatalogue draws mostly a few dozen APIs, and now and then some hundreds. Whatever
// of them is allowed would go to the addresses.
func drawCatalogue(t *rapid.T, g *gateway, addresses []string) *catalog.Catalogue {
	n, wide := rapid.IntRange(0, 60).Draw(t, "APIs"), once(t, 8, "wide")
	switch {
	case wide:
		n = min(n, 15)
	case once(t, 12, "crowd"):
		n = rapid.IntRange(200, 400).Draw(t, "more APIs")
	}
	cfg := &durwardv1.Config{
		Version: 1,
		Gateways: []*durwardv1.Gateway{
			{Name: "edge", Listen: "127.0.0.1:0", Url: "http://127.0.0.1:10000"},
			{Name: "inner", Listen: "127.0.0.1:0", Url: "http://127.0.0.1:10001"},
		},
		Listeners: &durwardv1.Listeners{
			Check: &durwardv1.Listener{Address: g.check},
			Xds:   &durwardv1.Listener{Address: g.xds},
		},
	}
	taken := make(map[string]bool)
	for i := range n {
		if a := drawAPI(t, fmt.Sprint("api-", i), addresses, wide, taken); a != nil {
			cfg.Apis = append(cfg.Apis, a)
		}
	}
	separate(cfg, once(t, 3, "no documents"))
	cat, findings := catalog.Compile(cfg, nil)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	return cat
}

// separate leaves APIs where documents are, or else documents: Compile refuses both.
func separate(cfg *durwardv1.Config, noDocuments bool) {
	if !noDocuments {
		cfg.Apis = slices.DeleteFunc(cfg.Apis, func(a *durwardv1.API) bool { return strings.HasPrefix(a.Frontend.Path, "/"+wellKnown) })
		return
	}
	for _, a := range cfg.Apis {
		a.ProtectedResource = false
	}
}

// servedBy is what there is of a catalogue at one gateway.
func servedBy(gateway string, cat *catalog.Catalogue) *catalog.Catalogue {
	part := *cat
	part.APIs = slices.DeleteFunc(slices.Clone(cat.APIs), func(a *catalog.API) bool { return !a.ServedBy(gateway) })
	return &part
}

// listed is a catalogue as people compare it with a request.
func listed(cat *catalog.Catalogue) string {
	var b strings.Builder
	for _, a := range cat.APIs {
		fmt.Fprintf(&b, "%s: %s on %s, metadata %q, cors %t\n", a.Name, a.BasePath, strings.Join(a.Hosts, " "), a.MetadataPath(), a.CORS != nil)
	}
	return b.String()
}
