package source_test

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
)

var update = flag.Bool("update", false, "write what is printed into testdata/*.txtar")

// TestGolden loads the files of each testdata/*.txtar and compares what is printed
// with its section "want". A file named alone is loaded as a file, several as a
// directory. Where the comment has a line "modes: FILE=MODE ...", the files get these
// modes, and the secrets are checked too. Every code of the table has a case.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	seen := make(map[string]bool)
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			for _, code := range runGolden(t, name) {
				seen[code] = true
			}
		})
	}
	for _, rule := range catalog.Rules() {
		if !seen[rule.Code] && rule.Code != catalog.EnvoyRefuses { // which takes an Envoy to find
			t.Errorf("no golden case holds %s: %s", rule.Code, rule.Title)
		}
	}
}

// runGolden returns the codes that the case printed.
func runGolden(t *testing.T, name string) (codes []string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	load := dir
	var want []byte
	files := archive.Files[:0:0]
	for _, f := range archive.Files {
		if f.Name == "want" {
			want = f.Data
			continue
		}
		files = append(files, f)
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, unescape(f.Data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) == 1 {
		load = filepath.Join(dir, files[0].Name)
	}
	cat, findings := loadCase(t, load, string(archive.Comment))
	if (cat == nil) != catalog.HasErrors(findings) {
		t.Errorf("catalogue is %v with findings %v", cat, findings)
	}
	got := printed(t, findings, dir)
	if *update {
		archive.Files = append(files, txtar.File{Name: "want", Data: []byte(got)})
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
	for _, f := range findings {
		codes = append(codes, f.Code)
	}
	return codes
}

// loadCase loads as the comment of the case says.
func loadCase(t *testing.T, path, comment string) (*catalog.Catalogue, []catalog.Finding) {
	_, modes, ok := strings.Cut(comment, "\nmodes: ")
	if !ok {
		cat, findings, err := source.Load(path)
		if err != nil {
			t.Fatalf("Load: %v", err)
		}
		return cat, findings
	}
	for _, entry := range strings.Fields(modes) {
		name, mode, _ := strings.Cut(entry, "=")
		bits, err := strconv.ParseUint(mode, 8, 9)
		if err == nil {
			err = os.Chmod(filepath.Join(path, name), os.FileMode(bits))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r := source.Check(path, true)
	return r.Catalogue, r.Findings
}

func printed(t *testing.T, findings []catalog.Finding, dir string) string {
	var b strings.Builder
	for _, f := range findings {
		b.WriteString(f.Text(nil))
	}
	got := b.String()
	for _, leak := range []string{"proto:", "durwardv1", "*ast", "yaml: line", "durward.v1"} {
		if strings.Contains(got, leak) {
			t.Errorf("the text of a library shows: %q in\n%s", leak, got)
		}
	}
	return strings.NewReplacer(dir+"/", "", dir, "DIR").Replace(got)
}

// unescape lets a case hold bytes that an editor would change or hide, and keys.
func unescape(data []byte) []byte {
	words := append([]string{"<TAB>", "\t", "<BOM>", "\xef\xbb\xbf", "<BAD>", "\xff", "<CR>", "\r", "<BIDI>", "\u202e"}, material()...)
	return []byte(strings.NewReplacer(words...).Replace(string(data)))
}
