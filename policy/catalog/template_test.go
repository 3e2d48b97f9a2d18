package catalog

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// apiOf returns an API with one operation for each "METHOD template".
func apiOf(t testing.TB, basePath string, operations ...string) *API {
	t.Helper()
	api := &API{BasePath: basePath}
	for _, o := range operations {
		method, text, _ := strings.Cut(o, " ")
		template, err := ParseTemplate(text)
		if err != nil {
			t.Fatalf("ParseTemplate(%q): %v", text, err)
		}
		op := &Operation{Methods: []string{method}, Path: template}
		api.Operations = append(api.Operations, op)
		if other := api.addPath(op); other != nil {
			t.Fatalf("%s clashes with %s", o, other.Path)
		}
	}
	return api
}

// TestTemplateTable holds every line of the table in the comment of Template.
func TestTemplateTable(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("template.go")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	columns := regexp.MustCompile(`^//\t(/\S*) {2,}(\S.*?) {2,}(\S.*)$`)
	for line := range strings.Lines(string(source)) {
		row := columns.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if row == nil {
			continue
		}
		rows++
		api := apiOf(t, "/api", "GET "+row[1])
		for _, path := range strings.Fields(row[2]) {
			if m := api.Match("GET", path); m.Operation != api.Operations[0] || !m.PathKnown {
				t.Errorf("%s does not match %s, against the table", row[1], path)
			}
		}
		for _, path := range strings.Fields(row[3]) {
			if m := api.Match("GET", path); m.Operation != nil || m.PathKnown {
				t.Errorf("%s matches %s, against the table", row[1], path)
			}
		}
	}
	if rows < 10 {
		t.Fatalf("the table has %d rows; is it read?", rows)
	}
}

func TestMatchSpecificity(t *testing.T) {
	t.Parallel()
	api := apiOf(t, "/api",
		"GET /{id}", "DELETE /{id}", "POST /search", "GET /**", "GET /{id}/items",
		"GET /search/{x}", "PUT /search/**", "GET /a/{x}/c", "GET /{x}/b/c", "PUT /")
	tests := []struct {
		method, path, want string
		allow              []string
	}{
		{"GET", "/api/7", "/{id}", []string{"DELETE", "GET"}},
		{"DELETE", "/api/7", "/{id}", []string{"DELETE", "GET"}},
		{"POST", "/api/search", "/search", []string{"POST"}},
		// The literal wins before the method is looked at.
		{"GET", "/api/search", "", []string{"POST"}},
		{"GET", "/api/search/x", "/search/{x}", []string{"GET"}},
		{"PUT", "/api/search/x", "", []string{"GET"}},
		{"PUT", "/api/search/x/y", "/search/**", []string{"PUT"}},
		{"PUT", "/api/search/", "/search/**", []string{"PUT"}},
		{"GET", "/api/7/items", "/{id}/items", []string{"GET"}},
		// The left-most difference decides.
		{"GET", "/api/a/b/c", "/a/{x}/c", []string{"GET"}},
		{"GET", "/api/z/b/c", "/{x}/b/c", []string{"GET"}},
		{"GET", "/api/7/8/9", "/**", []string{"GET"}},
		{"PUT", "/api", "/", []string{"PUT"}},
		{"GET", "/api", "", []string{"PUT"}},
		{"GET", "/api/", "/**", []string{"GET"}},
		{"get", "/api/7", "", []string{"DELETE", "GET"}},
		{"", "/api/7", "", []string{"DELETE", "GET"}},
		// Outside the base path nothing is known.
		{"GET", "/apix/7", "", nil},
		{"GET", "/ap", "", nil},
		{"GET", "", "", nil},
		{"GET", "/", "", nil},
		{"GET", "api/7", "", nil},
	}
	for _, tt := range tests {
		m := api.Match(tt.method, tt.path)
		got := ""
		if m.Operation != nil {
			got = m.Operation.Path.String()
		}
		if got != tt.want || m.PathKnown != (tt.allow != nil) {
			t.Errorf("Match(%s %s) = %q, known %t; want %q", tt.method, tt.path, got, m.PathKnown, tt.want)
		}
		if diff := cmp.Diff(tt.allow, m.Allow); diff != "" {
			t.Errorf("Match(%s %s).Allow (-want +got):\n%s", tt.method, tt.path, diff)
		}
	}
}

func TestMatchAtRoot(t *testing.T) {
	t.Parallel()
	api := apiOf(t, "/", "GET /", "PUT /{id}")
	for path, want := range map[string]string{"/": "GET", "/7": "PUT", "//": "", "/7/": "", "": "", "7": ""} {
		m := api.Match(want, path)
		if m.PathKnown != (want != "") || (m.Operation != nil) != (want != "") {
			t.Errorf("Match(%q, %q) = %+v", want, path, m)
		}
	}
	if m := new(API).Match("GET", "/"); m.PathKnown {
		t.Error("the zero API matches")
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	api := apiOf(t, "/api", "GET /search", "GET /{id}/items/{item}", "GET /**")
	if n := testing.AllocsPerRun(100, func() { api.Match("GET", "/api/7/items/9") }); n != 0 {
		t.Errorf("Match allocates %v times", n)
	}
}

func TestParseTemplateBounds(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "x", strings.Repeat("/a", maxTemplateSegments+1), "/" + strings.Repeat("a", maxTemplateBytes)} {
		if template, err := ParseTemplate(text); err == nil {
			t.Errorf("ParseTemplate(%.20q) = %v", text, template)
		}
	}
	if got := new(Template).String(); got != "/" {
		t.Errorf("the zero Template is %q", got)
	}
}

// naiveMatch says what Match should: it takes everything apart at every call.
func naiveMatch(api *API, method, path string) (found *Operation, known bool) {
	base := strings.TrimSuffix(api.BasePath, "/")
	var parts []string
	switch {
	case path == api.BasePath:
	case strings.HasPrefix(path, base+"/"):
		parts = strings.Split(strings.TrimPrefix(path, base+"/"), "/")
	default:
		return nil, false
	}
	var best []int
	var candidates []*Operation
	for _, op := range api.Operations {
		ranks, ok := naiveRanks(op.Path.String(), parts)
		if !ok {
			continue
		}
		switch c := slices.Compare(ranks, best); {
		case best == nil || c < 0:
			best, candidates = ranks, []*Operation{op}
		case c == 0:
			candidates = append(candidates, op)
		}
	}
	for _, op := range candidates {
		if slices.Contains(op.Methods, method) {
			return op, true
		}
	}
	return nil, len(candidates) > 0
}

// naiveRanks matches recursively and ranks each step: literal 0, name 1, end 2, rest 3.
func naiveRanks(template string, parts []string) ([]int, bool) {
	if template == "" || template == "/" {
		return []int{2}, len(parts) == 0
	}
	if template == "/**" {
		return []int{3}, true
	}
	if len(parts) == 0 {
		return nil, false
	}
	segment, rest := template[1:], ""
	if i := strings.Index(segment, "/"); i >= 0 {
		segment, rest = segment[:i], segment[i:]
	}
	rank := 0
	if strings.HasPrefix(segment, "{") {
		rank = 1
		if parts[0] == "" {
			return nil, false
		}
	} else if segment != parts[0] {
		return nil, false
	}
	if rest == "/" {
		// A slash at the end of the template is one more, empty, segment.
		return append([]int{rank}, 0, 2), len(parts) == 2 && parts[1] == ""
	}
	ranks, ok := naiveRanks(rest, parts[1:])
	return append([]int{rank}, ranks...), ok
}

func TestMatchEqualsNaiveMatcher(t *testing.T) {
	t.Parallel()
	methods := rapid.SampledFrom([]string{"GET", "PUT", "POST"})
	rapid.Check(t, func(t *rapid.T) {
		api := &API{BasePath: rapid.SampledFrom([]string{"/", "/a", "/a/b"}).Draw(t, "base")}
		segment := rapid.SampledFrom([]string{"a", "b", "{x}", "{y}"})
		for range rapid.IntRange(1, 8).Draw(t, "operations") {
			text := ""
			for i, s := range rapid.SliceOfN(segment, 0, 3).Draw(t, "template") {
				if s[0] == '{' {
					s = strings.Replace(s, "{", "{n"+string(rune('0'+i)), 1)
				}
				text += "/" + s
			}
			text += rapid.SampledFrom([]string{"", "/", "/**"}).Draw(t, "end")
			template, err := ParseTemplate(strings.Replace("/"+text, "//", "/", 1))
			if err != nil {
				t.Fatalf("ParseTemplate(%q): %v", text, err)
			}
			op := &Operation{Methods: rapid.SliceOfNDistinct(methods, 1, 2, rapid.ID).Draw(t, "methods"), Path: template}
			// Equally specific operations are for Compile to refuse.
			if !slices.ContainsFunc(api.Operations, func(o *Operation) bool { return compareTemplates(o.Path, template) == 0 }) {
				api.Operations = append(api.Operations, op)
				api.addPath(op)
			}
		}
		part := rapid.SampledFrom([]string{"a", "b", "c", "", "aa"})
		path := "/" + strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, "path"), "/")
		method := methods.Draw(t, "method")
		want, known := naiveMatch(api, method, path)
		got := api.Match(method, path)
		if got.Operation != want || got.PathKnown != known {
			t.Fatalf("base %s, %s %s: Match is %+v, naively %v, known %t", api.BasePath, method, path, got, want, known)
		}
	})
}
