package difference

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/durward/durward/policy/catalog"
)

// demands compares what two guarded operations ask of a token.
func demands(before, after *catalog.Operation) []Change {
	var all []Change
	all = facet(all, "scopes", impliesScopes(before, after), impliesScopes(after, before), scopesText(before), scopesText(after))
	b, a := before.Requires, after.Requires
	all = facet(all, "claims", impliesClaims(b.Claims, a.Claims), impliesClaims(a.Claims, b.Claims), claimsText(b.Claims), claimsText(a.Claims))
	rulesBefore, rulesAfter := ruleTexts(b.Rules), ruleTexts(a.Rules)
	all = facet(all, "rule", subset(rulesAfter, rulesBefore), subset(rulesBefore, rulesAfter), strings.Join(rulesBefore, " && "), strings.Join(rulesAfter, " && "))
	all = facet(all, "acr_values", impliesACR(b.ACRValues, a.ACRValues), impliesACR(a.ACRValues, b.ACRValues), listText(b.ACRValues), listText(a.ACRValues))
	all = facet(all, "max_auth_age", impliesAge(b.MaxAuthAge, a.MaxAuthAge), impliesAge(a.MaxAuthAge, b.MaxAuthAge), ageText(b.MaxAuthAge), ageText(a.MaxAuthAge))
	return policies(all, before.Policy, after.Policy)
}

// policies compares what two token policies believe, but for what they require.
func policies(all []Change, b, a *catalog.TokenPolicy) []Change {
	s, t := b.Server, a.Server
	all = facet(all, "audience", s.Audience == t.Audience, s.Audience == t.Audience, s.Audience, t.Audience)
	all = facet(all, "issuers", subset(s.Issuers, t.Issuers), subset(t.Issuers, s.Issuers), strings.Join(s.Issuers, " "), strings.Join(t.Issuers, " "))
	all = facet(all, "algorithms", subset(s.Algorithms, t.Algorithms), subset(t.Algorithms, s.Algorithms), strings.Join(s.Algorithms, " "), strings.Join(t.Algorithms, " "))
	all = facet(all, "ca_file", isSameFile(s, t), isSameFile(s, t), s.CAFile, t.CAFile)
	all = facet(all, "leeway", s.Leeway <= t.Leeway, t.Leeway <= s.Leeway, s.Leeway.String(), t.Leeway.String())
	all = facet(all, "tokens", s.Opaque == t.Opaque, s.Opaque == t.Opaque, tokensText(s.Opaque), tokensText(t.Opaque))
	all = facet(all, "verify", impliesVerify(b.Verify, a.Verify), impliesVerify(a.Verify, b.Verify), b.Verify, a.Verify)
	if b.Verify != "jwt" && a.Verify != "jwt" {
		all = facet(all, "max_age", b.MaxAge <= a.MaxAge, a.MaxAge <= b.MaxAge, b.MaxAge.String(), a.MaxAge.String())
	}
	return facet(all, "machine_tokens", !b.MachineTokens || a.MachineTokens, !a.MachineTokens || b.MachineTokens,
		fmt.Sprint(b.MachineTokens), fmt.Sprint(a.MachineTokens))
}

// isSameFile reports whether two servers name the same CA file, or each the one that lies at
// the same place beside its configuration: two checkouts differ in all that is absolute.
func isSameFile(s, t *catalog.AuthorizationServer) bool {
	if s.CAFile == t.CAFile {
		return true
	}
	x, y := beside(s), beside(t)
	return x == y && x != ""
}

// beside is the path of the CA file from the configuration, empty if there is none.
func beside(s *catalog.AuthorizationServer) string {
	if s.CAFile == "" {
		return ""
	}
	dir, err := filepath.Abs(filepath.Dir(s.At.File))
	if err != nil {
		return ""
	}
	path, err := filepath.Rel(dir, s.CAFile)
	if err != nil {
		return ""
	}
	return path
}

func tokensText(opaque bool) string {
	if opaque {
		return "opaque"
	}
	return "jwt"
}

// impliesVerify: what both ways accept, each of them does.
func impliesVerify(x, y string) bool { return x == y || x == "both" }

// impliesScopes reports whether a token that x accepts has the scopes that y asks for.
func impliesScopes(x, y *catalog.Operation) bool {
	switch {
	case len(x.AllScopes) > 0 && len(y.AllScopes) > 0:
		return subset(y.AllScopes, x.AllScopes)
	case len(x.AllScopes) > 0:
		return slices.ContainsFunc(x.AllScopes, func(s string) bool { return slices.Contains(y.AnyScopes, s) })
	case len(y.AllScopes) > 0:
		return !slices.ContainsFunc(x.AnyScopes, func(s string) bool { return !subset(y.AllScopes, []string{s}) })
	}
	return subset(x.AnyScopes, y.AnyScopes)
}

func scopesText(op *catalog.Operation) string {
	if len(op.AllScopes) > 0 {
		return "all of " + sortedText(op.AllScopes)
	}
	return "any of " + sortedText(op.AnyScopes)
}

func sortedText(list []string) string {
	return strings.Join(slices.Sorted(slices.Values(list)), " ")
}

// impliesACR: an empty list takes any sign-in.
func impliesACR(x, y []string) bool { return len(y) == 0 || len(x) > 0 && subset(x, y) }

// impliesAge: 0 takes a sign-in of any age.
func impliesAge(x, y time.Duration) bool { return y == 0 || x != 0 && x <= y }

func listText(list []string) string {
	if len(list) == 0 {
		return "any"
	}
	return sortedText(list)
}

func ageText(d time.Duration) string {
	if d == 0 {
		return "any"
	}
	return d.String()
}

func ruleTexts(rules []*catalog.Condition) []string {
	texts := make([]string, 0, len(rules))
	for _, r := range rules {
		texts = append(texts, r.Text)
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

// impliesClaims reports whether claims that are as all of x ask are so for all of y.
func impliesClaims(x, y []catalog.RequiredClaim) bool {
	return !slices.ContainsFunc(y, func(need catalog.RequiredClaim) bool {
		return !slices.ContainsFunc(x, func(known catalog.RequiredClaim) bool { return impliesClaim(known, need) })
	})
}

func impliesClaim(x, y catalog.RequiredClaim) bool {
	if !slices.Equal(x.Path, y.Path) {
		return false
	}
	if x.Contains != nil || y.Contains != nil {
		return x.Contains != nil && y.Contains != nil && valueText(x.Contains) == valueText(y.Contains)
	}
	return subset(accepted(x), accepted(y))
}

// accepted are the values that equals or one_of let pass.
func accepted(c catalog.RequiredClaim) []string {
	if c.Equals != nil {
		return []string{valueText(c.Equals)}
	}
	texts := make([]string, len(c.OneOf))
	for i, v := range c.OneOf {
		texts[i] = valueText(v)
	}
	return texts
}

// valueText tells a text from a number and a boolean.
func valueText(v *structpb.Value) string {
	if s, ok := v.GetKind().(*structpb.Value_StringValue); ok {
		return fmt.Sprintf("%q", s.StringValue)
	}
	return fmt.Sprint(v.AsInterface())
}

func claimsText(claims []catalog.RequiredClaim) string {
	var texts []string
	for _, c := range claims {
		name := strings.Join(c.Path, ".")
		if c.Contains != nil {
			texts = append(texts, name+" contains "+valueText(c.Contains))
			continue
		}
		values := accepted(c)
		slices.Sort(values)
		texts = append(texts, name+" is "+strings.Join(values, " or "))
	}
	slices.Sort(texts)
	return listTextOf(slices.Compact(texts))
}

func listTextOf(texts []string) string {
	if len(texts) == 0 {
		return "any"
	}
	return strings.Join(texts, ", ")
}
