package difference_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/difference"
	"github.com/durward/durward/policy/catalog/source"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const base = `version: 1
gateways: [ { name: edge, listen: "127.0.0.1:10000", url: "http://127.0.0.1:10000" } ]
authorization_servers:
  - { name: default, issuer: "https://example.okta.com/oauth2/default", audience: "api://default", introspection: { client_id: 0oaGATEWAY, client_secret_file: secret } }
token_policies:
  - { name: users, authorization_server: default, verify: both, max_age: 30s, claims: [ { claim: sub, one_of: [gold, silver] } ] }
  - { name: loose, authorization_server: default, verify: jwt, machine_tokens: true }
organizations:
  - { name: retail, applications: [ { name: mobile, client_ids: [0oaMOBILE, 0oaTABLET] }, { name: web, client_ids: [0oaWEB] } ] }
  - { name: supply, applications: [ { name: depot, client_ids: [0oaDEPOT] } ] }
apis:
  - name: items
    frontend: { hosts: ["*"], path: /items }
    backend: { url: "http://127.0.0.1:1" }
    token_policy: loose
    operations: [ { methods: [GET], path: "/", public: true } ]
  - name: orders
    frontend: { hosts: [shop.example.com, api.example.com], path: /orders }
    backend: { url: "http://127.0.0.1:1" }
    token_policy: users
    operations:
      - { methods: [GET, HEAD], path: "/{id}", scopes: { all: [read, write] } }
      - { methods: [POST], path: "/", scopes: { any: [write, admin] }, rule: "token.sub != ''", max_auth_age: 5m, acr_values: [phr, phrh] }
grants:
  - { api: orders, organization: retail, applications: [mobile] }
denials: [ { user_id: 00uEVE, reason: gone }, { token_id: AT.1, until: 2030-01-01T00:00:00Z, reason: lost } ]
`

var now = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

func parse(t testing.TB, text string) *catalog.Catalogue {
	t.Helper()
	cat, findings := source.Parse("durward.yaml", []byte(text))
	if cat == nil {
		t.Fatalf("findings: %v\n%s", findings, text)
	}
	return cat
}

// edit replaces pairs, each of which must be there.
func edit(t testing.TB, pairs ...string) string {
	t.Helper()
	text := base
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("there is no %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func told(rows []difference.Row) []string {
	lines := []string{}
	for _, r := range rows {
		line := fmt.Sprintf("%s %s [%s] [%s]", r.Direction, r.API, strings.Join(r.Operations, ", "), strings.Join(r.Callers, ", "))
		for _, c := range r.Changes {
			line += fmt.Sprintf(" %s %s: %s -> %s", c.Direction, c.What, c.Before, c.After)
		}
		lines = append(lines, line)
	}
	return lines
}

const (
	reads = "GET /orders/{id}, HEAD /orders/{id}"
	every = reads + ", POST /orders"
)

// edits are changes of the base, by name, and what they do to access.
var edits = map[string]struct {
	pairs []string
	want  []string
}{
	"nothing":         {nil, []string{}},
	"comment":         {[]string{"grants:", "# who\ngrants:"}, []string{}},
	"backend":         {[]string{"http://127.0.0.1:1", "http://127.0.0.1:2"}, []string{}},
	"grant":           {[]string{"[mobile] }", "[mobile, web] }"}, []string{"widened orders [" + every + "] [retail/web] widened grant: none -> granted"}},
	"grant of all":    {[]string{"applications: [mobile] }", "all_applications: true }"}, []string{"widened orders [" + every + "] [retail/web] widened grant: none -> granted"}},
	"grant to others": {[]string{"denials:", "  - { api: orders, organization: supply, all_applications: true }\ndenials:"}, []string{"widened orders [" + every + "] [supply/depot] widened grant: none -> granted"}},
	"no grant":        {[]string{"[mobile] }", "[] }"}, []string{"narrowed orders [" + every + "] [retail/mobile] narrowed grant: granted -> none"}},
	"application off": {[]string{"0oaTABLET] }", "0oaTABLET], enabled: false }"}, []string{"narrowed orders [" + every + "] [retail/mobile] narrowed application: enabled -> disabled"}},
	"organization":    {[]string{"{ name: retail, app", "{ name: retail, enabled: false, app"}, []string{"narrowed orders [" + every + "] [retail/mobile] narrowed organization: enabled -> disabled"}},
	"client id":       {[]string{"0oaMOBILE, 0oaTABLET", "0oaMOBILE, 0oaNEW"}, []string{"changed orders [" + every + "] [retail/mobile] changed clients: 0oaMOBILE 0oaTABLET -> 0oaMOBILE 0oaNEW"}},
	"client denied":   {[]string{"denials: [ ", "denials: [ { client_id: 0oaTABLET, reason: lost }, "}, []string{"narrowed orders [" + every + "] [retail/mobile] narrowed clients: 0oaMOBILE 0oaTABLET -> 0oaMOBILE"}},
	"clients denied": {
		[]string{"denials: [ ", "denials: [ { client_id: 0oaTABLET, reason: lost }, { client_id: 0oaMOBILE, reason: lost }, "},
		[]string{"narrowed orders [" + every + "] [retail/mobile] narrowed clients: not denied -> denied"},
	},
	"other client denied": {[]string{"denials: [ ", "denials: [ { client_id: 0oaDEPOT, reason: lost }, "}, []string{}},
	"denial ended":        {[]string{"denials: [ ", "denials: [ { client_id: 0oaTABLET, until: 2026-01-01T00:00:00Z, reason: lost }, "}, []string{}},
	"user forgiven":       {[]string{"{ user_id: 00uEVE, reason: gone }, ", ""}, []string{`widened  [] [user "00uEVE"] widened denial: for good -> none`}},
	"token forgiven":      {[]string{"2030-", "2029-"}, []string{`widened  [] [token "AT.1"] widened denial: until 2030-01-01T00:00:00Z -> until 2029-01-01T00:00:00Z`}},
	"user denied":         {[]string{"denials: [ ", "denials: [ { user_id: 00uBOB, reason: gone }, "}, []string{`narrowed  [] [user "00uBOB"] narrowed denial: none -> for good`}},
	"scope less":          {[]string{"all: [read, write]", "all: [read]"}, both("widened", "scopes: all of read write -> all of read")},
	"scope more":          {[]string{"all: [read, write]", "all: [read, write, x]"}, both("narrowed", "scopes: all of read write -> all of read write x")},
	"scope other":         {[]string{"all: [read, write]", "all: [read, x]"}, both("changed", "scopes: all of read write -> all of read x")},
	"scopes order":        {[]string{"all: [read, write]", "all: [write, read]"}, []string{}},
	"all to any":          {[]string{"all: [read, write]", "any: [write, x]"}, both("widened", "scopes: all of read write -> any of write x")},
	"all to any other":    {[]string{"all: [read, write]", "any: [x]"}, both("changed", "scopes: all of read write -> any of x")},
	"any to all":          {[]string{"any: [write, admin]", "all: [write]"}, post("narrowed", "scopes: any of admin write -> all of write")},
	"any more":            {[]string{"any: [write, admin]", "any: [write, admin, x]"}, post("widened", "scopes: any of admin write -> any of admin write x")},
	"any less":            {[]string{"any: [write, admin]", "any: [write]"}, post("narrowed", "scopes: any of admin write -> any of write")},
	"rule":                {[]string{`rule: "token.sub != ''", `, ""}, post("widened", "rule: token.sub != '' -> ")},
	"rule changed":        {[]string{`token.sub != ''`, "token.sub == 'a'"}, post("changed", "rule: token.sub != '' -> token.sub == 'a'")},
	"rule of API":         {[]string{"token_policy: users\n", "token_policy: users\n    rule: \"true\"\n"}, append(both("narrowed", "rule:  -> true"), post("narrowed", "rule: token.sub != '' -> token.sub != '' && true")...)},
	"age":                 {[]string{"max_auth_age: 5m", "max_auth_age: 4m"}, post("narrowed", "max_auth_age: 5m0s -> 4m0s")},
	"no age":              {[]string{"max_auth_age: 5m, ", ""}, post("widened", "max_auth_age: 5m0s -> any")},
	"acr":                 {[]string{"[phr, phrh]", "[phr]"}, post("narrowed", "acr_values: phr phrh -> phr")},
	"no acr":              {[]string{", acr_values: [phr, phrh]", ""}, post("widened", "acr_values: phr phrh -> any")},
	"stricter, looser": {
		[]string{"[phr, phrh]", "[phr]", "max_auth_age: 5m, ", ""},
		[]string{"changed orders [POST /orders] [retail/mobile] narrowed acr_values: phr phrh -> phr widened max_auth_age: 5m0s -> any"},
	},
	"claim":         {[]string{"one_of: [gold, silver]", "equals: gold"}, all("narrowed", `claims: sub is "gold" or "silver" -> sub is "gold"`)},
	"claim of more": {[]string{"[gold, silver]", "[gold, silver, tin]"}, all("widened", `claims: sub is "gold" or "silver" -> sub is "gold" or "silver" or "tin"`)},
	"claim's type":  {[]string{"one_of: [gold, silver]", "equals: 1"}, all("changed", `claims: sub is "gold" or "silver" -> sub is 1`)},
	"no claim":      {[]string{", claims: [ { claim: sub, one_of: [gold, silver] } ]", ""}, all("widened", `claims: sub is "gold" or "silver" -> any`)},
	"verify":        {[]string{"verify: both", "verify: introspection"}, all("widened", "verify: both -> introspection")},
	"max_age":       {[]string{"max_age: 30s", "max_age: 1s"}, all("narrowed", "max_age: 30s -> 1s")},
	"machines":      {[]string{"max_age: 30s", "max_age: 30s, machine_tokens: true"}, all("widened", "machine_tokens: false -> true")},
	"audience":      {[]string{"api://default", "api://other"}, all("changed", "audience: api://default -> api://other")},
	"leeway":        {[]string{`audience: "api`, `leeway: 1m, audience: "api`}, all("widened", "leeway: 30s -> 1m0s")},
	"public":        {[]string{`path: "/{id}", scopes: { all: [read, write] }`, `path: "/{id}", public: true`}, public("widened", "false -> true")},
	"not public": {[]string{`path: "/", public: true`, `path: "/", scopes: { all: [read] }`}, []string{
		"narrowed items [GET /items] [anybody] narrowed public: true -> false",
	}},
	"operation more": {[]string{"[GET, HEAD]", "[GET, HEAD, DELETE]"}, []string{"widened orders [DELETE /orders/{id}] [retail/mobile] widened operation: absent -> declared"}},
	"operation less": {[]string{"[GET, HEAD]", "[GET]"}, []string{"narrowed orders [HEAD /orders/{id}] [retail/mobile] narrowed operation: declared -> absent"}},
	"public operation": {
		[]string{`operations: [ {`, `operations: [ { methods: [GET], path: "/x", public: true }, {`},
		[]string{"widened items [GET /items/x] [anybody] widened operation: absent -> declared"},
	},
	"operation nobody may call": {[]string{`operations: [ {`, `operations: [ { methods: [GET], path: "/x", scopes: { all: [x] } }, {`}, []string{}},
	"shadow":                    {[]string{"token_policy: users\n", "token_policy: users\n    mode: shadow\n"}, []string{"widened orders [] [anybody] widened mode: enforce -> shadow"}},
	"host less":                 {[]string{", api.example.com]", "]"}, []string{"narrowed orders [] [] narrowed hosts: api.example.com shop.example.com -> shop.example.com"}},
	"host other":                {[]string{", api.example.com]", ", x.example.com]"}, []string{"changed orders [] [] changed hosts: api.example.com shop.example.com -> shop.example.com x.example.com"}},
	"metadata":                  {[]string{"path: /orders }", `path: /orders, external: ["https://shop.example.com"] }` + "\n    protected_resource: true"}, []string{"widened orders [GET /.well-known/oauth-protected-resource/orders] [anybody] widened operation: absent -> declared"}},
	"API renamed": {[]string{"name: items", "name: things"}, []string{
		"narrowed items [GET /items] [anybody] narrowed api: published -> absent", "widened things [GET /items] [anybody] widened api: absent -> published",
	}},
	"application renamed": {[]string{"name: mobile", "name: phone", "[mobile]", "[phone]"}, []string{
		"narrowed orders [" + every + "] [retail/mobile] narrowed application: declared -> absent", "widened orders [" + every + "] [retail/phone] widened application: absent -> declared",
	}},
	"API no more published": {[]string{"name: items\n", "name: items\n    published: false\n"}, []string{
		"narrowed items [GET /items] [anybody] narrowed api: published -> unpublished",
	}},
	"gateway more": {[]string{`gateways: [`, `gateways: [ { name: side, listen: "127.0.0.1:10001", url: "http://127.0.0.1:10001" },`}, []string{"widened  [] [] widened gateway: none -> side"}},
	"cors": {[]string{"token_policy: users\n", "token_policy: users\n    cors: { allow_origins: [\"https://shop.example.com\"] }\n"}, []string{
		"widened orders [] [] widened allow_origins:  -> https://shop.example.com",
	}},
	"cors of more": {[]string{"token_policy: users\n", "token_policy: users\n    cors: { allow_origins: [\"https://shop.example.com\", \"https://*.example.com\"], allow_credentials: true, allow_headers: [x-cart] }\n"}, []string{
		"widened orders [] [] widened allow_origins:  -> https://*.example.com https://shop.example.com widened allow_credentials: false -> true",
	}},
	"websocket":    {[]string{"token_policy: users\n", "token_policy: users\n    websocket: {}\n"}, []string{"widened orders [] [] widened websocket: none -> 1h0m0s"}},
	"request size": {[]string{"token_policy: users\n", "token_policy: users\n    max_request_bytes: 7\n"}, []string{}},
	"shadow API more": {
		[]string{"apis:\n", "apis:\n  - { name: aaa, mode: shadow, frontend: { hosts: [\"*\"], path: /a }, backend: { url: \"http://127.0.0.1:1\" }, token_policy: users, operations: [ { methods: [GET], path: /, scopes: { all: [x] } } ] }\n"},
		[]string{"widened aaa [] [anybody] widened api: absent -> published"},
	},
}

// A door that is opened or moved is told of, once for all that comes with a gateway, and for
// each API that is not on every gateway.
func TestGateways(t *testing.T) {
	t.Parallel()
	with := func(gateways []string, orders string) *catalog.Catalogue {
		var list []string
		for i, name := range gateways {
			list = append(list, fmt.Sprintf(`{ name: %[1]s, listen: "127.0.0.1:1000%[2]d", url: "http://127.0.0.1:1000%[2]d" }`, name, i))
		}
		pairs := []string{`{ name: edge, listen: "127.0.0.1:10000", url: "http://127.0.0.1:10000" }`, strings.Join(list, ", ")}
		if orders != "" {
			pairs = append(pairs, "token_policy: users\n", "token_policy: users\n    gateways: ["+orders+"]\n", "token_policy: loose\n", "token_policy: loose\n    gateways: [edge]\n")
		}
		return parse(t, edit(t, pairs...))
	}
	edge, two := []string{"edge"}, []string{"edge", "side"}
	for name, c := range map[string]struct {
		before, after *catalog.Catalogue
		want          []string
	}{
		"one that serves by default": {with(edge, ""), with(two, ""), []string{"widened  [] [] widened gateway: none -> side"}},
		"one that serves nothing":    {with(edge, "edge"), with(two, "edge"), []string{}},
		"one that is listed": {with([]string{"edge", "third"}, "edge"), with([]string{"edge", "third", "side"}, "edge, side"), []string{
			"widened  [] [] widened gateway: none -> side", "widened orders [] [] widened gateways: edge -> edge side",
		}},
		"all are listed": {with(edge, "edge"), with(two, "edge, side"), []string{"widened  [] [] widened gateway: none -> side"}},
		"renamed and listed": {with(two, "side"), with([]string{"edge", "partner"}, "partner"), []string{
			"narrowed  [] [] narrowed gateway: side -> none", "widened  [] [] widened gateway: none -> partner",
			"changed orders [] [] changed gateways: side -> partner",
		}},
		"renamed": {with(edge, ""), with([]string{"front"}, ""), []string{
			"narrowed  [] [] narrowed gateway: edge -> none", "widened  [] [] widened gateway: none -> front",
		}},
	} {
		got := told(difference.Between(c.before, c.after, now))
		slices.Sort(got)
		slices.Sort(c.want)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Pages of other origins may do what the keys of cors say.
func TestCORS(t *testing.T) {
	t.Parallel()
	with := func(keys string) *catalog.Catalogue {
		return parse(t, edit(t, "token_policy: users\n", "token_policy: users\n    cors: { "+keys+" }\n"))
	}
	first := with(`allow_origins: ["https://a.example.com"], allow_credentials: true, allow_headers: [x-a]`)
	for _, c := range []struct {
		after *catalog.Catalogue
		want  []string
	}{
		{with(`allow_origins: ["https://b.example.com"], allow_credentials: true, allow_headers: [x-a], max_age: 1s`), []string{"changed orders [] [] changed allow_origins: https://a.example.com -> https://b.example.com"}},
		{with(`allow_origins: ["https://a.example.com"], allow_headers: [x-a]`), []string{"narrowed orders [] [] narrowed allow_credentials: true -> false"}},
		{with(`allow_origins: ["https://a.example.com"], allow_credentials: true, allow_headers: [x-a, x-b]`), []string{"widened orders [] [] widened allow_headers: authorization content-type dpop x-a -> authorization content-type dpop x-a x-b"}},
		{with(`allow_origins: ["https://a.example.com"], allow_credentials: true, allow_headers: [x-a], expose_headers: [x-c]`), []string{"widened orders [] [] widened expose_headers: retry-after www-authenticate x-decision-id -> retry-after www-authenticate x-c x-decision-id"}},
	} {
		if diff := cmp.Diff(c.want, told(difference.Between(first, c.after, now))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// The authorities of an authorization server are told apart by their file, wherever the
// configurations lie.
func TestCAFile(t *testing.T) {
	t.Parallel()
	at := func(path, file string) *catalog.Catalogue {
		cat, findings := source.Parse(path, []byte(edit(t, "audience:", "ca_file: "+file+", audience:")))
		if cat == nil {
			t.Fatal(findings)
		}
		return cat
	}
	for _, c := range []struct {
		before, after *catalog.Catalogue
		differs       bool
	}{
		{parse(t, base), at("durward.yaml", "ca.pem"), true},
		{at("durward.yaml", "ca.pem"), at("durward.yaml", "other.pem"), true},
		{at("durward.yaml", "a/ca.pem"), at("durward.yaml", "b/ca.pem"), true},
		{at("/old/durward.yaml", "ca.pem"), at("new/durward.yaml", "ca.pem"), false},
		{at("/old/durward.yaml", "/etc/ca.pem"), at("/a/new/durward.yaml", "/etc/ca.pem"), false},
	} {
		for _, rows := range [][]difference.Row{difference.Between(c.before, c.after, now), difference.Between(c.after, c.before, now)} {
			if (len(rows) == 3) != c.differs || !c.differs && len(rows) > 0 {
				t.Errorf("%v", told(rows))
			}
			for _, r := range rows {
				if r.Direction != difference.Changed || r.Changes[0].What != "ca_file" {
					t.Errorf("%v", told(rows))
				}
			}
		}
	}
}

// An API is published, changes gateways, or is declared and not published.
func TestPublishing(t *testing.T) {
	t.Parallel()
	at := func(keys string) *catalog.Catalogue {
		return parse(t, edit(t, `gateways: [`, `gateways: [ { name: side, listen: "127.0.0.1:10001", url: "http://127.0.0.1:10001" },`, "token_policy: users\n", "token_policy: users\n    "+keys+"\n"))
	}
	absent := parse(t, strings.Replace(edit(t, "name: orders", "name: others"), "api: orders", "api: others", 1))
	for _, c := range []struct {
		before, after *catalog.Catalogue
		want          []string
	}{
		{at("published: false"), at("published: true"), []string{"widened orders [" + every + "] [retail/mobile] widened api: unpublished -> published"}},
		{at("published: false"), at("published: false\n    gateways: [edge]"), []string{}},
		{at("gateways: [edge]"), at("gateways: [edge, side]"), []string{"widened orders [] [] widened gateways: edge -> edge side"}},
		{at("gateways: [edge]"), at("gateways: [side]"), []string{"changed orders [] [] changed gateways: edge -> side"}},
		{at("gateways: [side]"), at("websocket: { max_duration: 1m }"), []string{"widened orders [] [] widened gateways: side -> edge side", "widened orders [] [] widened websocket: none -> 1m0s"}},
		{parse(t, strings.Replace(edit(t, "name: orders", "name: others\n    published: false"), "api: orders", "api: others", 1)), absent, []string{
			"widened others [" + every + "] [retail/mobile] widened api: unpublished -> published",
		}},
	} {
		if diff := cmp.Diff(c.want, told(difference.Between(c.before, c.after, now))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func both(direction, what string) []string {
	return []string{
		fmt.Sprintf("%[1]s orders [GET /orders/{id}] [retail/mobile] %[1]s %[2]s", direction, what),
		fmt.Sprintf("%[1]s orders [HEAD /orders/{id}] [retail/mobile] %[1]s %[2]s", direction, what),
	}
}

func post(direction, what string) []string {
	return []string{fmt.Sprintf("%[1]s orders [POST /orders] [retail/mobile] %[1]s %[2]s", direction, what)}
}

func all(direction, what string) []string {
	return append(both(direction, what), post(direction, what)...)
}

func public(direction, what string) []string {
	return []string{
		fmt.Sprintf("%[1]s orders [GET /orders/{id}] [anybody] %[1]s public: %[2]s", direction, what),
		fmt.Sprintf("%[1]s orders [HEAD /orders/{id}] [anybody] %[1]s public: %[2]s", direction, what),
	}
}

func TestBetween(t *testing.T) {
	t.Parallel()
	before := parse(t, base)
	for name, c := range edits {
		after := parse(t, edit(t, c.pairs...))
		if diff := cmp.Diff(c.want, told(difference.Between(before, after, now))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Of any two edits, the way back is the way there with widened and narrowed, before and
// after swapped; and there is nothing between a catalogue and its own text read again.
func TestSwap(t *testing.T) {
	t.Parallel()
	swapped := map[difference.Direction]difference.Direction{
		difference.Widened: difference.Narrowed, difference.Narrowed: difference.Widened, difference.Changed: difference.Changed,
	}
	var cats []*catalog.Catalogue
	for _, name := range slices.Sorted(maps.Keys(edits)) {
		text := edit(t, edits[name].pairs...)
		cats = append(cats, parse(t, text))
		if rows := difference.Between(cats[len(cats)-1], parse(t, text), now); len(rows) > 0 {
			t.Errorf("%s differs from itself: %v", name, told(rows))
		}
	}
	for _, x := range cats {
		for _, y := range cats {
			there, back := difference.Between(x, y, now), difference.Between(y, x, now)
			for i := range back {
				back[i].Direction = swapped[back[i].Direction]
				back[i].Changes = slices.Clone(back[i].Changes)
				for j, c := range back[i].Changes {
					back[i].Changes[j] = difference.Change{Direction: swapped[c.Direction], What: c.What, Before: c.After, After: c.Before}
				}
			}
			got, want := told(back), told(there)
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("the way back (-there +back):\n%s", diff)
			}
		}
	}
}

// large is a catalogue of n APIs and a hundred applications that may call each.
func large(t *testing.T, n int, scope string) *catalog.Catalogue {
	t.Helper()
	org := &durwardv1.Organization{Name: "retail"}
	for i := range 100 {
		org.Applications = append(org.Applications, &durwardv1.Application{Name: fmt.Sprint("app", i), ClientIds: []string{fmt.Sprint("0oaAPP", i)}})
	}
	cfg := &durwardv1.Config{
		Version:  1,
		Gateways: []*durwardv1.Gateway{{Name: "edge", Listen: "127.0.0.1:10000", Url: "http://127.0.0.1:10000"}},
		AuthorizationServers: []*durwardv1.AuthorizationServer{{
			Name: "default", Issuer: "https://example.okta.com/oauth2/default", Audience: "api://default",
			Introspection: &durwardv1.Introspection{ClientId: "0oaGATEWAY", ClientSecretFile: "secret"},
		}},
		TokenPolicies: []*durwardv1.TokenPolicy{{Name: "users", AuthorizationServer: "default", Verify: "both"}},
		Organizations: []*durwardv1.Organization{org},
	}
	for i := range n {
		name := fmt.Sprint("api", i)
		cfg.Apis = append(cfg.Apis, &durwardv1.API{
			Name: name, Frontend: &durwardv1.Frontend{Hosts: []string{"*"}, Path: "/" + name}, Backend: &durwardv1.Backend{Url: "http://127.0.0.1:1"},
			TokenPolicy: "users", Operations: []*durwardv1.Operation{{Methods: []string{"GET", "PUT"}, Path: "/", Scopes: &durwardv1.Scopes{All: []string{scope}}}},
		})
		cfg.Grants = append(cfg.Grants, &durwardv1.Grant{Api: name, Organization: "retail", AllApplications: true})
	}
	cat, findings := catalog.Compile(cfg, nil)
	if cat == nil {
		t.Fatal(findings)
	}
	return cat
}

func TestTenThousandAPIs(t *testing.T) {
	t.Parallel()
	const n = 10_000
	before, after := large(t, n, "read"), large(t, n, "write")
	began := time.Now()
	rows := difference.Between(before, after, now)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if len(rows) != 2*n {
		t.Errorf("%d differences, want two for each API", len(rows))
	}
	if len(rows) > 0 && len(rows[0].Callers) != 100 {
		t.Errorf("the first is of %d callers", len(rows[0].Callers))
	}
}
