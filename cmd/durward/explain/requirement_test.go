package explain

import (
	"errors"
	"strings"
	"testing"

	"github.com/durward/durward/policy/contract"
)

// TestRequirementsAreExplained: what is asked beside scopes is told with its place, and
// with what would mend it.
func TestRequirementsAreExplained(t *testing.T) {
	t.Parallel()
	const read = `- { methods: [GET], path: "/{id}", scopes: { all: [orders.read] }`
	for _, tt := range []struct {
		name   string
		edits  []string
		claims []string
		reason contract.Reason
		failed string
		says   []string
	}{
		{"no further claim", nil, nil, "", "", []string{"ALLOW"}},
		{"claim absent", []string{read, read + `, claims: [{ claim: department, equals: finance }]`}, nil, contract.ClaimMismatch, "claim", []string{
			"needs department equals finance; found no such claim", "let Okta put the claim into the token", "durward.yaml:46:",
		}},
		{"claim as asked", []string{read, read + `, claims: [{ claim: department, equals: finance }]`}, []string{"department=finance"}, "", "", []string{"✓ claim"}},
		{"rule false", []string{read, read + `, rule: "token.claims.level > 2.0"`}, []string{"level=2"}, contract.ClaimMismatch, "rule", []string{
			"needs token.claims.level > 2.0; found false", "--claim NAME=VALUE",
		}},
		{"rule true", []string{read, read + `, rule: "token.claims.level > 2.0"`}, []string{"level=3"}, "", "", []string{"✓ rule"}},
		{"weak sign-in", []string{read, read + `, acr_values: [phr], max_auth_age: 5m`}, nil, contract.StepUpRequired, "sign-in", []string{
			"no acr no auth_time", "acr_values=phr, max_age=300",
		}},
		{"strong sign-in", []string{read, read + `, acr_values: [phr]`}, []string{"acr=phr"}, "", "", []string{"✓ sign-in"}},
		{"user denied", []string{"\ngrants:", "\ndenials:\n  - { user_id: 00uLOST, reason: laptop lost }\ngrants:"}, []string{"uid=00uLOST"}, contract.TokenRevoked, "denial", []string{
			"found laptop lost", "remove the denial", "if laptop lost is over",
		}},
		{"organization disabled", []string{"  - name: retail\n", "  - name: retail\n    enabled: false\n"}, nil, contract.ApplicationDisabled, "client", []string{"remove enabled: false"}},
		{"bound, with its proof", nil, []string{`cnf={"jkt":"x"}`}, "", "", []string{"✓ proof"}},
		{"bound to a certificate", nil, []string{`cnf={"x5t#S256":"x"}`}, contract.BindingMismatch, "proof", []string{"bound by DPoP or by nothing"}},
		{"shadow", []string{"  - name: orders\n", "  - name: orders\n    mode: shadow\n", read, read + `, rule: "false"`}, nil, contract.ClaimMismatch, "rule", []string{
			"DENY 403 claim_mismatch, but the API is in shadow mode: the request passes",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.edits...)
			r, err := Explain(t.Context(), Question{
				Config: s.config, Method: "GET", URL: "/orders/7", As: "mobile", Scopes: []string{"orders.read"}, Claims: tt.claims,
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.Reason != tt.reason || r.Shadow != (tt.name == "shadow") {
				t.Fatalf("reason %q, shadow %t: %s", r.Reason, r.Shadow, r.Detail)
			}
			text := shownText(t, r)
			for _, want := range tt.says {
				if !strings.Contains(text, want) {
					t.Errorf("it does not say %q:\n%s", want, text)
				}
			}
			checkSteps(t, r, tt.failed)
		})
	}
}

func TestStatedClaimsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, claim := range []string{"department", "=x", "iss=https://evil", "scp=a", "exp=1", "acr=1", "auth_time=soon", "uid=1", "a={\"b\":1,\"b\":2}\x80"} {
		_, err := Explain(t.Context(), Question{Config: s.config, Method: "GET", URL: "/orders/7", As: "mobile", Claims: []string{claim}})
		var input *InputError
		if !errors.As(err, &input) {
			t.Errorf("%q: %v", claim, err)
		}
	}
	for _, q := range []Question{{Claims: []string{"a=b"}}, {Claims: []string{"a=b"}, Authorization: "Bearer x"}} {
		q.Config, q.Method, q.URL = s.config, "GET", "/orders/7"
		var input *InputError
		if _, err := Explain(t.Context(), q); !errors.As(err, &input) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
