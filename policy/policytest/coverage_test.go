package policytest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/policytest"
)

func covered(t *testing.T, cases string, edits ...string) *policytest.Coverage {
	t.Helper()
	cat := catalogue(t, edits...)
	c := policytest.NewCoverage(cat)
	for _, one := range read(t, cases) {
		c.Add(one.Run(cat))
	}
	return c
}

func missing(c *policytest.Coverage) (lines []string) {
	for _, o := range c.Missing() {
		who := "anybody"
		if o.Organization != nil {
			who = o.Organization.Name
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s", o.Verdict, who, o.API.Name, strings.Join(o.Operation.Methods, ","), o.Operation.Path))
	}
	return lines
}

// What can happen is counted, and nothing else: logistics may call orders with no
// application, red and blue are granted to nobody.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	want := []string{
		"allow retail orders GET /{id}", "deny retail orders GET /{id}", "deny logistics orders GET /{id}",
		"allow retail orders GET /by/{login}", "deny retail orders GET /by/{login}", "deny logistics orders GET /by/{login}",
		"allow retail orders DELETE /{id}", "deny retail orders DELETE /{id}", "deny logistics orders DELETE /{id}",
		"allow anybody orders GET /health",
		"allow retail orders PUT /{id}", "deny retail orders PUT /{id}", "deny logistics orders PUT /{id}",
		"allow logistics stock GET /**", "deny logistics stock GET /**",
	}
	if diff := cmp.Diff(want, missing(covered(t, ""))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, name := range []string{"mobile", "retail"} {
		disabled := covered(t, "", "{ name: "+name+", ", "{ name: "+name+", enabled: false, ")
		if all := strings.Join(missing(disabled), "\n"); strings.Contains(all, "allow retail") || !strings.Contains(all, "deny retail") {
			t.Errorf("with %s disabled:\n%s", name, all)
		}
	}
}

// A case counts for its caller's grant at its operation, and only if it passed.
func TestCoverage(t *testing.T) {
	t.Parallel()
	c := covered(t, `
matrix:
  - requests: [GET /orders/7]
    allow: [alice, kiosk]            # kiosk is denied, so that this shows nothing
    deny: { "-": token_missing, expired: token_expired, nobody: client_unknown }
  - { requests: [GET /orders/by/x], deny: { alice: claim_mismatch, robot: token_type_wrong } }
  - { requests: [PATCH /orders/7], deny: { alice: operation_unknown } }
  - { requests: [GET /orders/health], allow: ["-"] }
  - { requests: [GET /stock], allow: [robot], shadow: { idle: scope_missing } }
`)
	want := []string{
		"deny retail orders GET /{id}", "deny logistics orders GET /{id}",
		"allow retail orders GET /by/{login}", "deny logistics orders GET /by/{login}",
		"allow retail orders DELETE /{id}", "deny retail orders DELETE /{id}", "deny logistics orders DELETE /{id}",
		"allow retail orders PUT /{id}", "deny retail orders PUT /{id}", "deny logistics orders PUT /{id}",
	}
	if diff := cmp.Diff(want, missing(c)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if shown, all := c.Count(); shown != 5 || all != 15 || c.Percent() != 33 {
		t.Errorf("%d of %d, %d%%", shown, all, c.Percent())
	}
}

// 99.9 percent is not 100.
func TestPercentIsFloored(t *testing.T) {
	t.Parallel()
	var operations, requests strings.Builder
	for i := range 120 {
		fmt.Fprintf(&operations, "      - { methods: [GET], path: /more/%d, scopes: { all: [orders.read] } }\n", i)
		if i > 0 {
			fmt.Fprintf(&requests, "GET /orders/more/%d, ", i)
		}
	}
	edits := []string{
		"    operations:\n", "    operations:\n" + operations.String(),
		"  - { api: orders, organization: logistics, applications: [] }\n  - { api: stock, organization: logistics, all_applications: true }\n", "",
	}
	cases := `
matrix:
  - { requests: [` + requests.String() + `GET /orders/7], allow: [alice], deny: { passkey: scope_missing } }
  - { requests: [GET /orders/by/alice@example.com], allow: [alice], deny: { passkey: scope_missing } }
  - { requests: [DELETE /orders/7], allow: [passkey], deny: { alice: step_up_required } }
  - { requests: [GET /orders/health], allow: ["-"] }
  - { requests: [PUT /orders/7], deny: { alice: claim_mismatch } }
  - { requests: [GET /orders/more/0], allow: [alice] }
cases: [ { name: x, as: alice, method: PUT, url: /orders/7, source_ip: 192.0.2.7, expect: allow } ]
`
	c := covered(t, cases, edits...)
	if shown, all := c.Count(); shown != all-1 || all != 249 || c.Percent() != 99 {
		t.Errorf("%d of %d, %d%%; missing %q", shown, all, c.Percent(), missing(c))
	}
	c = covered(t, strings.Replace(cases, "more/0], allow: [alice]", "more/0], allow: [alice], deny: { passkey: scope_missing }", 1), edits...)
	if c.Percent() != 100 || len(c.Missing()) > 0 {
		t.Errorf("%d%%, missing %q", c.Percent(), missing(c))
	}
	none := covered(t, "", world[strings.Index(world, "grants:\n"):], "grants: []\n",
		`      - { methods: [GET], path: "/health", public: true }`+"\n", "")
	if _, all := none.Count(); all != 0 || none.Percent() != 0 {
		t.Errorf("of %d: %d%%", all, none.Percent())
	}
}
