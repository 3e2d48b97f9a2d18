package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// junitSchema is what the JUnit schema of Jenkins has of ours: for each element its
// attributes, and the elements that may be in it. All attributes are written.
var junitSchema = map[string]struct{ attributes, children []string }{
	"":           {nil, []string{"testsuites"}},
	"testsuites": {[]string{"name", "tests", "failures", "errors"}, []string{"testsuite"}},
	"testsuite":  {[]string{"name", "tests", "failures", "errors", "time"}, []string{"testcase"}},
	"testcase":   {[]string{"name", "classname", "time"}, []string{"failure", "error"}},
	"failure":    {[]string{"type", "message"}, nil},
	"error":      {[]string{"type", "message"}, nil},
}

// JUnit XML has the form that its readers know, and its numbers are those of its elements,
// whatever the names of the cases are.
func TestJUnit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"unreadable_test.yaml": "version: 1\ncases: [ { name: x, as: al, method: GET, url: x, expect: deny } ]\n",
		"names_test.yaml": `version: 1
cases:
  - { name: "]]> & < \" 'é' 漢", method: GET, url: "/orders/<7>&", expect: deny }
  - { name: fails, method: GET, url: /orders/7, expect: deny, reason: scope_missing }
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, stderr := runs(t, dir, nil, "init"); code != 0 {
		t.Fatal(stderr)
	}
	code, stdout, stderr := runs(t, dir, nil, "test", "-o", "junit", "nowhere", ".")
	if code != 3 || !strings.Contains(stderr, "error DW102") {
		t.Errorf("exit code %d:\n%s", code, stderr)
	}
	counts := map[string]int{}
	var told [3]int // by testsuites: tests, failures, errors
	at := []string{""}
	for d := xml.NewDecoder(strings.NewReader(stdout)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v:\n%s", err, stdout)
		}
		switch element := token.(type) {
		case xml.StartElement:
			name := element.Name.Local
			if inside := at[len(at)-1]; !slices.Contains(junitSchema[inside].children, name) {
				t.Errorf("%s stands in %q", name, inside)
			}
			var names []string
			for i, a := range element.Attr {
				names = append(names, a.Name.Local)
				if name == "testsuites" && i > 0 {
					told[i-1], _ = strconv.Atoi(a.Value)
				}
			}
			if !slices.Equal(names, junitSchema[name].attributes) {
				t.Errorf("%s has %q", name, names)
			}
			counts[name]++
			at = append(at, name)
		case xml.EndElement:
			at = at[:len(at)-1]
		}
	}
	if got := [3]int{counts["testcase"], counts["failure"], counts["error"]}; got != told || got[1] != 1 || got[2] != 3 || counts["testsuite"] != 4 {
		t.Errorf("%v; told are %v:\n%s", counts, told, stdout)
	}
}
