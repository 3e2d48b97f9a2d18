package policytest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/policytest"
)

// Each case is as it is expected.
func TestPassing(t *testing.T) {
	t.Parallel()
	cat := catalogue(t)
	for _, c := range read(t, `
matrix:
  - requests: [GET /orders/7, "GET http://shop.example.com/orders/7", "GET /orders/7?page=2#end"]
    allow: [alice, plain, cid, bound, unbound, late, soon]
    deny:
      "-": token_missing
      passkey: scope_missing
      certificate: binding_mismatch
      expired: token_expired
      early: token_not_yet_valid
      foreign: issuer_mismatch
      elsewhere: audience_mismatch
      id: token_type_wrong
      machine: token_type_wrong
      mallory: token_revoked
      kiosk: grant_missing
      nobody: client_unknown
      robot: token_type_wrong
  - requests: [DELETE /orders/7]
    allow: [passkey, dated, counted]
    deny: { alice: step_up_required, stale: step_up_required }
  - { requests: [GET /orders/by/alice@example.com], allow: [alice], deny: { plain: claim_mismatch } }
  - { requests: [GET /orders/health], allow: ["-", alice, expired] }
  - { requests: [PATCH /orders/7, GET /orders/7/items], deny: { alice: operation_unknown, "-": token_missing } }
  - { requests: [GET /nowhere, "GET http://stock.example.com/shared"], deny: { alice: api_unknown, "-": api_unknown } }
  - { requests: [GET //orders, "get /orders/7"], deny: { alice: request_malformed } }
  - { requests: [GET /stock/1, "GET https://stock.example.com/stock"], allow: [robot], shadow: { idle: scope_missing, "-": token_missing } }
  - { requests: ["GET http://a.red.example.com/shared", "GET http://blue.example.com/shared", GET /green], deny: { blue: grant_missing } }
cases:
  - { name: from there, as: alice, method: PUT, url: /orders/7, source_ip: 192.0.2.7, expect: allow }
  - { name: from elsewhere, as: alice, method: PUT, url: /orders/7, source_ip: "2001:db8::7", expect: deny, reason: claim_mismatch }
  - { name: any reason, as: kiosk, method: GET, url: /orders/7, expect: deny }
  - { name: any shadow, as: "-", method: GET, url: /stock/1, expect: shadow }
  - name: headers
    as: alice
    method: GET
    url: /orders/7
    expect: allow
    headers: { x-auth-user-id: 00uALICE, X-Auth-API: orders, x-claim-email: alice@example.com, x-claim-level: "3", x-auth-groups: null }
  - { name: lists, as: plain, method: GET, url: /orders/7, expect: allow, headers: { x-auth-groups: "a%2Cb,c", x-claim-email: null } }
  - { name: nothing is told, method: GET, url: /orders/health, expect: allow, headers: { x-auth-user-id: null } }
`) {
		if r := c.Run(cat); len(r.Wrong) > 0 {
			t.Errorf("%s (%s:%d): %q\n%+v", c.Name, c.At.File, c.At.Line, r.Wrong, r.Trace.Steps)
		}
	}
}

// Each case is not as it is expected, and it is said how.
func TestFailing(t *testing.T) {
	t.Parallel()
	cat := catalogue(t)
	for want, text := range map[string]string{
		"expected deny, got allow":                                                    "as: alice, method: GET, url: /orders/7, expect: deny",
		"expected deny scope_missing, got allow":                                      "as: alice, method: GET, url: /orders/7, expect: deny, reason: scope_missing",
		"expected deny scope_missing, got deny 401 token_missing":                     "method: GET, url: /orders/7, expect: deny, reason: scope_missing",
		"expected allow, got deny 405 operation_unknown":                              "as: alice, method: PATCH, url: /orders/7, expect: allow",
		"expected allow, got shadow 401 token_missing":                                "method: GET, url: /stock/1, expect: allow",
		"expected deny, got shadow 401 token_missing":                                 "method: GET, url: /stock/1, expect: deny",
		"expected shadow, got deny 401 token_missing":                                 "method: GET, url: /orders/7, expect: shadow",
		"expected shadow scope_missing, got shadow 401 token_missing":                 "method: GET, url: /stock/1, expect: shadow, reason: scope_missing",
		`header x-auth-user-id: expected "00uBOB", got "00uALICE"`:                    "as: alice, method: GET, url: /orders/7, expect: allow, headers: { x-auth-user-id: 00uBOB }",
		`header x-auth-groups: expected "a", got none`:                                "as: alice, method: GET, url: /orders/7, expect: allow, headers: { x-auth-groups: a }",
		`header x-claim-email: expected none, got "alice@example.com"`:                "as: alice, method: GET, url: /orders/7, expect: allow, headers: { x-claim-email: null }",
		"header x-auth-usr: no claim is told to backends in it":                       "as: alice, method: GET, url: /orders/7, expect: allow, headers: { x-auth-usr: null }",
		"header x-decision-id: no claim is told to backends in it":                    "as: alice, method: GET, url: /orders/7, expect: allow, headers: { x-decision-id: null }",
		"several APIs begin at /shared, on hosts of their own: write the whole URL":   "as: blue, method: GET, url: /shared, expect: deny",
		`application "retail/absent" is not declared: write ORGANIZATION/APPLICATION`: "as: absent, method: GET, url: /orders/7, expect: deny",
	} {
		cases := read(t, "cases: [ { name: x, "+text+" } ]\n")
		r := cases[0].Run(cat)
		if diff := cmp.Diff([]string{want}, r.Wrong); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// A rule that is taken away, a grant that is widened or an API that stops to enforce is
// noticed by a test that was there before.
func TestBrokenCatalogueIsNoticed(t *testing.T) {
	t.Parallel()
	cases := read(t, `
matrix:
  - { requests: [GET /orders/by/bob@example.com], deny: { alice: claim_mismatch } }
  - { requests: [GET /orders/7], allow: [alice], deny: { kiosk: grant_missing, passkey: scope_missing, "-": token_missing } }
  - { requests: [DELETE /orders/7], deny: { stale: step_up_required } }
`)
	failures := func(cat *catalog.Catalogue) (names []string) {
		for _, c := range cases {
			if r := c.Run(cat); len(r.Wrong) > 0 {
				names = append(names, c.Name)
			}
		}
		return names
	}
	if names := failures(catalogue(t)); len(names) > 0 {
		t.Fatalf("the world fails at %q", names)
	}
	for edit, want := range map[string]string{
		`, rule: "request.params.login == token.sub"| `:                                                 "GET /orders/by/bob@example.com as alice",
		`organization: retail, applications: [mobile]|organization: retail, all_applications: true`:     "GET /orders/7 as kiosk",
		`"/{id}", scopes: { all: [orders.read] }|"/{id}", scopes: { any: [orders.read, orders.write] }`: "GET /orders/7 as passkey",
		`, max_auth_age: 5m| `: "DELETE /orders/7 as stale",
		`token_policy: people|token_policy: people, mode: shadow`: "",
	} {
		old, replacement, _ := strings.Cut(edit, "|")
		if want == "" {
			old, replacement = "    token_policy: people\n    operations:\n", "    token_policy: people\n    mode: shadow\n    operations:\n"
			want = "GET /orders/7 without a token"
		}
		if names := failures(catalogue(t, old, replacement)); !strings.Contains(strings.Join(names, "\n"), want) {
			t.Errorf("%s: %q fails, and not %q", edit, names, want)
		}
	}
}

// The tests' time is the only clock.
func TestNow(t *testing.T) {
	t.Parallel()
	cat := catalogue(t, `{ user_id: 00uMALLORY, reason: left }`, `{ user_id: 00uMALLORY, reason: left, until: 2030-01-01T00:00:00Z }`)
	for now, want := range map[string]string{"2029-12-31T23:59:59Z": "deny 401 token_revoked", "2030-01-01T00:00:00Z": "allow"} {
		text := strings.Replace(tokens, "version: 1\n", "version: 1\nnow: "+now+"\n", 1)
		cases, findings := policytest.Parse("a_test.yaml", []byte(text+"cases: [ { name: x, as: mallory, method: GET, url: /orders/7, expect: allow } ]\n"))
		if len(findings) > 0 {
			t.Fatal(findings)
		}
		if got := cases[0].Run(cat).Got(); got != want {
			t.Errorf("at %s: %s, want %s", now, got, want)
		}
	}
	if r := read(t, "cases: [ { name: x, as: alice, method: GET, url: /orders/7, expect: allow } ]\n")[0].Run(cat); r.Decision.Fact.Claims.IssuedAt.UTC().Format(time.RFC3339) != "2026-01-01T12:00:00Z" {
		t.Errorf("the default time is %v", r.Decision.Fact.Claims.IssuedAt)
	}
}
