package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
)

func judge(cat *catalog.Catalogue, r policy.Request, verify policy.Verify) policy.Decision {
	return policy.Decide(cat, r, policy.Witness{Verify: verify, Now: clock}, nil)
}

func TestMethodBounds(t *testing.T) {
	t.Parallel()
	cat := compile(t, config())
	for method, want := range map[string]contract.Reason{
		strings.Repeat("A", 32): contract.OperationUnknown,
		strings.Repeat("A", 33): contract.RequestMalformed,
		"A-Z_":                  contract.OperationUnknown,
		"@":                     contract.RequestMalformed, // before A
		"[":                     contract.RequestMalformed, // behind Z
		"":                      contract.RequestMalformed,
	} {
		d := judge(cat, get(func(r *policy.Request) { r.Method = method }), believed(nil))
		if d.Reason != want {
			t.Errorf("method %q: %q, want %q", method, d.Reason, want)
		}
	}
}

// TestIdentityBounds: names and values of 8 KiB together pass, one byte more does not.
func TestIdentityBounds(t *testing.T) {
	t.Parallel()
	cat := compile(t, config())
	decide := func(groups string) policy.Decision {
		return judge(cat, get(nil), believed(func(c *token.Claims) { c.Groups = []string{groups} }))
	}
	size := 0
	for _, h := range decide("g").Identity {
		size += len(h.Name) + len(h.Value)
	}
	fits := strings.Repeat("g", 8<<10-size+1)
	if d := decide(fits); !d.Allowed() {
		t.Errorf("8 KiB of identity: %q %s", d.Reason, d.Detail)
	}
	if d := decide(fits + "g"); d.Reason != contract.ClaimMismatch || d.Identity != nil {
		t.Errorf("a byte over 8 KiB of identity: %q, %d headers", d.Reason, len(d.Identity))
	}
}

func TestIdentityEncodesNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	cat := compile(t, config())
	for subject, want := range map[string]string{
		" al ice ": "%20al ice%20",
		" ":        "%20",
		"!~":       "!~",
		"\x1f\x7f": "%1F%7F",
	} {
		d := judge(cat, get(nil), believed(func(c *token.Claims) { c.Subject = subject }))
		got := ""
		for _, h := range d.Identity {
			if h.Name == contract.HeaderSubject {
				got = h.Value
			}
		}
		if got != want {
			t.Errorf("subject %q is told as %q, want %q", subject, got, want)
		}
	}
}

// TestScopesTold: the challenge names all scopes that are needed together, but one alone
// of those of which any will do.
func TestScopesTold(t *testing.T) {
	t.Parallel()
	cat := compile(t, config())
	verify := believed(func(c *token.Claims) { c.Scopes = nil })
	for method, want := range map[string]struct {
		path   string
		scopes []string
	}{
		"GET":  {"/orders/7", []string{"orders.read", "openid"}},
		"POST": {"/orders", []string{"orders.write"}},
	} {
		d := judge(cat, get(func(r *policy.Request) { r.Method, r.Path = method, want.path }), verify)
		if diff := cmp.Diff(want.scopes, d.Scopes); d.Reason != contract.ScopeMissing || diff != "" {
			t.Errorf("%s: %q %s", method, d.Reason, diff)
		}
	}
}
