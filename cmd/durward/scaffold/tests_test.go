package scaffold_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
	"github.com/durward/durward/policy/policytest"
)

// first is the first catalogue and its tests, of the local Okta or of an org.
func first(t *testing.T, v scaffold.Values) (catalogue string, cases []policytest.Case) {
	t.Helper()
	text, err := scaffold.Catalogue(v)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := scaffold.Tests(v, "etc/durward.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cases, findings := policytest.Parse("durward_test.yaml", tests)
	if len(findings) > 0 || !bytes.HasPrefix(tests, []byte("# Policy tests: who may do what by durward.yaml,")) {
		t.Fatalf("%v\n%s", findings, tests)
	}
	return string(text), cases
}

func run(t *testing.T, text string, cases []policytest.Case) (failed []string, c *policytest.Coverage) {
	t.Helper()
	cat, findings := source.Parse("durward.yaml", []byte(text))
	if catalog.HasErrors(findings) {
		t.Fatal(findings)
	}
	c = policytest.NewCoverage(cat)
	for _, one := range cases {
		r := one.Run(cat)
		if c.Add(r); len(r.Wrong) > 0 {
			failed = append(failed, one.Name+": "+strings.Join(r.Wrong, ", "))
		}
	}
	return failed, c
}

// The first catalogue's tests pass and show everything that it can decide, also once an
// org's own client ids are pasted into it.
func TestFirstTestsCoverEverything(t *testing.T) {
	t.Parallel()
	org := scaffold.Local()
	org.ClientID, org.Mobile, org.Partner, org.Warehouse = "0oaSERVICE", "0oaNATIVE", "", ""
	for _, v := range []scaffold.Values{scaffold.Local(), org} {
		text, cases := first(t, v)
		failed, c := run(t, text, cases)
		if len(failed) > 0 {
			t.Errorf("failed: %q", failed)
		}
		if c.Percent() != 100 {
			t.Errorf("coverage is %d%%: %+v", c.Percent(), c.Missing())
		}
	}
}

// What each line of the catalogue holds is held by a test of it.
func TestFirstTestsNoticeChanges(t *testing.T) {
	t.Parallel()
	text, cases := first(t, scaffold.Local())
	for _, edit := range [][2]string{
		{`"/{id}", scopes: { all: [orders.read] }`, `"/{id}", public: true`},
		{`"/{id}", scopes: { all: [orders.read] }`, `"/{id}", scopes: { any: [orders.read, openid] }`},
		{`any: [orders.write, orders.admin]`, `any: [orders.read]`},
		{`any: [orders.write, orders.admin]`, `any: [orders.admin]`},
		{`, rule: "request.params.login == token.sub"`, ``},
		{`, acr_values: [phr]`, ``},
		{`, max_auth_age: 5m`, ``},
		{`applications: [mobile] }`, `all_applications: true }`},
		{`applications: [mobile] }`, `applications: [] }`},
		{`verify: both, max_age: 2s`, `verify: both, max_age: 2s, machine_tokens: true`},
		{"    token_policy: okta-users\n", "    token_policy: okta-users\n    mode: shadow\n"},
		{"apis:\n", "denials: [ { user_id: 00uALICE, reason: left } ]\napis:\n"},
	} {
		changed := strings.Replace(text, edit[0], edit[1], 1)
		if changed == text {
			t.Fatalf("the catalogue holds no %q", edit[0])
		}
		if failed, _ := run(t, changed, cases); len(failed) == 0 {
			t.Errorf("no test fails with %q in place of %q", edit[1], edit[0])
		}
	}
}
