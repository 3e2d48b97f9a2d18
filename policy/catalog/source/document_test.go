package source_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/durward/durward/policy/catalog/source"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// Policy tests stand beside a catalogue and are no part of it.
func TestTestsAreNoCatalogue(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/valid.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"durward.yaml": string(archive.Files[0].Data), "b_test.yaml": "version: 1\ntokens: {}\n", "a_test.yml": "version: 1\n", "_test.yaml": "no catalogue",
		".hidden_test.yaml": "no catalogue", "a_test.txt": "no catalogue",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cat, findings, err := source.Load(dir)
	if cat == nil || len(findings) > 0 || err != nil {
		t.Fatalf("%v, %v", findings, err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "durward.yaml")} {
		names, err := source.Tests(path)
		want := []string{filepath.Join(dir, "_test.yaml"), filepath.Join(dir, "a_test.yml"), filepath.Join(dir, "b_test.yaml")}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("tests of %s: %q, %v", path, names, err)
		}
	}
	if _, err := source.Tests(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nowhere: %v", err)
	}
}

// A document is read as strictly as a catalogue, and knows where each of its values stands.
func TestDocument(t *testing.T) {
	t.Parallel()
	text := "version: 1\ntokens:\n  alice: { groups: [ a, { \"b.c\": 1 } ], uid: null }\n"
	tests := new(durwardv1.PolicyTests)
	document, findings := source.ParseDocument("a_test.yaml", []byte(text), tests)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	if got := tests.GetTokens().GetFields()["alice"].GetStructValue().GetFields()["groups"].GetListValue().GetValues(); len(got) != 2 {
		t.Errorf("groups are %v", got)
	}
	for path, want := range map[string][2]int{
		`tokens`: {3, 3}, `tokens["alice"]`: {3, 10}, `tokens["alice"]["groups"][0]`: {3, 22}, `tokens["alice"]["groups"][1]["b.c"]`: {3, 34},
		`tokens["alice"]["absent"]`: {3, 10}, `absent`: {1, 1},
	} {
		if at := document.At(path); at.File != "a_test.yaml" || [2]int{at.Line, at.Column} != want {
			t.Errorf("%s is at %v, want %v", path, at, want)
		}
	}
	for _, wrong := range []string{
		"version: 1\ntokens: &a {}\n", "version: 1\ntokens: {}\n---\n", "version: 1\ntokens: { a: 1e400 }\n",
		"version: 1\ntokens: { a: { b: 1, b: 2 } }\n", "version: 1\ntokens: { a: [ ~ ] }\n", "version: 1\ntokens: x\n",
		"version: 1\nnow: 2026-13-01T00:00:00Z\n", "version: 1\nnow: [ 2026-01-01T00:00:00Z ]\n", "version: 1\ngateways: []\n",
	} {
		if _, findings := source.ParseDocument("a_test.yaml", []byte(wrong), new(durwardv1.PolicyTests)); len(findings) == 0 {
			t.Errorf("%q is read", wrong)
		}
	}
}
