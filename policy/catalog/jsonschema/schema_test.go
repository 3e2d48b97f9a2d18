package jsonschema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/tools/txtar"

	"github.com/durward/durward/policy/catalog/jsonschema"
	"github.com/durward/durward/policy/catalog/source"
)

// compiled is the schema, which must itself be valid by draft-07.
func compiled(t *testing.T) *validator.Schema {
	t.Helper()
	text, err := jsonschema.Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := validator.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	c.DefaultDraft(validator.Draft4) // so that $schema is what counts
	if err := c.AddResource("durward.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("durward.json")
	if err != nil {
		t.Fatal(err)
	}
	if s.DraftVersion != 7 {
		t.Fatalf("the schema is of draft %d", s.DraftVersion)
	}
	return s
}

// validate holds YAML against the schema, by way of JSON.
func validate(t *testing.T, s *validator.Schema, text []byte) error {
	t.Helper()
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	value, err := validator.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(value)
}

// TestValidCatalogues holds that what loads without a finding satisfies the schema.
func TestValidCatalogues(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	cases, err := filepath.Glob("../source/testdata/valid*.txtar")
	if err != nil || len(cases) < 3 {
		t.Fatalf("cases %v: %v", cases, err)
	}
	for _, name := range cases {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if f.Name == "want" {
				continue
			}
			if err := validate(t, s, f.Data); err != nil {
				t.Errorf("%s, %s: %v", name, f.Name, err)
			}
		}
	}
}

// TestBrokenCatalogues breaks a valid catalogue in one place each. Package source
// refuses the same.
func TestBrokenCatalogues(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	archive, err := txtar.ParseFile("../source/testdata/valid.txtar")
	if err != nil {
		t.Fatal(err)
	}
	text := string(archive.Files[0].Data)
	for _, tt := range []struct{ name, old, broken string }{
		{"no version", "version: 1\n", ""},
		{"another version", "version: 1", "version: 2"},
		{"a quoted version", "version: 1", `version: "1"`},
		{"an unknown section", "apis:", "api:"},
		{"an unknown key", "audience:", "audiance:"},
		{"an inline secret", "client_secret_file: /run/secrets/okta", "client_secret: x"},
		{"a malformed name", "name: mobile", "name: Mobile"},
		{"a name too long", "name: mobile", "name: " + strings.Repeat("a", 64)},
		{"no name", "name: mobile, ", ""},
		{"an empty issuer", "issuer: https://example.okta.com/oauth2/default", `issuer: ""`},
		{"no introspection", "    introspection: { client_id: 0oaGATEWAY, client_secret_file: /run/secrets/okta }\n", ""},
		{"an unknown method of authentication", "client_id: 0oaGATEWAY,", "client_id: 0oaGATEWAY, auth_method: basic,"},
		{"an unknown verification", "verify: introspection", "verify: never"},
		{"a number for a duration", "max_age: 0s", "max_age: 30"},
		{"a negative duration", "max_age: 0s", "max_age: -30s"},
		{"no client ids", "client_ids: [0oaf2no1n6hPswFV10h7]", "client_ids: []"},
		{"a malformed client id", "0oaf2no1n6hPswFV10h7", `"a b"`},
		{"no hosts", `hosts: ["*"]`, "hosts: []"},
		{"too many retries", "url: http://orders.internal:8080", "url: http://orders.internal:8080, retries: 6"},
		{"an unknown protocol", "url: http://orders.internal:8080", "url: http://orders.internal:8080, protocol: h2c"},
		{"a backend without a URL", "url: http://orders.internal:8080", "retries: 1"},
		{"too large a weight", "backend: { url: http://orders.internal:8080 }", "backends: [{ url: http://orders.internal:8080, weight: 1001 }, { url: http://b.internal, weight: 1 }]"},
		{"an unknown method", "methods: [GET]", "methods: [GTE]"},
		{"a method twice", "methods: [GET]", "methods: [GET, GET]"},
		{"no method", "methods: [GET]", "methods: []"},
		{"a string for a list", "methods: [GET]", "methods: GET"},
		{"a malformed scope", "all: [orders.read]", `all: ["orders read"]`},
		{"unknown tokens", "audience: api://default", "audience: api://default\n    tokens: jwe"},
		{"no tokens", "audience: api://default", "audience: api://default\n    tokens: \"\""},
		{"an unknown algorithm", "audience: api://default", "audience: api://default\n    algorithms: [none]"},
		{"no algorithm", "audience: api://default", "audience: api://default\n    algorithms: []"},
		{"an algorithm twice", "audience: api://default", "audience: api://default\n    algorithms: [RS256, RS256]"},
		{"a negative leeway", "audience: api://default", "audience: api://default\n    leeway: -1s"},
		{"no issuers", "issuer: https://example.okta.com/oauth2/default", "issuers: []"},
		{"five issuers", "issuer: https://example.okta.com/oauth2/default", "issuers: [https://a, https://b, https://c, https://d, https://e]"},
		{"an issuer twice", "issuer: https://example.okta.com/oauth2/default", "issuers: [https://a, https://a]"},
		{"an empty name for a method of authentication", "client_id: 0oaGATEWAY,", "client_id: 0oaGATEWAY, auth_method: \"\","},
		{"an inline key", "client_secret_file: /run/secrets/okta", "private_key: x"},
		{"an unknown way to log users", "version: 1", "version: 1\nlog: { user: plain }"},
		{"tls without a key", "version: 1", "version: 1\nlisteners: { check: { tls: { cert_file: c } } }"},
		{"tls without a certificate", "version: 1", "version: 1\nlisteners: { check: { tls: { key_file: k } } }"},
		{"no names of clients", "version: 1", "version: 1\nlisteners: { check: { tls: { cert_file: c, key_file: k, client_ca_file: ca, allowed_sans: [] } } }"},
		{"a mode of three digits", "version: 1", "version: 1\nlisteners: { check: { address: \"unix:/run/s\", mode: \"660\" } }"},
		{"a mode without its owner", "version: 1", "version: 1\nlisteners: { check: { address: \"unix:/run/s\", mode: \"0060\" } }"},
		{"tls for the operations port", "version: 1", "version: 1\nlisteners: { ops: { tls: { cert_file: c, key_file: k } } }"},
		{"a header with a capital", "version: 1", "version: 1\nheaders: { claims: { Email: email } }"},
		{"a header of a list", "version: 1", "version: 1\nheaders: { claims: { email: [email] } }"},
		{"a header without a claim", "version: 1", "version: 1\nheaders: { claims: { email: \"\" } }"},
		{"a list for a mapping", "version: 1", "version: 1\nheaders: { claims: [email] }"},
		{"too many headers", "version: 1", "version: 1\nheaders: { claims: { " + many(65) + " } }"},
		{"an unknown preset", "version: 1", "version: 1\nheaders: { preset: nginx }"},
		{"a date for a time", "version: 1", "version: 1\ndenials: [ { user_id: u, reason: r, until: \"2026-12-31\" } ]"},
		{"a time without a zone", "version: 1", "version: 1\ndenials: [ { user_id: u, reason: r, until: \"2026-12-31T00:00:00\" } ]"},
		{"a denial without a reason", "version: 1", "version: 1\ndenials: [ { user_id: u } ]"},
		{"a claim of a list", "token_policy: okta-users", "token_policy: okta-users\n    claims: [ { claim: a, equals: [x] } ]"},
		{"a claim of a mapping", "token_policy: okta-users", "token_policy: okta-users\n    claims: [ { claim: a, contains: { x: y } } ]"},
		{"a claim of nothing", "token_policy: okta-users", "token_policy: okta-users\n    claims: [ { claim: a, one_of: [null] } ]"},
		{"no claim", "token_policy: okta-users", "token_policy: okta-users\n    claims: [ { equals: x } ]"},
		{"an unknown mode", "token_policy: okta-users", "token_policy: okta-users\n    mode: dry"},
		{"no origins", "token_policy: okta-users", "token_policy: okta-users\n    cors: { allow_origins: [] }"},
		{"a class with a blank", "token_policy: okta-users", "token_policy: okta-users\n    acr_values: [\"a b\"]"},
		{"a string for enabled", "name: mobile,", "name: mobile, enabled: \"no\","},
		{"a string for a truth value", "applications: [mobile] }", `applications: [mobile], all_applications: "no" }`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			broken := strings.Replace(text, tt.old, tt.broken, 1)
			if broken == text {
				t.Fatalf("the catalogue holds no %q", tt.old)
			}
			if err := validate(t, s, []byte(broken)); err == nil {
				t.Error("it satisfies the schema")
			}
			if cat, _ := source.Parse("a.yaml", []byte(broken)); cat != nil {
				t.Error("it loads")
			}
		})
	}
}

// many is as many headers of claims.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "h%d: c, ", i)
	}
	return b.String()
}

// TestSingleValues holds that the schema and the reader agree on what a claim may be
// compared with, and on what a time is.
func TestSingleValues(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	for text, want := range map[string]bool{
		`token_policies: [ { name: a, authorization_server: b, verify: jwt, claims: [ { claim: c, equals: x } ] } ]`:                   true,
		`token_policies: [ { name: a, authorization_server: b, verify: jwt, claims: [ { claim: c, equals: 1 } ] } ]`:                   true,
		`token_policies: [ { name: a, authorization_server: b, verify: jwt, claims: [ { claim: c, one_of: [1.5, true, x, "1"] } ] } ]`: true,
		`token_policies: [ { name: a, authorization_server: b, verify: jwt, claims: [ { claim: c, equals: null } ] } ]`:                false,
		`token_policies: [ { name: a, authorization_server: b, verify: jwt, claims: [ { claim: c, equals: { a: b } } ] } ]`:            false,
		`denials: [ { user_id: u, reason: r, until: 2026-12-31T18:00:00Z } ]`:                                                          true,
		`denials: [ { user_id: u, reason: r, until: "2026-12-31T18:00:00.25+01:00" } ]`:                                                true,
		`denials: [ { user_id: u, reason: r, until: 2026-12-31 } ]`:                                                                    false,
		`denials: [ { user_id: u, reason: r, until: "2026-12-31t18:00:00z" } ]`:                                                        false,
		`organizations: [ { name: o, enabled: false, applications: [ { name: a, client_ids: [i], enabled: true } ] } ]`:                true,
		`organizations: [ { name: o, enabled: 0 } ]`:                                                                                   false,
		`headers: { prefix: x-a-, claims: { a: b.c, "1": d }, preset: istio }`:                                                         true,
		`headers: { claims: { a: 1 } }`: false,
	} {
		text := []byte("version: 1\n" + text + "\n")
		valid := validate(t, s, text) == nil
		_, findings := source.Parse("a.yaml", text)
		read := true
		for _, f := range findings {
			read = read && f.Code != "DW005" && f.Code != "DW006"
		}
		if valid != want || read != want {
			t.Errorf("%s: the schema says %t, the reader %t; want %t: %v", text, valid, read, want, findings)
		}
	}
}

// TestDurations holds that the schema and the reader agree on what a duration is.
func TestDurations(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	for written, want := range map[string]bool{
		"2s": true, "1s500ms": true, "100ms": true, "1.5s": true, ".5s": true, "2.s": true, "+2s": true, "2000000us": true, "2000000µs": true,
		"2": false, "0": false, "-2s": false, "2 s": false, "2d": false, "s": false, "1e3s": false, "2S": false, "": false, "1m-3s": false,
	} {
		text := []byte("version: 1\ncheck_timeout: \"" + written + "\"\n")
		valid := validate(t, s, text) == nil
		_, findings := source.Parse("a.yaml", text)
		read := true
		for _, f := range findings {
			read = read && f.Path != "check_timeout" && f.Code != "DW005"
		}
		if valid != want || read != want {
			t.Errorf("%q: the schema says %t, the reader %t; want %t", written, valid, read, want)
		}
	}
}

// TestEveryKeyIsDescribed holds that an editor has something to show for each key.
func TestEveryKeyIsDescribed(t *testing.T) {
	t.Parallel()
	text, err := jsonschema.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := jsonschema.Schema(); !bytes.Equal(text, again) {
		t.Error("the schema differs from call to call")
	}
	type schema struct {
		Description string
		Properties  map[string]schema
		Items       *schema
	}
	keys := 0
	var walk func(path string, s schema)
	walk = func(path string, s schema) {
		for key, p := range s.Properties {
			keys++
			if !strings.Contains(strings.TrimSpace(p.Description), " ") && !strings.HasSuffix(p.Description, ".") {
				t.Errorf("%s.%s is described as %q", path, key, p.Description)
			}
			walk(path+"."+key, p)
		}
		if s.Items != nil {
			walk(path+"[]", *s.Items)
		}
	}
	var root schema
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	walk("", root)
	if keys < 40 {
		t.Errorf("the schema has only %d keys", keys)
	}
}
