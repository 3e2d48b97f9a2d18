package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// demanding is a token policy, an API or an operation: what may ask more of a token.
type demanding interface {
	GetClaims() []*durwardv1.RequiredClaim
	GetRule() string
	GetAcrValues() []string
	GetMaxAuthAge() *durationpb.Duration
}

// requirements compiles what is asked at path alone.
func (c *compiler) requirements(path string, d demanding) Requirements {
	var r Requirements
	for i, claim := range d.GetClaims() {
		r.Claims = append(r.Claims, c.requiredClaim(fmt.Sprintf("%s.claims[%d]", path, i), claim))
	}
	if text := d.GetRule(); c.written(path+".rule", text != "") {
		if rule := c.rule(path+".rule", text); rule != nil {
			r.Rules = append(r.Rules, rule)
		}
	}
	if c.written(path+".acr_values", len(d.GetAcrValues()) > 0) {
		r.ACRValues = d.GetAcrValues()
		if len(r.ACRValues) == 0 {
			c.find(brokenRule, path+".acr_values", "acr_values is empty")
		}
	}
	if age := d.GetMaxAuthAge(); age != nil {
		r.MaxAuthAge = age.AsDuration()
		if r.MaxAuthAge < time.Second {
			c.find(brokenRule, path+".max_auth_age", "max_auth_age %s is less than 1s", r.MaxAuthAge)
		}
	}
	return r
}

// unprotected refuses requirements where nobody is asked for a token.
func (c *compiler) unprotected(path string, d demanding) {
	for _, key := range []struct {
		name string
		set  bool
	}{
		{"claims", len(d.GetClaims()) > 0},
		{"rule", d.GetRule() != ""},
		{"acr_values", len(d.GetAcrValues()) > 0},
		{"max_auth_age", d.GetMaxAuthAge() != nil},
	} {
		if c.written(path+"."+key.name, key.set) {
			c.find(publicProtected, path+"."+key.name, "a public operation has no %s", key.name)
		}
	}
}

// demands are what an API asks of a token: for itself, and under its own token policy.
type demands struct {
	policy     *TokenPolicy
	own, under Requirements
}

func (c *compiler) demandsOf(path string, a *durwardv1.API, policy *TokenPolicy) demands {
	d := demands{policy: policy, own: c.requirements(path, a)}
	d.under = d.own
	if policy != nil {
		d.under = c.together(path+".acr_values", policy.Requires, d.own)
	}
	return d
}

// demand compiles what an operation asks: as its token policy and its API do, and more.
func (c *compiler) demand(path string, op *Operation, o *durwardv1.Operation, api demands) {
	if op.Policy == nil { // public, or a finding already
		return
	}
	shared := api.under
	if op.Policy != api.policy {
		shared = c.together(path+".token_policy", op.Policy.Requires, api.own)
	}
	op.Requires = c.together(path+".acr_values", shared, c.requirements(path, o))
}

// together joins what is asked in two places: what both ask holds. Where no
// acr_values are left, the mistake is at acrPath.
func (c *compiler) together(acrPath string, a, b Requirements) Requirements {
	r := Requirements{
		Claims:     slices.Concat(a.Claims, b.Claims),
		Rules:      slices.Concat(a.Rules, b.Rules),
		ACRValues:  a.ACRValues,
		MaxAuthAge: a.MaxAuthAge,
	}
	if r.MaxAuthAge == 0 || b.MaxAuthAge != 0 && b.MaxAuthAge < r.MaxAuthAge {
		r.MaxAuthAge = b.MaxAuthAge
	}
	switch {
	case len(b.ACRValues) == 0:
	case len(a.ACRValues) == 0:
		r.ACRValues = b.ACRValues
	default:
		r.ACRValues = slices.DeleteFunc(slices.Clone(a.ACRValues), func(v string) bool { return !slices.Contains(b.ACRValues, v) })
		if len(r.ACRValues) == 0 {
			c.find(acrConflict, acrPath, "no sign-in reaches one of %s and one of %s", strings.Join(a.ACRValues, ", "), strings.Join(b.ACRValues, ", "))
		}
	}
	return r
}

// requiredClaim compiles one claim. Where it does not say what the claim must be, nothing
// would satisfy it, or everything; neither is meant.
func (c *compiler) requiredClaim(path string, p *durwardv1.RequiredClaim) RequiredClaim {
	r := RequiredClaim{Path: c.claimPath(path+".claim", p.GetClaim()), Equals: p.GetEquals(), OneOf: p.GetOneOf(), Contains: p.GetContains(), At: c.at(path)}
	forms := 0
	for _, form := range []struct {
		name string
		set  bool
	}{{"equals", p.Equals != nil}, {"one_of", len(p.OneOf) > 0}, {"contains", p.Contains != nil}} {
		if c.written(path+"."+form.name, form.set) {
			forms++
		}
	}
	if forms != 1 {
		c.find(claimForm, path, "claim %q is required, with %d of equals, one_of and contains", p.GetClaim(), forms)
		return r
	}
	if p.Equals != nil {
		c.claimValue(path+".equals", p.Equals)
	}
	if p.Contains != nil {
		c.claimValue(path+".contains", p.Contains)
	}
	if p.Equals == nil && p.Contains == nil && len(p.OneOf) == 0 {
		c.find(claimForm, path, "claim %q is required to be one of nothing", p.GetClaim())
	}
	for i, v := range p.OneOf {
		c.claimValue(fmt.Sprintf("%s.one_of[%d]", path, i), v)
	}
	return r
}

// claimValue holds that a claim is compared with a text, a number or a boolean.
func (c *compiler) claimValue(path string, v *structpb.Value) {
	switch v.GetKind().(type) {
	case *structpb.Value_StringValue, *structpb.Value_NumberValue, *structpb.Value_BoolValue:
	default:
		c.find(claimForm, path, "a claim is compared with a text, a number or a boolean")
	}
}

// maxClaimDepth bounds how many names lead to a claim.
const maxClaimDepth = 16

// claimPath takes a claim's name apart.
func (c *compiler) claimPath(path, name string) []string {
	names := strings.Split(name, ".")
	switch {
	case name == "":
		c.find(badClaim, path, "the claim has no name")
	case slices.Contains(names, ""):
		c.find(badClaim, path, "claim %q: a name between dots is empty", name)
	case len(names) > maxClaimDepth:
		c.find(badClaim, path, "claim %q: more than %d names lead to it", name, maxClaimDepth)
	}
	return names
}

// rule compiles a CEL expression; nil where that is not possible.
func (c *compiler) rule(path, text string) *Condition {
	rule, err := compileRule(text, c.at(path))
	switch {
	case errors.Is(err, errCostly):
		c.find(costlyRule, path, "%s", err)
	case err != nil:
		f := c.find(badRule, path, "%s", err)
		if name := unknownName(err.Error()); name != "" {
			f.Fix = suggestRuleName(name)
		}
	}
	return rule
}

// suggestRuleName says what to write in place of a name that rules do not know.
func suggestRuleName(name string) string {
	var last, full []string
	for _, known := range ruleNames() {
		last = append(last, known[strings.LastIndexByte(known, '.')+1:])
		full = append(full, known)
	}
	if best := closest(name, last); best != "" {
		return fmt.Sprintf("did you mean %s?", full[slices.Index(last, best)])
	}
	return "there is " + strings.Join(full, ", ")
}
