package source

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/durward/durward/policy/catalog"
)

// Files of a configuration that is edited again and again. The first of each is good, and
// so are most others.
var (
	againBases = []string{
		againBase("", ""),
		againBase("", "    rule: token.scopes.size() > 0\n    acr_values: [a, b]\n"),
		againBase("headers: { prefix: x-more- }\n", "    claims: [ { claim: tier, equals: gold } ]\n"),
		againBase("log: { user: clear }\n# moved\n", ""),
		againBase("log: { user: loud }\n", ""),
		strings.ReplaceAll(againBase("", ""), "http://127.0.0.1:10001", "http://[::1]:10001"),
	}
	againMembers = []string{
		"version: 1\norganizations: [ { name: one, applications: [ { name: app, client_ids: [abc] }, { name: web, client_ids: [def] } ] }, { name: two, applications: [ { name: job, client_ids: [ghi] } ] } ]\n",
		"version: 1\norganizations: [ { name: one, applications: [ { name: app, client_ids: [abc], enabled: false } ] }, { name: two } ]\n",
		"version: 1\norganizations: [ { name: two }, { name: one, applications: [ { name: web, client_ids: [abc] }, { name: app, client_ids: [def] } ] } ]\n",
		"version: 1\norganizations: [ { name: one, applications: [ { name: app, client_ids: [abc, ABC] } ] } ]\n",
	}
	againDenials = []string{
		"version: 1\ndenials: [ { client_id: ghi, reason: left } ]\n", // whom not all members have
		"version: 1\ndenials: [ { client_id: abc, reason: left }, { user_id: u, reason: left } ]\n",
		"version: 1\n",
		"version: 1\nlog: { user: none }\n",
	}
	// NAME is that of the API, N a number.
	againAPIs = []string{
		"  - { name: NAME, frontend: { hosts: [a.example.com], path: /NAME }, backend: { url: \"http://NAME.internal\" }, token_policy: users, operations: [ { methods: [GET], path: /, scopes: { all: [read] } } ] }\n",
		"  - { name: NAME, frontend: { hosts: [a.example.com], path: /NAME }, backend: { url: \"http://NAME.internal:N\" }, token_policy: users, acr_values: [a], operations: [ { methods: [GET], path: \"/{id}\", scopes: { any: [read, write] }, rule: 'api.name != \"N\"' }, { methods: [POST], path: /, public: true } ] }\n",
		"  - { name: NAME, frontend: { hosts: [b.example.com, \"*.c.example.com\"], path: / }, backend: { url: \"http://NAME.internal\" }, token_policy: fresh, gateways: [edge], protected_resource: true, operations: [ { methods: [GET], path: /, scopes: { all: [read] }, token_policy: users } ] }\n",
		"  - { name: NAME, frontend: { hosts: [\"*\"], path: /NAME }, backend: { url: \"https://NAME.internal\", tls: { ca_file: /ca.pem } }, published: false, operations: [ { methods: [GET], path: /**, public: true } ] }\n",
		"  - { name: NAME, frontend: { hosts: [\"*\"], path: /.well-known/oauth-protected-resource }, backend: { url: \"http://NAME.internal\" }, operations: [ { methods: [GET], path: /, public: true } ] }\n",
		"  - { name: NAME, frontend: { hosts: [b.example.com], path: / }, backend: { url: \"http://127.0.0.1:10001\" }, token_policy: none, operations: [ { methods: [GET], path: /x, scopes: { all: [read] } } ] }\n",
		"  - { name: NAME, frontend: { hosts: [d.example.com], path: /NAME, external: [\"https://d.example.com\"] }, backends: [ { url: \"http://NAME.internal:N\", weight: 1, retries: 2 }, { url: \"http://other.internal\", weight: 2, retries: 2 } ], websocket: { max_duration: 2h }, mode: shadow, cors: { allow_origins: [\"https://d.example.com\"] }, token_policy: fresh, operations: [ { methods: [GET], path: /, scopes: { all: [read] }, max_auth_age: 1m } ] }\n",
	}
	againGrants = []string{
		"  - { api: NAME, organization: one, applications: [app] }\n",
		"  - { api: NAME, organization: one, all_applications: true }\n",
		"  - { api: NAME, organization: one, applications: [] }\n",
		"  - { api: NAME, organization: two, all_applications: true }\n",
		"  - { api: NAME, organization: two, applications: [app] }\n",
	}
)

func againBase(more, policy string) string {
	return "version: 1\n" + more + `gateways: [ { name: edge, listen: "127.0.0.1:10000", url: "http://127.0.0.1:10000" }, { name: door, listen: "127.0.0.1:10001", url: "http://127.0.0.1:10001" } ]
authorization_servers:
  - { name: default, issuer: "https://example.okta.com/oauth2/default", audience: "api://default", ca_file: ca.pem, introspection: { client_id: 0oaGATEWAY, auth_method: none } }
token_policies:
  - { name: fresh, authorization_server: default, verify: introspection, max_age: 0s }
  - name: users
    authorization_server: default
    verify: introspection
` + policy
}

// mostly draws the first of texts as often as all others together.
func mostly(texts []string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "first") {
			return texts[0]
		}
		return rapid.SampledFrom(texts).Draw(t, "text")
	})
}

// againFile draws a file of APIs, which have names of their own but for one in ten files.
func againFile(letter string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var apis, grants strings.Builder
		for i := range rapid.IntRange(1, 4).Draw(t, "apis") {
			name := fmt.Sprintf("%s%d", letter, i)
			if rapid.IntRange(0, 40).Draw(t, "other") == 0 {
				name = "a0"
			}
			fill := strings.NewReplacer("NAME", name, "N", fmt.Sprint(rapid.IntRange(1, 3).Draw(t, "n")))
			_, _ = fill.WriteString(&apis, mostly(againAPIs).Draw(t, "api"))
			if rapid.Bool().Draw(t, "granted") {
				_, _ = fill.WriteString(&grants, mostly(againGrants).Draw(t, "grant"))
			}
		}
		text := "version: 1\napis:\n" + apis.String()
		if grants.Len() > 0 {
			text += "grants:\n" + grants.String()
		}
		return text
	})
}

// againEdit changes a file, or two at once.
func againEdit(t *rapid.T, files map[string]string) {
	for range rapid.IntRange(1, 2).Draw(t, "files") {
		switch name := rapid.SampledFrom([]string{"a", "b", "c", "a", "b", "c", "base", "members", "denials"}).Draw(t, "file"); name {
		case "base":
			files[name] = mostly(againBases).Draw(t, name)
		case "members":
			files[name] = mostly(againMembers).Draw(t, name)
		case "denials":
			files[name] = mostly(againDenials).Draw(t, name)
		default:
			if files[name] = againFile(name).Draw(t, name); rapid.IntRange(0, 9).Draw(t, "gone") == 0 {
				delete(files, name)
			}
		}
	}
}

func againText(files map[string]string) Text {
	return TextOf(func(yield func(string, []byte) bool) {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if !yield(name+".yaml", []byte(files[name])) {
				return
			}
		}
	})
}

// TestReaderCompilesAgain: however a configuration is edited, what a Reader makes of it with
// what it keeps is what it makes of it alone, and nothing in it is of an older one.
func TestReaderCompilesAgain(t *testing.T) {
	t.Parallel()
	same, others := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		files := map[string]string{"base": againBases[0], "members": againMembers[0], "denials": againDenials[0]}
		r := NewReader("")
		var before *catalog.Catalogue
		for range rapid.IntRange(2, 8).Draw(rt, "edits") {
			againEdit(rt, files)
			text := againText(files)
			got, found := r.Compile(text)
			want, wanted := NewReader("").Compile(text)
			if diff := cmp.Diff(wanted, found); diff != "" {
				rt.Fatalf("findings (-alone +again):\n%s", diff)
			}
			if diff := cmp.Diff(want, got, sameCatalogues...); diff != "" {
				rt.Fatalf("catalogues (-alone +again):\n%s", diff)
			}
			if got == nil {
				continue
			}
			if diff := cmp.Diff(accesses(want), accesses(got)); diff != "" {
				rt.Fatalf("accesses (-alone +again):\n%s", diff)
			}
			holdsItsOwn(rt, got)
			for _, api := range got.APIs {
				if before != nil && before.API(api.Name) == api {
					same++
				} else {
					others++
				}
			}
			before = got
		}
	})
	if same < 20 || others < 20 {
		t.Errorf("%d APIs were kept and %d compiled", same, others)
	}
}

var sameCatalogues = []cmp.Option{
	cmpopts.IgnoreUnexported(catalog.Catalogue{}, catalog.API{}),
	cmp.Comparer(func(a, b catalog.Template) bool { return a.String() == b.String() }),
	cmp.Comparer(func(a, b *catalog.Condition) bool { return a.Text == b.Text && a.At == b.At }),
	cmp.Comparer(func(a, b catalog.RequiredClaim) bool { return fmt.Sprint(a) == fmt.Sprint(b) }),
}

// accesses says who may call what, and what is found by which name.
func accesses(cat *catalog.Catalogue) (lines []string) {
	for _, api := range slices.Concat(cat.APIs, cat.Unpublished) {
		lines = append(lines, fmt.Sprintln(api.Name, cat.API(api.Name) == api, api.MetadataURL()))
		for _, method := range []string{"GET", "POST"} {
			m := api.Match(method, api.BasePath)
			lines = append(lines, fmt.Sprintln(method, m.PathKnown, m.Allow, m.Operation == api.Operations[0]))
		}
		for _, org := range cat.Organizations {
			lines = append(lines, fmt.Sprintln(org.Name, api.OrganizationGranted(org), api.GrantAt(org)))
			for _, app := range org.Applications {
				lines = append(lines, fmt.Sprintln(app.Name, api.ApplicationGranted(app)))
			}
		}
	}
	for _, client := range []string{"abc", "def", "ghi"} {
		if app := cat.Client(client); app != nil {
			lines = append(lines, fmt.Sprintln(client, app.Name, app.Organization.Name, cat.Denial("", client, "", time.Now())))
		}
	}
	return lines
}

// holdsItsOwn holds that nothing leads from a Catalogue to things of another one.
func holdsItsOwn(t *rapid.T, cat *catalog.Catalogue) {
	for _, p := range cat.TokenPolicies {
		if !slices.Contains(cat.Servers, p.Server) {
			t.Fatalf("token policy %s has another server", p.Name)
		}
	}
	for _, api := range slices.Concat(cat.APIs, cat.Unpublished) {
		for _, g := range api.Gateways {
			if !slices.Contains(cat.Gateways, g) {
				t.Fatalf("API %s has another gateway", api.Name)
			}
		}
		policies := []*catalog.TokenPolicy{api.Policy}
		for _, op := range api.Operations {
			policies = append(policies, op.Policy)
		}
		for _, p := range policies {
			if p != nil && !slices.Contains(cat.TokenPolicies, p) {
				t.Fatalf("API %s has another policy", api.Name)
			}
		}
		for org := range api.Grants() {
			if !slices.Contains(cat.Organizations, org) {
				t.Fatalf("API %s is granted to another organization", api.Name)
			}
		}
	}
	for _, org := range cat.Organizations {
		for _, app := range org.Applications {
			for _, client := range app.ClientIDs {
				if app.Organization != org || cat.Client(client) != app {
					t.Fatalf("client id %s belongs to another application", client)
				}
			}
		}
	}
}

// TestCompilerKeeps holds which APIs are kept: all but those that a change is about.
func TestCompilerKeeps(t *testing.T) {
	t.Parallel()
	file := func(letter string, apis ...int) string {
		text, grants := "version: 1\napis:\n", "grants:\n"
		for i, kind := range apis {
			fill := strings.NewReplacer("NAME", fmt.Sprintf("%s%d", letter, i), "N", "1")
			text += fill.Replace(againAPIs[kind])
			grants += fill.Replace(againGrants[0])
		}
		return text + grants
	}
	for name, tt := range map[string]struct {
		file, text string
		kept       []string
	}{
		"nothing":      {"b", file("b", 0, 0), []string{"a0", "a1", "b0", "b1", "c0"}},
		"an API":       {"b", file("b", 0, 1), []string{"a0", "a1", "c0"}},
		"a new file":   {"aa", file("d", 0), []string{"a0", "a1", "b0", "b1", "c0"}},
		"fewer":        {"a", file("a", 0), []string{"b0", "b1", "c0"}},
		"a grant":      {"grants", "version: 1\ngrants:\n  - { api: a1, organization: two, applications: [] }\n", []string{"a0", "b0", "b1", "c0"}},
		"a denial":     {"denials", againDenials[1], []string{"a0", "a1", "b0", "b1", "c0"}},
		"applications": {"members", againMembers[1], nil},
		"a policy":     {"base", againBases[2], nil},
		"a mistake":    {"b", file("b", 5), nil},
	} {
		files := map[string]string{"base": againBases[0], "members": againMembers[0], "a": file("a", 0, 1), "b": file("b", 0, 0), "c": file("c", 0)}
		r := NewReader("")
		before, found := r.Compile(againText(files))
		if before == nil {
			t.Fatalf("%s: %v", name, found)
		}
		was := files[tt.file]
		files[tt.file] = tt.text
		after, _ := r.Compile(againText(files))
		if name == "a mistake" {
			files[tt.file] = was
			if after, found = r.Compile(againText(files)); after == nil {
				t.Fatalf("%s: %v", name, found)
			}
			tt.kept = []string{"a0", "a1", "c0"}
		}
		var kept []string
		for _, api := range before.APIs {
			if after.API(api.Name) == api {
				kept = append(kept, api.Name)
			}
		}
		if diff := cmp.Diff(tt.kept, kept); diff != "" {
			t.Errorf("%s changed; kept (-want +got):\n%s", name, diff)
		}
	}
}

// TestReaderForgets: a thousand changes leave no more behind than a few.
func TestReaderForgets(t *testing.T) {
	files := map[string]string{"base": againBases[0], "members": againMembers[0]}
	for i := range 20 {
		files[fmt.Sprintf("apis-%02d", i)] = strings.ReplaceAll("version: 1\napis:\n"+againAPIs[0]+"grants:\n"+againGrants[0], "NAME", fmt.Sprintf("api-%d", i))
	}
	r := NewReader("")
	change := func(i int) {
		t.Helper()
		name := fmt.Sprintf("apis-%02d", i%20)
		files[name] = strings.ReplaceAll("version: 1\napis:\n"+againAPIs[i%2]+"grants:\n"+againGrants[i%3], "NAME", fmt.Sprintf("api-%d-%d", i%20, i))
		files[name] = strings.ReplaceAll(files[name], "internal:N", fmt.Sprintf("internal:%d", 1+i))
		if cat, found := r.Compile(againText(files)); cat == nil {
			t.Fatal(found)
		}
	}
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for i := range 100 {
		change(i)
	}
	early := used()
	for i := range 1000 {
		change(i)
	}
	late := used()
	t.Logf("%d kB after 100 changes, %d kB after 1,100", early>>10, late>>10)
	if late > early+1<<20 {
		t.Errorf("%d kB after 100 changes, and %d kB after 1,100", early>>10, late>>10)
	}
	if len(r.parts) != len(files) {
		t.Errorf("%d parts are kept of %d files", len(r.parts), len(files))
	}
	runtime.KeepAlive(r)
}
