package catalog

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCheckPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/a/": true, "/a/b.c-d_~": true, "/a%20b": true, "/a%c3%a9": true, "/a,b=c@d:e!f$g&h'(i)*+[]": true,
		"/...": true, "/%25zz": true, "/a%25": true, "/" + strings.Repeat("a", 16<<10-1): true,
		"": false, "a": false, "//": false, "/a//b": false, "/.": false, "/..": false, "/a/../b": false, "/a/./b": false, "/a/..": false,
		"/a;b": false, "/a\\b": false, "/a#b": false, "/a b": false, "/a\tb": false, "/a\x00": false, "/a\x7f": false, "/é": false,
		"/a\"": false, "/<a>": false, "/^": false, "/{a}": false, "/a|b": false, "/`": false,
		"/%": false, "/%2": false, "/%zz": false, "/%2/x": false, "/%2f": false, "/%2F": false, "/%5c": false, "/%5C": false, "/%00": false, "/%7F": false,
		"/%41": false, "/%2e%2e": false, "/%2E": false, "/%7e": false, "/%2541": false, "/%252f": false, "/%25%32": false,
		"/" + strings.Repeat("a", 16<<10): false,
	} {
		if err := CheckPath(path); (err == nil) != want {
			t.Errorf("%.40q: %v; want %t", path, err, want)
		}
	}
}

// TestLiteralsArePaths holds that whatever a configuration can write as a literal, a
// request can carry.
func TestLiteralsArePaths(t *testing.T) {
	t.Parallel()
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		part := strings.Join(rapid.SliceOfN(rapid.OneOf(
			rapid.StringMatching(`[ -~]`), rapid.StringMatching(`%[0-9A-Fa-f]{2}`), rapid.StringMatching(`[a-z.%é*;]{1,2}`),
		), 1, 4).Draw(t, "parts"), "")
		if checkLiteral(part) != nil {
			return
		}
		accepted++
		if err := CheckPath("/" + part); !strings.Contains(part, "/") && err != nil {
			t.Fatalf("%q: %v", part, err)
		}
	})
	if accepted == 0 {
		t.Error("no literal was accepted")
	}
}
