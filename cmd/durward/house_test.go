package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module       = "github.com/durward/durward"
	controlPlane = "github.com/envoyproxy/go-control-plane"
	anything     = "..."
)

// house says which of our packages each may import; one that ends in /... stands for
// all below it that have no row of their own. No import goes up this page.
var house = map[string][]string{
	"cmd/...":            {anything},
	"authz":              {"authz/wire", "policy/record", "policy", "policy/token", "policy/catalog", "policy/contract"},
	"authz/wire":         {"policy/contract"},
	"envoy/ads":          {"envoy", "policy/catalog", "policy/contract"},
	"envoy":              {"policy/catalog", "policy/contract"},
	"envoy/binary":       {},
	"policy/policytest":  {"policy", "policy/catalog", "policy/catalog/source", "policy/contract", "policy/token", "proto/durward/v1"},
	"policy/record":      {"policy", "policy/contract", "policy/token"},
	"policy":             {"policy/catalog", "policy/token", "policy/contract", "proto/durward/v1"},
	"policy/catalog/...": {"policy/catalog", "policy/clientkey", "policy/contract", "proto/durward/v1"},
	"policy/catalog":     {"policy/contract", "proto/durward/v1"},
	"policy/token/dpop":  {"policy/token", "policy/token/jwt"},
	"policy/token/...":   {"policy/clientkey", "policy/token"},
	"policy/clientkey":   {"policy/token"},
	"policy/token":       {},
	"policy/oktatest":    {},
	"policy/contract":    {},
	"proto/durward/v1":   {},
}

// Who may speak Envoy's protocols. Package serve registers authz with gRPC.
var speaksEnvoy = []string{"authz", "authz/wire", "envoy", "envoy/ads", "cmd/durward/serve"}

// listed is what `go list -json` says of a package, tests not counted.
type listed struct {
	ImportPath, Doc string
	Imports, Deps   []string
}

// list runs `go list -json` and returns the packages by their import path.
func list(t *testing.T, args ...string) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Doc,Imports,Deps"}, args...)...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]listed{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
	return all
}

// packages lists ours by their path within the module.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	all := map[string]listed{}
	for path, p := range list(t, "./...") {
		if name := ours(path); name != "zz" {
			all[name] = p
		}
	}
	for _, name := range []string{"cmd/durward", "authz", "envoy/ads", "policy/token"} {
		if len(all[name].Deps) == 0 {
			t.Fatalf("go list knows nothing of %s", name)
		}
	}
	return all
}

const root = "../.."

// ours is the path within the module, empty for a package of others.
func ours(path string) string {
	name, _ := strings.CutPrefix(path, module+"/")
	if name == path {
		return ""
	}
	return name
}

// row is the row of the house for a package: its own, or the longest that stands for it.
func row(name string) (may []string, ok bool) {
	may, ok = house[name]
	for up := name; !ok && strings.Contains(up, "/"); {
		up = up[:strings.LastIndexByte(up, '/')]
		may, ok = house[up+"/..."]
	}
	return may, ok
}

func TestHouse(t *testing.T) {
	t.Parallel()
	all := packages(t)
	for name, p := range all {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", name)
		}
		may, ok := row(name)
		if !ok {
			t.Errorf("%s has no row in the house", name)
		}
		for _, path := range p.Imports {
			imported := ours(path)
			if imported != "" && !slices.Contains(may, imported) && !slices.Contains(may, anything) {
				t.Errorf("%s may not import %s", name, imported)
			}
			if strings.HasPrefix(path, controlPlane+"/") && !slices.Contains(speaksEnvoy, name) {
				t.Errorf("%s may not import %s", name, path)
			}
		}
	}
	for name, banned := range map[string][]string{
		"policy":          {"net/http", "google.golang.org/grpc"},
		"policy/catalog":  {"net/http"},
		"policy/oktatest": {"testing"},
		"authz":           {module + "/envoy"},
		"envoy":           {module + "/authz"},
		"envoy/ads":       {module + "/authz"},
	} {
		for _, path := range banned {
			if slices.ContainsFunc(all[name].Deps, func(dep string) bool { return dep == path || strings.HasPrefix(dep, path+"/") }) {
				t.Errorf("%s links %s", name, path)
			}
		}
	}
}

// The program links nothing that is for tests; the control plane's logger has a variant
// for them in the same package, of which the linker keeps nothing.
func TestProgramIsNoTest(t *testing.T) {
	t.Parallel()
	linked := list(t, "-deps", "./cmd/durward")
	if len(linked) < 100 {
		t.Fatalf("go list names only %d packages", len(linked))
	}
	for path, p := range linked {
		if slices.Contains(p.Imports, "testing") && path != controlPlane+"/pkg/log" {
			t.Errorf("%s imports testing", path)
		}
	}
}

// files are the paths of all files that are, or are about to be, committed.
func files(t *testing.T) []string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skip("this is no checkout; git cannot tell which files are ours")
	}
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if !strings.HasPrefix(name, "zz/") {
			all = append(all, name)
		}
	}
	if !slices.Contains(all, "cmd/durward/main.go") {
		t.Fatalf("git lists only %d files, and not this command", len(all))
	}
	return all
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	known := strings.Fields("cmd authz policy envoy k8s proto go.mod go.sum Dockerfile README.md LICENSE")
	for _, name := range files(t) {
		top, _, _ := strings.Cut(name, "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(known, top) {
			t.Errorf("%s does not belong at the top level", name)
		}
	}
}

// secretLike matches private keys in PEM and signed JWTs. Keys and tokens of tests are
// made when they run.
var secretLike = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{16}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}`)

func TestNoSecretIsCommitted(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN EC PRIVATE" + " KEY-----\n" + strings.Repeat("Ab1+", 4)
	jwt := "eyJ" + strings.Repeat("a", 20) + ".eyJ" + strings.Repeat("b", 20) + "." + strings.Repeat("c", 43)
	for _, s := range []string{key, jwt} {
		if !secretLike.MatchString(s) {
			t.Fatalf("the pattern misses %q", s)
		}
	}
	for _, name := range files(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // about to be removed
		}
		if err != nil {
			t.Fatal(err)
		}
		if at := secretLike.FindIndex(text); at != nil {
			t.Errorf("%s:%d holds what looks like a key or a token", name, 1+bytes.Count(text[:at[0]], []byte("\n")))
		}
	}
}
