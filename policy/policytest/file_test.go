package policytest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
	"github.com/durward/durward/policy/policytest"
)

// Every mistake is found at its place, which is marked by ¦, and leaves no case to run.
func TestMistakes(t *testing.T) {
	t.Parallel()
	const good = "cases: [ { name: x, as: alice, method: GET, url: /orders/7, expect: allow } ]\n"
	for text, want := range map[string]string{
		"¦":                               "error DW008: the file is empty",
		"¦" + good:                        "error DW008: the file does not say its version",
		"version: ¦2\n":                   "error DW008: this version is unknown",
		"version: 1\n¦case: []\n":         `error DW002: key "case" is unknown here`,
		"version: 1\ncases: ¦]\n":         "error DW001: ",
		"version: 1\nnow: ¦tomorrow\n":    "error DW005: ",
		"version: 1\nnow: ¦2026-01-01\n":  "error DW005: ",
		"version: 1\ntokens: ¦[a]\n":      "error DW005: a list stands where keys and values are expected",
		"version: 1\ntokens: { a: ¦x }\n": "error DW006: a token is a mapping of claims",
		"version: 1\ntokens: { ¦a: }\n":   "error DW005: nothing is written for a",
		"version: 1\ntokens: { a: { uid: 1 }, ¦a: { uid: x } }\n":                                                  `error DW003: key "a" is already written at line 2`,
		"version: 1\ntokens: { \"-\": ¦{ uid: x } }\n":                                                             `error DW006: "-" cannot be the name of a token`,
		"version: 1\ntokens: { a: ¦{ uid: 7 } }\n":                                                                 "error DW006: the claims are not readable: uid is not a string",
		"version: 1\ntokens: { a: ¦{ UID: a, uid: a } }\n":                                                         "error DW006: the claims are not readable: member names that differ by case alone",
		"version: 1\ntokens: { a: { cid: a, client_id: ¦b } }\n":                                                   "error DW006: cid and client_id say the same",
		"version: 1\ntokens: { a: { cid: ¦a, application: b/c } }\n":                                               "error DW006: application and cid say the same",
		"version: 1\ntokens: { a: { application: ¦mobile } }\n":                                                    "error DW006: this is not the name of an application in its organization",
		"version: 1\ntokens: { a: { exp: 1, expires_in: ¦1s } }\n":                                                 "error DW006: exp and expires_in say the same",
		"version: 1\ntokens: { a: { scopes: ¦orders.read } }\n":                                                    "error DW006: scopes is not a list",
		"version: 1\ntokens: { a: ¦{ scopes: [1] } }\n":                                                            "error DW006: the claims are not readable: scp is not a list of strings",
		"version: 1\ntokens: { a: { expires_in: ¦5 } }\n":                                                          "error DW006: expires_in is not a duration",
		"version: 1\ntokens: { a: { auth_time: ¦yesterday } }\n":                                                   `error DW006: "yesterday" is no date`,
		"version: 1\ntokens: { a: { ¦on: x } }\n":                                                                  "error DW005: this key is not a string to every reader of YAML",
		"version: 1\ntokens: { a: ¦{ exp: 1.5 } }\n":                                                               "error DW006: the claims are not readable: exp is not a date in whole seconds",
		"version: 1\ntokens: { a: { exp: ¦2026-01-01T12:00:00Z } }\n":                                              "error DW005: 2026-01-01T12:00:00Z is not a string to every reader of YAML",
		"version: 1\ntokens: { a: { bound: ¦jkt } }\n":                                                             "error DW006: bound is neither true nor false",
		"version: 1\ntokens: { a: { active: ¦false } }\n":                                                          "error DW006: active is no claim of a token",
		"version: 1\ntokens: { a: { employee: ¦0123 } }\n":                                                         "error DW005: 0123 is not a string to every reader of YAML",
		"version: 1\ntokens: { a: { employee: ¦9007199254740993 } }\n":                                             "error DW005: the number 9007199254740993 is too great to be exact",
		"version: 1\ntokens: { a: { c: { b: [ ¦yes ] } } }\n":                                                      "error DW005: yes is not a string to every reader of YAML",
		"version: 1\ncases: [ { name: x, method: GET, url: /, expect: ¦al } ]\n":                                   `error DW006: expect "al" is unknown`,
		"version: 1\ncases: [ ¦{ method: GET, url: /, expect: allow } ]\n":                                         "error DW006: name is missing",
		"version: 1\ncases: [ ¦{ name: x, url: /, expect: allow } ]\n":                                             "error DW006: method is missing",
		"version: 1\n" + strings.Replace(good, "alice", "¦alice", 1):                                               `error DW102: token "alice" is not declared`,
		"version: 1\ncases: [ { name: x, method: GET, url: ¦orders, expect: deny } ]\n":                            "error DW006: the URL is neither",
		"version: 1\ncases: [ { name: x, method: GET, url: ¦\"http://u:p@h/\", expect: deny } ]\n":                 "error DW006: the URL has no usable host",
		"version: 1\ncases: [ { name: x, method: GET, url: /, expect: deny, reason: ¦scope_mising } ]\n":           `error DW006: "scope_mising" is no reason of a denial`,
		"version: 1\ncases: [ { name: x, method: GET, url: /, expect: allow, reason: ¦internal } ]\n":              "error DW006: an allowed request has no reason",
		"version: 1\ncases: [ { name: x, method: GET, url: /, expect: deny, headers: ¦{ a: b } } ]\n":              "error DW006: the backend sees headers of allowed requests alone",
		"version: 1\ncases: [ { name: x, method: GET, url: /, expect: allow, headers: { x-claim-level: ¦3 } } ]\n": "error DW006: x-claim-level is neither a string nor null",
		"version: 1\ncases: [ { name: x, method: GET, url: /, expect: deny, source_ip: ¦localhost } ]\n":           `error DW006: "localhost" is no IP address`,
		"version: 1\nmatrix: [ ¦{ requests: [GET /] } ]\n":                                                         "error DW006: nothing is expected of these requests",
		"version: 1\nmatrix: [ { requests: ¦[], allow: [\"-\"] } ]\n":                                              "error DW006: requests is empty",
		"version: 1\nmatrix: [ { requests: [¦GET], allow: [\"-\"] } ]\n":                                           `error DW006: "GET" is no request`,
		"version: 1\nmatrix: [ { requests: [GET /], allow: [¦bob] } ]\n":                                           `error DW102: token "bob" is not declared`,
		"version: 1\nmatrix: [ { requests: [GET /], deny: { \"-\": ¦no } } ]\n":                                    "error DW005: no is not a string",
		"version: 1\nmatrix: [ { requests: [GET /], deny: { \"-\": ¦[a] } } ]\n":                                   `error DW006: "" is no reason of a denial`,
	} {
		before, after, _ := strings.Cut(text, "¦")
		line := before[strings.LastIndexByte(before, '\n')+1:]
		place := fmt.Sprintf("a_test.yaml:%d:%d: ", strings.Count(before, "\n")+1, len(line)+1)
		cases, findings := policytest.Parse("a_test.yaml", []byte(before+after))
		if len(cases) > 0 || len(findings) == 0 {
			t.Errorf("%q: %d cases, findings %v", text, len(cases), findings)
			continue
		}
		if got := findings[0].String(); !strings.HasPrefix(got, place+want) {
			t.Errorf("%q:\ngot  %s\nwant %s", text, got, place+want)
		}
		if f := findings[0]; f.Fix == "" || f.Line == "" && before+after != "" {
			t.Errorf("%q: fix %q, line %q", text, f.Fix, f.Line)
		}
	}
}

// All mistakes of a file are told at once.
func TestEveryMistake(t *testing.T) {
	t.Parallel()
	_, findings := policytest.Parse("a_test.yaml", []byte(`version: 1
tokens: { alice: { uid: 7 } }
cases:
  - { name: x, as: alise, method: GET, url: orders, expect: deny, reason: no_reason }
matrix:
  - { requests: [GET], deny: { bob: late } }
`))
	var lines []string
	for _, f := range findings {
		lines = append(lines, fmt.Sprintf("%d:%d", f.At.Line, f.At.Column))
	}
	if got, want := strings.Join(lines, " "), "2:18 4:20 4:45 4:75 6:18 6:37"; got != want {
		t.Errorf("findings at %s, want %s: %v", got, want, findings)
	}
	if !strings.Contains(findings[1].Fix, `"alice"`) {
		t.Errorf("the fix of %v is %q", findings[1], findings[1].Fix)
	}
}

// What is too large is refused, and soon.
func TestBounds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a_test.yaml")
	for name, text := range map[string]string{
		"bytes": "version: 1 #" + strings.Repeat("x", 4<<20),
		"cells": "version: 1\nmatrix:\n" + strings.Repeat("  - { requests: ["+strings.Repeat("GET /,", 999)+"GET /], allow: [\"-\"] }\n", 11),
		"rows":  "version: 1\nmatrix:\n  - { requests: [" + strings.Repeat("GET /,", 1000) + "GET /], allow: [\"-\"] }\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cases, findings := policytest.Load(path)
		if len(cases) > 0 || len(findings) != 1 || findings[0].Severity != catalog.Error {
			t.Errorf("%s: %d cases, %d findings", name, len(cases), len(findings))
		}
	}
	if cases, findings := policytest.Load(filepath.Join(path, "absent")); len(cases) > 0 || len(findings) != 1 || findings[0].Code != "DW010" {
		t.Errorf("no file: %v", findings)
	}
}

// FuzzParse holds that no text brings the reader down, and that it makes cases, or findings
// with a place in the text, and never both.
func FuzzParse(f *testing.F) {
	f.Add(tokens + "cases: [ { name: x, as: alice, method: GET, url: /orders/7, expect: allow, headers: { a: null } } ]\n")
	f.Add("version: 1\nnow: 2026-01-01T12:00:00Z\nmatrix: [ { requests: [GET /], allow: [\"-\"], deny: { a: token_missing } } ]\n")
	f.Add("version: 1\ntokens: { a: { b: [ { c: null } ], exp: -1s, bound: true, \"a.b[0]\": 1e9 } }\n")
	cat, _ := source.Parse("world.yaml", []byte(world))
	f.Fuzz(func(t *testing.T, text string) {
		cases, findings := policytest.Parse("a_test.yaml", []byte(text))
		if len(cases) > 0 && catalog.HasErrors(findings) {
			t.Error("cases beside errors")
		}
		lines := strings.Count(text, "\n") + 1
		for _, found := range findings {
			if found.At.File != "a_test.yaml" || found.At.Line > lines || found.Message == "" {
				t.Errorf("%+v", found)
			}
		}
		for _, c := range cases[:min(len(cases), 20)] {
			if r := c.Run(cat); len(r.Wrong) == 0 && !strings.HasPrefix(r.Got(), string(c.Expect)) {
				t.Errorf("%s passed with %s", c.Name, r.Got())
			}
		}
	})
}
