package source_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
)

// attacks are mistakes and attacks on configurations, by the id of their kind. Each is
// one replacement in the smallest complete catalogue, and the code that refuses it.
var attacks = map[string][]struct{ name, old, text, code string }{
	"C01": {
		{"broken", "gateways: [", "gateways: [[", "DW001"},
		{"tab", "  - name: default", "\t- name: default", "DW001"},
		{"byte order mark", "version: 1", "\xef\xbb\xbfversion: 1", "DW012"},
		{"several documents", "token_policies:", "---\ntoken_policies:", "DW009"},
		{"alias bomb", "version: 1", "version: 1\na: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]", "DW004"},
		{"50 MiB", "version: 1", "version: 1\n#" + strings.Repeat("x", 50<<20), "DW007"},
		{"deep", "version: 1", "version: 1\napis: " + strings.Repeat("[", 100_000), "DW007"},
		{"NUL", "api://default", "api://default\x00", "DW012"},
	},
	"C02": {
		{"misspelt key", "audience:", "audiance:", "DW002"},
		{"wrong type", "methods: [GET]", "methods: GET", "DW005"},
		{"quoted truth", "scopes: { all: [orders.read] }", `public: "true"`, "DW005"},
	},
	"C03": {
		{"truth", "[orders.read]", "[no]", "DW005"},
		{"hexadecimal", "[orders.read]", "[0x1f]", "DW005"},
		{"exponent", "[orders.read]", "[1e3]", "DW005"},
		{"date", "[orders.read]", "[2024-01-01]", "DW005"},
		{"null", "[orders.read]", "[null]", "DW005"},
		{"merge key", "  - name: default", "  - <<: { name: other }\n    name: default", "DW004"},
		{"key twice", "    audience: api://default", "    audience: api://default\n    audience: api://other", "DW003"},
	},
	"C04": {
		{"name twice", "name: okta-fresh", "name: okta-users", "DW103"},
		{"name in another case", "name: okta-fresh", "name: Okta-Users", "DW103"},
		{"client id in another case", "[0oaf2no1n6hPswFV10h7]", "[0oaf2no1n6hPswFV10h7, 0OAf2no1n6hPswFV10h7]", "DW104"},
		{"host in another case", `hosts: ["*"]`, "hosts: [a.example.com, A.example.com]", "DW209"},
		{"host with a last dot", `hosts: ["*"]`, "hosts: [a.example.com, a.example.com.]", "DW209"},
	},
	"C05": {
		{"equally specific", `{ methods: [POST], path: "/"`, `{ methods: [GET], path: "/{name}"`, "DW208"},
		{"same rest", `{ methods: [POST], path: "/"`, `{ methods: [POST], path: "/**", scopes: { all: [a] } }` + "\n      - " + `{ methods: [POST], path: "/**"`, "DW208"},
	},
	"C06": {
		{"no scopes", ", scopes: { all: [orders.read] }", "", "DW203"},
		{"empty list", "[orders.read]", "[]", "DW206"},
		{"no audience", "    audience: api://default\n", "", "DW305"},
		{"empty audience", "api://default", `""`, "DW305"},
		{"no token policy", "    token_policy: okta-users\n", "", "DW201"},
		{"no server", "authorization_server: default, verify: introspection }", "verify: introspection }", "DW102"},
		{"misspelt public", ", scopes: { all: [orders.read] }", ", publik: true", "DW002"},
		{"public beside scopes", "scopes: { all: [orders.read] }", "scopes: { all: [orders.read] }, public: true", "DW204"},
		{"no verification", ", verify: introspection }", " }", "DW301"},
	},
	"C07": {
		{"unknown application", "applications: [mobile] }", "applications: [mobil] }", "DW102"},
		{"unknown API", "api: orders", "api: order", "DW102"},
		{"unknown organization", "organization: retail", "organization: retial", "DW102"},
		{
			"another organization's application", "applications: [ { name: mobile, client_ids: [0oaf2no1n6hPswFV10h7] } ]",
			"applications: []\n  - name: supply\n    applications: [ { name: mobile, client_ids: [0oaf2no1n6hPswFV10h7] } ]", "DW105",
		},
	},
	"C08": {
		{"dot in a name", "name: mobile", "name: mobile.io", "DW101"},
		{"star in a name", "api: orders", "api: '*'", "DW102"},
		{"pattern in a host", `hosts: ["*"]`, `hosts: ["a*.example.com"]`, "DW211"},
		{"pattern in a path", `path: "/{id}"`, `path: "/[0-9]+"`, "DW207"},
		{"star in a path", `path: "/{id}"`, `path: "/*"`, "DW207"},
		{"pattern in a client id", "[0oaf2no1n6hPswFV10h7]", `["0oa.*"]`, "DW006"},
	},
	// No key names a header yet; where one is tried, it is unknown.
	"C09": {
		{"identity header", "    token_policy: okta-users", "    headers: { authorization: sub }\n    token_policy: okta-users", "DW002"},
		{"line break", "audience: api://default", `audience: "api://default\r\nx-auth-subject: root"`, "DW005"},
	},
	"C10": {
		{"audience is a client id", "audience: api://default", "audience: 0oaf2no1n6hPswFV10h7", "DW307"},
		{"audience is our client's id", "audience: api://default", "audience: 0oaGATEWAY", "DW307"},
		{"plaintext issuer", "https://example.okta.com", "http://example.okta.com", "DW302"},
		{"trailing slash", "oauth2/default ", "oauth2/default/ ", "DW303"},
		{"user in the issuer", "https://example", "https://user:word@example", "DW302"},
		{"an endpoint for the server", "okta.com/oauth2/default", "okta.com/oauth2/v1", "DW304"},
		{"signatures of the org server", toVerify("/oauth2/default"), toVerify("") + "jwt } #", "DW301"},
		{"opaque tokens read for the org server", "okta.com/oauth2/default", "okta.com\n    tokens: jwt", "DW316"},
		{"another server's issuer", "issuer: https://example.okta.com/oauth2/default", "issuers: [https://a.example.com/oauth2/a, https://a.example.com/oauth2/b]", "DW314"},
		{"no algorithm", "audience: api://default", "audience: api://default\n    algorithms: [none]", "DW006"},
		{"shared key", "audience: api://default", "audience: api://default\n    algorithms: [HS256]", "DW006"},
		{"leeway", "audience: api://default", "audience: api://default\n    leeway: 6m", "DW315"},
		{"max_age", "max_age: 0s", "max_age: 2h", "DW311"},
		{"plaintext off loopback", "version: 1", "version: 1\nlisteners: { check: { address: 0.0.0.0:9001 } }", "DW405"},
		{"TLS for anybody", "version: 1", "version: 1\nlisteners: { check: { address: 0.0.0.0:9001, tls: { cert_file: c, key_file: k, envoy: { ca_file: /e/ca, server_name: durward } } } }", "DW405"},
		{"TLS for every certificate", "version: 1", "version: 1\nlisteners: { check: { address: 0.0.0.0:9001, tls: { cert_file: c, key_file: k, client_ca_file: a, envoy: { cert_file: /e/c, key_file: /e/k, ca_file: /e/ca, server_name: durward } } } }", "DW407"},
		{"TLS not verified", "version: 1", "version: 1\nlisteners: { check: { insecure: true, tls: { cert_file: c, key_file: k, envoy: { ca_file: /e/ca, server_name: durward } } } }", "DW407"},
		{"verification off", "http://orders.internal:8080 }", "https://orders.internal, tls: { insecure: true } }", "DW002"},
	},
	// Who may write and replace the file is TestSecretFiles' to try.
	"C11": {
		{"secret inline", "client_secret_file: /run/secrets/okta", "client_secret: canary", "DW310"},
		{"secret in the place of its file", "/run/secrets/okta", strings.Repeat("canary-7", 8), "DW310"},
		{"key inline", "client_secret_file: /run/secrets/okta", `private_key: "canary"`, "DW310"},
		{"key in the place of its file", "client_secret_file: /run/secrets/okta", `private_key_file: "-----BEGIN PRIVATE KEY----- canary"`, "DW310"},
		{"listener's key in the place of its file", "version: 1", "version: 1\nlisteners: { check: { tls: { cert_file: c, key_file: '-----BEGIN PRIVATE KEY-----canary' } } }", "DW310"},
		{"secret from the environment", "/run/secrets/okta", `"${OKTA_SECRET}"`, "DW013"},
	},
	"C17": {
		{"include", "version: 1", "version: 1\ninclude: ../other.yaml", "DW002"},
		{"variable", "api://default", "${AUDIENCE}", "DW013"},
		{"variable in a scope", "[orders.read]", `["${SCOPE}"]`, "DW013"},
		{"include by tag", "version: 1", "version: !include ../other.yaml", "DW004"},
	},
}

// toVerify is the smallest catalogue from the path of its issuer to the word after the
// first verify.
func toVerify(path string) string {
	return path + `     # issuers: [a, b] where Okta answers under two hosts
    audience: api://default
    introspection: { client_id: 0oaGATEWAY, client_secret_file: /run/secrets/okta }
token_policies:
  - { name: okta-users, authorization_server: default, verify: `
}

// TestAttack refuses each attack with its finding, at a line, and shows no secret.
func TestAttack(t *testing.T) {
	t.Parallel()
	text := string(validFiles(t, "valid")[0].Data)
	for id, cases := range attacks {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			for _, tt := range cases {
				broken := strings.Replace(text, tt.old, tt.text, 1)
				if broken == text {
					t.Fatalf("%s: the catalogue holds no %q", tt.name, tt.old)
				}
				cat, findings := source.Parse("a.yaml", []byte(broken))
				at := slices.IndexFunc(findings, func(f catalog.Finding) bool { return f.Code == tt.code })
				switch {
				case cat != nil || at < 0 || findings[at].Severity != catalog.Error:
					t.Errorf("%s: catalogue %v, findings %v; want %s", tt.name, cat, findings, tt.code)
				case findings[at].At.Line == 0 && tt.name != "50 MiB":
					t.Errorf("%s: no line in %v", tt.name, findings[at])
				}
				for _, f := range findings {
					if strings.Contains(f.Text(nil), "canary") {
						t.Errorf("%s: the secret shows:\n%s", tt.name, f.Text(nil))
					}
				}
			}
		})
	}
}
