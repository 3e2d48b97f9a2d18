package source_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
)

// validFiles returns the files of a golden case that loads without findings.
func validFiles(t testing.TB, name string) []txtar.File {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	files := archive.Files[:0:0]
	for _, f := range archive.Files {
		if f.Name != "want" {
			files = append(files, f)
		}
	}
	return files
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadNothing(t *testing.T) {
	t.Parallel()
	cat, findings, err := source.Load(filepath.Join(t.TempDir(), "durward.yaml"))
	if !errors.Is(err, fs.ErrNotExist) || cat != nil || findings != nil {
		t.Errorf("Load of nothing: %v, %v, %v", cat, findings, err)
	}
}

// TestLoadConfigMap reads a directory as Kubernetes lays it out: each name a link
// through ..data to the current version.
func TestLoadConfigMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := filepath.Join(dir, "..2026_11_24")
	if err := os.Mkdir(version, 0o700); err != nil {
		t.Fatal(err)
	}
	files := validFiles(t, "valid-directory")
	link := func(from, to string) {
		if err := os.Symlink(from, to); err != nil {
			t.Fatal(err)
		}
	}
	link("..2026_11_24", filepath.Join(dir, "..data"))
	for _, f := range files {
		write(t, filepath.Join(version, f.Name), f.Data)
		link(filepath.Join("..data", f.Name), filepath.Join(dir, f.Name))
	}
	cat, findings, err := source.Load(dir)
	if err != nil || len(findings) > 0 {
		t.Fatalf("Load: %v, %v", findings, err)
	}
	late := cat.Organizations[len(cat.Organizations)-1]
	want := catalog.Position{File: filepath.Join(dir, "b.yml"), Line: 3, Column: 5}
	if late.Name != "late" || late.At != want {
		t.Errorf("the last organization is %s at %v; want it at %v", late.Name, late.At, want)
	}
}

func TestRevisionIsOfTheContent(t *testing.T) {
	t.Parallel()
	files := validFiles(t, "valid-directory")
	load := func(names ...string) *catalog.Catalogue {
		dir := t.TempDir()
		for i, f := range files {
			write(t, filepath.Join(dir, names[i]), append([]byte("# a comment\n"), f.Data...))
		}
		cat, findings, err := source.Load(dir)
		if cat == nil {
			t.Fatalf("Load: %v, %v", findings, err)
		}
		return cat
	}
	a, b := load("1.yaml", "2.yaml", "3.yaml"), load("3.yml", "2.yml", "1.yml")
	if a.Revision != b.Revision {
		t.Errorf("revisions %s and %s of the same content in another place and order", a.Revision, b.Revision)
	}
}

func TestSecretFilesAreRelativeToTheirFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := string(validFiles(t, "valid-listeners")[0].Data)
	for written, want := range map[string]string{
		"secret":          filepath.Join(dir, "secret"),
		"../x/./secret":   filepath.Join(filepath.Dir(dir), "x", "secret"),
		"/run//./secrets": "/run/secrets",
	} {
		path := filepath.Join(dir, "durward.yaml")
		write(t, path, []byte(strings.ReplaceAll(text, "client_secret_file: secret", "client_secret_file: "+written)))
		cat, findings, err := source.Load(path)
		if cat == nil {
			t.Fatalf("Load: %v, %v", findings, err)
		}
		if got := cat.Servers[0].Introspection.SecretFile; got != want {
			t.Errorf("%s is %s; want %s", written, got, want)
		}
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "a-pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "b-link.yaml")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "c-large.yaml"), []byte("version: 1\n#"+strings.Repeat("x", 4<<20)))
	write(t, filepath.Join(dir, "d-fine.yaml"), []byte("version: 1\n#"+strings.Repeat("x", 4<<20-12)))
	cat, findings, err := source.Load(dir)
	if err != nil || cat != nil {
		t.Fatalf("Load: %v, %v", cat, err)
	}
	want := []string{"a-pipe.yaml: error DW010", "b-link.yaml: error DW010", "c-large.yaml: error DW007"}
	if len(findings) != len(want) {
		t.Fatalf("findings %v", findings)
	}
	for i, f := range findings {
		if got := strings.TrimPrefix(f.String(), dir+"/"); !strings.HasPrefix(got, want[i]) {
			t.Errorf("finding %q; want %q", got, want[i])
		}
	}
}

func TestTotalSizeIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := []byte("version: 1\n#" + strings.Repeat("x", 4<<20-12))
	write(t, filepath.Join(dir, "0.yaml"), data)
	for i := range 16 {
		if err := os.Link(filepath.Join(dir, "0.yaml"), filepath.Join(dir, fmt.Sprintf("%d.yaml", i+1))); err != nil {
			t.Skipf("no hard links here: %v", err)
		}
	}
	cat, findings, err := source.Load(dir)
	if err != nil || cat != nil || len(findings) != 1 || findings[0].Code != "DW007" {
		t.Errorf("Load: %v, %v, %v", cat, findings, err)
	}
}

// BenchmarkParse reads a catalogue of 500 APIs.
func BenchmarkParse(b *testing.B) {
	text := string(validFiles(b, "valid-listeners")[0].Data)
	head, tail, _ := strings.Cut(text, "apis:\n")
	api, grants, _ := strings.Cut(tail, "grants:\n")
	var apis strings.Builder
	for i := range 500 {
		apis.WriteString(strings.NewReplacer("orders", fmt.Sprintf("orders-%d", i)).Replace(api))
	}
	data := []byte(head + "apis:\n" + apis.String() + "grants:\n" + strings.ReplaceAll(grants, "orders", "orders-7"))
	for b.Loop() {
		if cat, findings := source.Parse("b.yaml", data); cat == nil {
			b.Fatal(findings)
		}
	}
}

func TestLineEndings(t *testing.T) {
	t.Parallel()
	text := strings.ReplaceAll("version: 1\napis:\n  - name: orders\n    name: x\n", "\n", "\r\n")
	_, findings := source.Parse("a.yaml", []byte(text))
	if len(findings) != 1 || findings[0].At != (catalog.Position{File: "a.yaml", Line: 4, Column: 5}) || findings[0].Line != "    name: x" || findings[0].Width != 4 {
		t.Errorf("findings %+v", findings)
	}
}

// FuzzParse holds that any text gives findings or a catalogue, and that every finding
// can be shown: it points into the text and has its words.
func FuzzParse(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range cases {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if file.Name != "want" {
				f.Add(unescape(file.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cat, findings := source.Parse("f.yaml", data)
		if (cat == nil) != catalog.HasErrors(findings) {
			t.Fatalf("catalogue %v with findings %v", cat, findings)
		}
		lines := strings.Split(string(data), "\n")
		for _, found := range findings {
			if found.Message == "" || found.Fix == "" || found.Width < 1 {
				t.Errorf("finding without words: %+v", found)
			}
			if found.At.Line > len(lines) {
				t.Errorf("finding beyond the text: %+v", found)
			}
		}
	})
}
