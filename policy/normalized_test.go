package policy_test

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/token"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

var (
	unreservedEscape = regexp.MustCompile(`(?i)%(?:2d|2e|5f|7e|3[0-9]|[46][1-9a-f]|[57][0-9a])`)
	slashEscape      = regexp.MustCompile(`(?i)%2f|%5c`)
	pathParameter    = regexp.MustCompile(`;[^/]*`)
	manySlashes      = regexp.MustCompile(`/+`)
)

func unescape(p string) string {
	decoded, err := url.PathUnescape(p)
	if err != nil {
		return p
	}
	return decoded
}

// structure is what a path is once every separator that some reader knows has been
// acted on: as Envoy normalises (backslashes, merged slashes), then RFC 3986 section 5.2.4.
func structure(p string) string {
	p = manySlashes.ReplaceAllString(strings.ReplaceAll(p, `\`, "/"), "/")
	directory := strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..")
	if p = path.Clean(p); directory && p != "/" {
		p += "/"
	}
	return p
}

func unreserved(p string) string { return unreservedEscape.ReplaceAllStringFunc(p, unescape) }

// readings are what proxies and servers make of a path: Envoy's normalisation and its
// options, and what a server sees that decodes, before or after it looks for structure.
var readings = map[string]func(string) string{
	"as Envoy normalises":         func(p string) string { return structure(unreserved(p)) },
	"with encoded slashes turned": func(p string) string { return structure(unreserved(slashEscape.ReplaceAllString(p, "/"))) },
	"structured alone":            structure,
	"decoded":                     unescape,
	"decoded, structured":         func(p string) string { return structure(unescape(p)) },
	"structured, decoded":         func(p string) string { return unescape(structure(p)) },
	"decoded twice":               func(p string) string { return unescape(unescape(p)) },
	"decoded twice, structured":   func(p string) string { return structure(unescape(unescape(p))) },
	"without parameters":          func(p string) string { return structure(pathParameter.ReplaceAllString(p, "")) },
	"without parameters, decoded": func(p string) string { return structure(unescape(pathParameter.ReplaceAllString(p, ""))) },
	"cut at NUL":                  func(p string) string { before, _, _ := strings.Cut(unescape(p), "\x00"); return before },
	"cut at a fragment":           func(p string) string { before, _, _ := strings.Cut(p, "#"); return before },
}

// pathWorld has an operation for each of the readings that an attacker may want.
func pathWorld(t *testing.T) *catalog.Catalogue {
	t.Helper()
	cfg := proto.CloneOf(config())
	cfg.Apis[0].Operations = nil
	for _, template := range []string{"/", "/{id}", "/{id}/", "/{id}/items", "/admin", "/admin/", "/admin/{id}", "/admin/**", "/a/b", "/a/{x}/b", "/files/**"} {
		cfg.Apis[0].Operations = append(cfg.Apis[0].Operations, &durwardv1.Operation{
			Methods: []string{"GET"}, Path: template, Scopes: &durwardv1.Scopes{All: []string{"orders.read"}},
		})
	}
	other := proto.CloneOf(cfg.Apis[0])
	other.Name, other.Frontend.Path = "root", "/"
	cfg.Apis = append(cfg.Apis, other)
	cfg.Grants = append(cfg.Grants, &durwardv1.Grant{Api: "root", Organization: "retail", AllApplications: true})
	return compile(t, cfg)
}

// answer routes and judges as gateway and Decide do, and names the operation.
func answer(cat *catalog.Catalogue, path string) string {
	api := cat.Route("api.example.com", path)
	if api == nil {
		return ""
	}
	d := policy.Decide(cat, get(func(r *policy.Request) { r.API, r.Path = api.Name, path }), policy.Witness{Verify: believed(func(c *token.Claims) {
		c.Scopes = []string{"orders.read"}
	}), Now: clock},

		nil)

	if !d.Allowed() {
		return ""
	}
	return d.API.Name + " " + d.Operation.Path.String()
}

// TestP08 (P08): whatever another reader makes of an allowed path, it is
// denied or is the same operation of the same API. It sweeps %00 to %ff, escaped,
// raw and escaped twice, over every place of some paths.
func TestP08(t *testing.T) {
	t.Parallel()
	cat := pathWorld(t)
	allowed, rewritten := 0, 0
	for _, base := range []string{"/orders/admin", "/orders/7/items", "/orders/a/b", "/orders/files/a/admin", "/orders", "/orders/", "/admin/x", "/orders/files/../admin", "/admin/./7"} {
		for at := 1; at <= len(base); at++ {
			for c := range 256 {
				for _, piece := range []string{fmt.Sprintf("%%%02x", c), fmt.Sprintf("%%%02X", c), fmt.Sprintf("%%25%02x", c), string([]byte{byte(c)}), "..%2f", "%2e%2e/", "..;/", `..\`} {
					if len(piece) > 3 && piece[0] != '%' && c > 0 {
						continue // once is enough
					}
					inserted := base[:at] + piece + base[at:]
					replaced := base[:at-1] + piece + base[at:]
					for _, p := range []string{inserted, replaced} {
						a, r := readAlike(t, cat, p)
						allowed, rewritten = allowed+a, rewritten+r
					}
				}
			}
		}
	}
	if allowed == 0 || rewritten == 0 {
		t.Errorf("%d paths were allowed, %d of their readings differ", allowed, rewritten)
	}
	t.Logf("%d paths were allowed, %d of their readings differ", allowed, rewritten)
}

// readAlike counts whether p is allowed, and how many readings of it are other paths.
func readAlike(t *testing.T, cat *catalog.Catalogue, p string) (allowed, rewritten int) {
	t.Helper()
	if strings.Contains(p, "?") {
		return 0, 0
	}
	want := answer(cat, p)
	if want == "" {
		return 0, 0
	}
	for name, read := range readings {
		q := read(p)
		if q == p || strings.Contains(q, "?") {
			continue // a query is no part of the path that is matched
		}
		rewritten++
		if got := answer(cat, q); got != "" && got != want {
			t.Errorf("%q is %s; %s it is %q: %s", p, want, name, q, got)
		}
	}
	return 1, rewritten
}
