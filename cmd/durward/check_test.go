package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/catalog"
)

// took is what a run of check ends with.
var took = regexp.MustCompile(`\(\d+ ms\)\n$`)

// TestCheckText holds the words of check: all findings at once and how many, or one line
// that says what is good.
func TestCheckText(t *testing.T) {
	t.Parallel()
	good := somewhere().write(t, "secret")
	code, stdout, stderr := runs(t, filepath.Dir(good), nil, "check")
	if code != 0 || stderr != "" || !regexp.MustCompile(`^durward\.yaml: good; revision [0-9a-f]{12}, 1 file, 1 API \(\d+ ms\)\n$`).MatchString(stdout) {
		t.Errorf("good: %d %q %q", code, stdout, stderr)
	}
	wrong := edited(t, "api: orders, organization: retail, applications: [mobile]", "api: order, organization: retial, applications: []")
	code, stdout, stderr = runs(t, filepath.Dir(wrong), nil, "check", "--color", "never")
	want := `durward.yaml:17:18: error DW102: API "order" is not declared
  17 | grants: [ { api: order, organization: retial, applications: [] } ]
     |                  ^~~~~
  fix: did you mean "orders" (durward.yaml:12)?  (durward help DW102)
durward.yaml:17:39: error DW102: organization "retial" is not declared
  17 | grants: [ { api: order, organization: retial, applications: [] } ]
     |                                       ^~~~~~
  fix: did you mean "retail" (durward.yaml:10)?  (durward help DW102)
2 errors, 0 warnings in 1 file `
	if diff := cmp.Diff(want, took.ReplaceAllString(stderr, "")); code != 3 || stdout != "" || diff != "" {
		t.Errorf("wrong: %d %q (-want +got):\n%s", code, stdout, diff)
	}
	_, _, coloured := runs(t, filepath.Dir(wrong), nil, "check", "--color", "always")
	if plain := regexp.MustCompile(`\x1b\[\d*m`).ReplaceAllString(coloured, ""); !strings.Contains(coloured, "\x1b[31merror\x1b[0m") || took.ReplaceAllString(plain, "") != took.ReplaceAllString(stderr, "") {
		t.Errorf("coloured:\n%s", coloured)
	}
}

// TestCheckSecrets holds that a missing secret is a warning, unless it must be there.
func TestCheckSecrets(t *testing.T) {
	t.Parallel()
	absent := edited(t, "client_secret_file: secret", "client_secret_file: absent")
	code, stdout, stderr := runs(t, filepath.Dir(absent), nil, "check")
	if code != 0 || !strings.Contains(stdout, ": good; ") || !strings.Contains(stderr, ": warning DW309: ") || !strings.Contains(stderr, "\n0 errors, 1 warning in 1 file") {
		t.Errorf("check: %d %q %q", code, stdout, stderr)
	}
	code, stdout, stderr = runs(t, filepath.Dir(absent), nil, "check", "--secrets")
	if code != 3 || stdout != "" || !strings.Contains(stderr, "durward.yaml:8:") || !strings.Contains(stderr, ": error DW309: ") || !strings.Contains(stderr, "| ") {
		t.Errorf("check --secrets: %d %q %q", code, stdout, stderr)
	}
}

// TestCheckJSON holds the documented object, over several configurations.
func TestCheckJSON(t *testing.T) {
	t.Parallel()
	good := somewhere().write(t, "secret")
	wrong := edited(t, "token_policy: okta-users", "token_policy: okta-user")
	code, stdout, stderr := runs(t, t.TempDir(), nil, "check", "-o", "json", good, wrong, "absent.yaml")
	if code != 3 || stderr != "" {
		t.Fatalf("check: %d %q", code, stderr)
	}
	var got struct {
		Findings         []map[string]any
		Errors, Warnings int
		Configurations   []map[string]any
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.Errors != 2 || got.Warnings != 0 || len(got.Findings) != 2 || len(got.Configurations) != 3 {
		t.Fatalf("check says %s", stdout)
	}
	want := map[string]any{
		"code": "DW102", "severity": "error", "file": wrong, "line": 15.0, "column": 19.0, "width": 9.0,
		"path": "apis[0].token_policy", "message": `token policy "okta-user" is not declared`, "fix": `did you mean "okta-users" (` + wrong + `:9)?`,
	}
	if diff := cmp.Diff(want, got.Findings[0]); diff != "" {
		t.Errorf("finding (-want +got):\n%s", diff)
	}
	if got.Findings[1]["code"] != "DW010" || got.Findings[1]["file"] != "absent.yaml" || got.Findings[1]["line"] != 0.0 {
		t.Errorf("finding %v", got.Findings[1])
	}
	if c := got.Configurations[0]; c["path"] != good || c["files"] != 1.0 || c["apis"] != 1.0 || len(c["revision"].(string)) != 12 {
		t.Errorf("configuration %v", c)
	}
	if got.Configurations[1]["revision"] != "" || got.Configurations[2]["files"] != 0.0 {
		t.Errorf("configurations %v", got.Configurations)
	}
	_, stdout, _ = runs(t, filepath.Dir(good), nil, "check", "-o", "json")
	if !strings.Contains(stdout, `"findings": []`) {
		t.Errorf("no findings are no empty list:\n%s", stdout)
	}
}

// TestCheckGitHub holds that annotations are one line each, whatever they say.
func TestCheckGitHub(t *testing.T) {
	t.Parallel()
	wrong := edited(t, "token_policy: okta-users", "token_policy: okta-user")
	code, stdout, stderr := runs(t, filepath.Dir(wrong), nil, "check", "-o", "github")
	want := `::error file=durward.yaml,line=15,col=19,title=DW102::token policy "okta-user" is not declared%0Afix: did you mean "okta-users" (durward.yaml:9)?` + "\n"
	if code != 3 || stdout != want || !strings.HasPrefix(stderr, "1 error, 0 warnings in 1 file") {
		t.Errorf("check: %d %q %q", code, stdout, stderr)
	}
	f := catalog.Finding{
		Code: "DW001", Severity: catalog.Warning, At: catalog.Position{File: "a,b:c%\n.yaml"},
		Message: "50% of\r\n::error::it", Fix: "a, b: c",
	}
	if got, want := annotation(f), "::warning file=a%2Cb%3Ac%25%0A.yaml,title=DW001::50%25 of%0D%0A::error::it%0Afix: a, b: c"; got != want {
		t.Errorf("annotation %q; want %q", got, want)
	}
}

// TestCheckLists holds that check lists what passes without a token or a verdict, and who
// is turned away.
func TestCheckLists(t *testing.T) {
	t.Parallel()
	file := edited(t, "    operations: [ ", "    mode: shadow\n    protected_resource: true\n    operations: [ { methods: [GET, HEAD], path: /health, public: true }, ")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.Write(text)
	b.WriteString("denials:\n  - { user_id: 00u1, until: 2999-12-31T18:00:00+01:00, reason: left }\n  - { user_id: 00u2, until: 2020-01-01T00:00:00Z, reason: back }\n  - { token_id: AT.1, reason: stolen }\n")
	for i := range 25 {
		fmt.Fprintf(&b, "  - { token_id: T%d, reason: many }\n", i)
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runs(t, filepath.Dir(file), nil, "check")
	want := regexp.MustCompile(`^durward\.yaml: good; .*
  public: orders GET,HEAD /orders/health \(durward\.yaml:\d+\)
  public: orders GET /\.well-known/oauth-protected-resource/orders \(durward\.yaml:\d+\)
  shadow: orders \(durward\.yaml:\d+\)
  denied: user "00u1" until 2999-12-31T17:00:00Z, left \(durward\.yaml:\d+\)
  denied: token "AT\.1", stolen \(durward\.yaml:\d+\)
(?:  denied: token "T\d+", many \(durward\.yaml:\d+\)
){18}  denied: and 7 more
$`)
	if code != 0 || stderr != "" || !want.MatchString(stdout) {
		t.Errorf("check: %d %q\n%s", code, stderr, stdout)
	}
	_, stdout, _ = runs(t, filepath.Dir(file), nil, "check", "-o", "json")
	var got struct {
		Configurations []struct{ Public, Shadow, Denials []string }
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if c := got.Configurations[0]; len(c.Public) != 2 || len(c.Shadow) != 1 || len(c.Denials) != 27 || !strings.HasPrefix(c.Shadow[0], "orders (") {
		t.Errorf("check -o json: %+v", c)
	}
}

// TestCheckPortZero checks what serve can serve: a port that the kernel chooses.
func TestCheckPortZero(t *testing.T) {
	t.Parallel()
	file := edited(t, "127.0.0.1:9001", "127.0.0.1:0")
	if code, _, stderr := runs(t, filepath.Dir(file), nil, "check"); code != 0 {
		t.Errorf("check: %d %s", code, stderr)
	}
}

// TestHelpTopics explains every finding and reason, commands as ever, and says what was
// meant otherwise.
func TestHelpTopics(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"DW102"}, 0, []string{"DW102  error: ", "\nCause\n  ", "\nFix\n  "}},
		{[]string{"dw102"}, 0, []string{"DW102  error: "}},
		{[]string{"scope_missing"}, 0, []string{"scope_missing  403: ", "\nCause\n  ", "\nFix\n  "}},
		{[]string{"token_revoked"}, 0, []string{"the caller reads token_inactive"}},
		{[]string{"serve"}, 0, []string{"Usage:\n  durward serve"}},
		{[]string{"help"}, 0, []string{"Usage:\n  durward help"}},
		{[]string{}, 0, []string{"Usage:\n  durward", "\n  DW001 ", "\n  DW406 ", "\n  token_missing "}},
		{[]string{"foreign-envoy"}, 0, []string{"foreign_envoy: true", "\nname: envoy.filters.http.ext_authz\n", "failure_mode_allow: false", "encode_raw_headers"}},
		{[]string{"DW115"}, 2, []string{`"DW115" is no command, finding or reason; did you mean "DW105"?`, "see durward help --help"}},
		{[]string{"scope_mising"}, 2, []string{`did you mean "scope_missing"?`}},
		{[]string{"serv"}, 2, []string{`did you mean "serve"?`}},
		{[]string{"serve", "DW102"}, 2, []string{`"serve DW102" is no command`}},
	} {
		code, stdout, stderr := runs(t, t.TempDir(), nil, append([]string{"help"}, tt.args...)...)
		if code != tt.code || (stdout == "") == (code == 0) || (stderr == "") != (code == 0) {
			t.Errorf("help %v: %d %q %q", tt.args, code, stdout, stderr)
		}
		for _, want := range tt.says {
			if !strings.Contains(stdout+stderr, want) {
				t.Errorf("help %v does not say %q:\n%s%s", tt.args, want, stdout, stderr)
			}
		}
		for line := range strings.Lines(stdout) {
			if len(tt.args) == 1 && strings.HasPrefix(line, "  ") && len(line) > 81 && tt.args[0] != "serve" && tt.args[0] != "help" && !strings.Contains(line, "@type") {
				t.Errorf("help %v has a long line: %q", tt.args, line)
			}
		}
	}
	_, stdout, _ := runs(t, t.TempDir(), nil, "__complete", "help", "scope")
	if !strings.HasPrefix(stdout, "scope_missing\t403: ") {
		t.Errorf("completion says %q", stdout)
	}
}

// TestSchemaIsPrinted holds that an editor can read what schema prints.
func TestSchemaIsPrinted(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runs(t, t.TempDir(), nil, "schema")
	var schema struct {
		Schema     string `json:"$schema"`
		Properties map[string]any
	}
	if err := json.Unmarshal([]byte(stdout), &schema); err != nil || code != 0 || stderr != "" {
		t.Fatalf("schema: %d %v %q", code, err, stderr)
	}
	if !strings.Contains(schema.Schema, "draft-07") || schema.Properties["grants"] == nil {
		t.Errorf("schema says %v", schema)
	}
}

// BenchmarkCheck checks a configuration of 500 APIs, with its translation for Envoy.
func BenchmarkCheck(b *testing.B) {
	dir := b.TempDir()
	var text strings.Builder
	text.WriteString(`version: 1
gateways: [ { name: edge, listen: "127.0.0.1:10000", url: "http://127.0.0.1:10000" } ]
authorization_servers:
  - { name: default, issuer: "https://example.okta.com/oauth2/default", audience: "api://default", introspection: { client_id: 0oaGATEWAY, auth_method: none } }
token_policies: [ { name: okta-users, authorization_server: default, verify: introspection } ]
organizations: [ { name: retail, applications: [ { name: mobile, client_ids: [0oaMOBILE] } ] } ]
apis:
`)
	names := make([]string, 500)
	for i := range names {
		names[i] = "orders-" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26))
		text.WriteString(strings.ReplaceAll(`  - name: NAME
    frontend: { hosts: ["*"], path: /NAME }
    backend: { url: "http://NAME.internal:8080" }
    token_policy: okta-users
    operations:
      - { methods: [GET], path: "/{id}", scopes: { all: [orders.read] } }
      - { methods: [POST], path: /, scopes: { any: [orders.write, orders.admin] } }
      - { methods: [GET, PUT, DELETE], path: "/{id}/items/{item}", scopes: { all: [orders.write] } }
`, "NAME", names[i]))
	}
	text.WriteString("grants:\n")
	for _, name := range names {
		text.WriteString("  - { api: " + name + ", organization: retail, applications: [mobile] }\n")
	}
	file := filepath.Join(dir, "durward.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		cmd := newCheck()
		cmd.SetArgs([]string{file})
		cmd.SetOut(new(output))
		if err := cmd.ExecuteContext(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
