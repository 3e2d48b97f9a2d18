package catalog

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// compileChanged compiles the example after a change.
func compileChanged(t *testing.T, change func(*durwardv1.Config)) (*Catalogue, []Finding) {
	t.Helper()
	cfg := exampleConfig(t)
	change(cfg)
	return Compile(cfg, nil)
}

// merged is the example with more in each of its messages, as prototext.
func merged(t *testing.T, more string) *durwardv1.Config {
	t.Helper()
	cfg, add := exampleConfig(t), new(durwardv1.Config)
	if err := prototext.Unmarshal([]byte(more), add); err != nil {
		t.Fatal(err)
	}
	for i, p := range add.GetTokenPolicies() {
		proto.Merge(cfg.TokenPolicies[i], p)
	}
	for i, a := range add.GetApis() {
		operations := a.GetOperations()
		a.Operations = nil
		proto.Merge(cfg.Apis[i], a)
		for j, o := range operations {
			proto.Merge(cfg.Apis[i].Operations[j], o)
		}
	}
	add.TokenPolicies, add.Apis = nil, nil
	proto.Merge(cfg, add)
	return cfg
}

// TestRequirementsAddUp holds that an operation asks what its policy, its API and it
// itself ask, the policy first.
func TestRequirementsAddUp(t *testing.T) {
	t.Parallel()
	cat, findings := Compile(merged(t, `
token_policies { claims { claim: "a" equals { bool_value: true } } rule: "token.bound" acr_values: "x" acr_values: "y" acr_values: "z" max_auth_age { seconds: 600 } }
token_policies { rule: "token.uid != ''" machine_tokens: true }
apis {
  claims { claim: "b.c" contains { string_value: "s" } } rule: "api.name != ''" acr_values: "z" acr_values: "y" max_auth_age { seconds: 900 }
  operations { claims { claim: "d" one_of { number_value: 1 } one_of { number_value: 2 } } rule: "request.method != ''" acr_values: "y" max_auth_age { seconds: 60 } }
  operations {}
  operations {}
}`), nil)
	if cat == nil {
		t.Fatalf("findings: %v", findings)
	}
	orders := cat.API("orders")
	want := Requirements{
		Claims: []RequiredClaim{
			{Path: []string{"a"}, Equals: structpb.NewBoolValue(true)},
			{Path: []string{"b", "c"}, Contains: structpb.NewStringValue("s")},
			{Path: []string{"d"}, OneOf: []*structpb.Value{structpb.NewNumberValue(1), structpb.NewNumberValue(2)}},
		},
		Rules:      []*Condition{{Text: "token.bound"}, {Text: "api.name != ''"}, {Text: "request.method != ''"}},
		ACRValues:  []string{"y"},
		MaxAuthAge: time.Minute,
	}
	same := cmp.Options{protocmp.Transform(), cmpopts.IgnoreUnexported(Condition{})}
	if diff := cmp.Diff(want, orders.Match("GET", "/orders/7").Operation.Requires, same); diff != "" {
		t.Errorf("GET /{id} (-want +got):\n%s", diff)
	}
	want = Requirements{
		Claims:     want.Claims[1:2],
		Rules:      []*Condition{{Text: "token.uid != ''"}, {Text: "api.name != ''"}},
		ACRValues:  []string{"z", "y"},
		MaxAuthAge: 15 * time.Minute,
	}
	if diff := cmp.Diff(want, orders.Match("POST", "/orders").Operation.Requires, same); diff != "" {
		t.Errorf("POST / (-want +got):\n%s", diff)
	}
	if r := orders.Match("GET", "/orders/health").Operation.Requires; !cmp.Equal(Requirements{}, r, same) {
		t.Errorf("a public operation requires %+v", r)
	}
	users, fresh := cat.TokenPolicies[0], cat.TokenPolicies[1]
	if users.MachineTokens || !fresh.MachineTokens || len(users.Requires.Claims) != 1 || users.Requires.MaxAuthAge != 10*time.Minute || !slices.Equal(users.Requires.ACRValues, []string{"x", "y", "z"}) {
		t.Errorf("policies are %+v and %+v", users, fresh)
	}
	for _, rule := range orders.Operations[0].Requires.Rules {
		if holds, err := rule.Holds(ruleContext(t)); !holds || err != nil {
			t.Errorf("%s is %t, %v", rule.Text, holds, err)
		}
	}
}

// TestRequirementsRefused holds what is refused also where nobody checked the schema's
// rules.
func TestRequirementsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		code   string
		change func(*durwardv1.Config)
	}{
		"no form":        {claimForm, claims(&durwardv1.RequiredClaim{Claim: "a"})},
		"empty one_of":   {claimForm, claims(&durwardv1.RequiredClaim{Claim: "a", OneOf: []*structpb.Value{}})},
		"two forms":      {claimForm, claims(&durwardv1.RequiredClaim{Claim: "a", Equals: structpb.NewBoolValue(true), OneOf: []*structpb.Value{structpb.NewBoolValue(true)}})},
		"null":           {claimForm, claims(&durwardv1.RequiredClaim{Claim: "a", Equals: structpb.NewNullValue()})},
		"no kind":        {claimForm, claims(&durwardv1.RequiredClaim{Claim: "a", Contains: &structpb.Value{}})},
		"a list":         {claimForm, claims(&durwardv1.RequiredClaim{Claim: "a", Equals: structpb.NewListValue(&structpb.ListValue{})})},
		"an object":      {claimForm, claims(&durwardv1.RequiredClaim{Claim: "a", OneOf: []*structpb.Value{structpb.NewStructValue(&structpb.Struct{})}})},
		"no claim":       {badClaim, claims(&durwardv1.RequiredClaim{Equals: structpb.NewBoolValue(true)})},
		"an empty name":  {badClaim, claims(&durwardv1.RequiredClaim{Claim: "a..b", Equals: structpb.NewBoolValue(true)})},
		"no age":         {brokenRule, func(c *durwardv1.Config) { c.TokenPolicies[0].MaxAuthAge = durationpb.New(0) }},
		"a negative age": {brokenRule, func(c *durwardv1.Config) { c.Apis[0].Operations[0].MaxAuthAge = durationpb.New(-time.Hour) }},
		"unused claims":  {claimForm, func(c *durwardv1.Config) { c.TokenPolicies[1].Claims = []*durwardv1.RequiredClaim{{Claim: "a"}} }},
		"a rule that is none": {badRule, func(c *durwardv1.Config) {
			c.TokenPolicies[0].Rule = "token.uid"
		}},
		"a rule too long": {badRule, func(c *durwardv1.Config) { c.Apis[0].Rule = "true" + strings.Repeat(" ", 5000) + "&& true" }},
		"a rule of lists": {costlyRule, func(c *durwardv1.Config) { c.Apis[0].Rule = "sets.contains(token.groups, token.scp)" }},
		"no common classes": {acrConflict, func(c *durwardv1.Config) {
			c.Apis[0].AcrValues, c.TokenPolicies[0].AcrValues = []string{"a"}, []string{"b"}
		}},
		"public with claims": {publicProtected, func(c *durwardv1.Config) {
			c.Apis[0].Operations[2].Claims = []*durwardv1.RequiredClaim{{Claim: "a", Equals: structpb.NewBoolValue(true)}}
		}},
		"public with a rule":  {publicProtected, func(c *durwardv1.Config) { c.Apis[0].Operations[2].Rule = "true" }},
		"public with classes": {publicProtected, func(c *durwardv1.Config) { c.Apis[0].Operations[2].AcrValues = []string{"a"} }},
		"public with an age":  {publicProtected, func(c *durwardv1.Config) { c.Apis[0].Operations[2].MaxAuthAge = durationpb.New(time.Hour) }},

		"a denial of nobody":    {denialForm, denials(&durwardv1.Denial{Reason: "r"})},
		"a denial of two":       {denialForm, denials(&durwardv1.Denial{UserId: "u", TokenId: "t"})},
		"a denial of a blank":   {denialForm, denials(&durwardv1.Denial{UserId: "u "})},
		"a denial twice":        {duplicateDenial, denials(&durwardv1.Denial{UserId: "u"}, &durwardv1.Denial{UserId: "u", Until: timestamppb.Now()})},
		"a denial until never":  {brokenRule, denials(&durwardv1.Denial{UserId: "u", Until: timestamppb.New(time.Time{})})},
		"a denial until no day": {brokenRule, denials(&durwardv1.Denial{UserId: "u", Until: &timestamppb.Timestamp{Nanos: -1}})},

		"a prefix of ours":         {badHeaderPrefix, headers("x-auth-x-", "", "a", "b")},
		"a prefix of Envoy's":      {badHeaderPrefix, headers("x-envoy-", "", "a", "b")},
		"a prefix of a prefix":     {badHeaderPrefix, headers("x-ext-", "", "a", "b")},
		"a prefix of our names":    {badHeaderPrefix, headers("x-decision-", "", "id", "b")},
		"a prefix of everything":   {badHeaderPrefix, headers("x-", "", "a", "b")},
		"a prefix with no end":     {badHeaderPrefix, headers("x-claim", "", "a", "b")},
		"a prefix in upper case":   {badHeaderPrefix, headers("X-Claim-", "", "a", "b")},
		"a prefix of two lines":    {badHeaderPrefix, headers("x-a\r\nb-", "", "a", "b")},
		"a header of two lines":    {brokenRule, headers("", "", "a\r\nx-auth-subject", "b")},
		"a header without a name":  {brokenRule, headers("", "", "", "b")},
		"a claim without a name":   {badClaim, headers("", "", "a", "")},
		"an unknown preset":        {brokenRule, headers("", "nginx", "a", "b")},
		"a header of the preset":   {headerTwice, headers("x-jwt-claim-", "istio", "sub", "uid")},
		"an unknown mode":          {brokenRule, func(c *durwardv1.Config) { c.Apis[0].Mode = "Shadow" }},
		"no origin":                {badOrigin, origins()},
		"any origin":               {badOrigin, origins("*")},
		"no origin's origin":       {badOrigin, origins("null")},
		"an origin with a path":    {badOrigin, origins("https://a.example.com/")},
		"a top-level wildcard":     {badOrigin, origins("https://*.com")},
		"an external with a path":  {badExternal, external("https://a.example.com/x")},
		"an external in two forms": {badExternal, external("https://a.example.com:443")},
		"an empty external":        {badExternal, external("")},
		"all headers": {brokenRule, func(c *durwardv1.Config) {
			c.Apis[0].Cors = &durwardv1.CORS{AllowOrigins: []string{"https://a.example.com"}, AllowHeaders: []string{"*"}}
		}},
		"a preflight for days": {brokenRule, func(c *durwardv1.Config) {
			c.Apis[0].Cors = &durwardv1.CORS{AllowOrigins: []string{"https://a.example.com"}, MaxAge: durationpb.New(48 * time.Hour)}
		}},
		"two URLs for metadata": {metadataWhere, func(c *durwardv1.Config) {
			c.Gateways = append(c.Gateways, &durwardv1.Gateway{Name: "inner", Listen: "127.0.0.1:1", Url: "http://127.0.0.1:1"})
			c.Apis[0].ProtectedResource = true
		}},
		"metadata of an operation": {metadataTaken, func(c *durwardv1.Config) {
			c.Apis[0].ProtectedResource = true
			c.Apis[1].Operations[0].Path = "/.well-known/oauth-protected-resource/orders"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cat, findings := compileChanged(t, tt.change)
			if cat != nil || !slices.ContainsFunc(findings, func(f Finding) bool { return f.Code == tt.code && f.Severity == Error && f.Path != "" }) {
				t.Errorf("findings %v; want %s", findings, tt.code)
			}
		})
	}
}

func claims(all ...*durwardv1.RequiredClaim) func(*durwardv1.Config) {
	return func(c *durwardv1.Config) { c.Apis[0].Claims = all }
}

func denials(all ...*durwardv1.Denial) func(*durwardv1.Config) {
	return func(c *durwardv1.Config) { c.Denials = all }
}

func headers(prefix, preset, name, claim string) func(*durwardv1.Config) {
	return func(c *durwardv1.Config) {
		c.Headers = &durwardv1.Headers{Prefix: prefix, Preset: preset, Claims: map[string]string{name: claim}}
	}
}

func origins(all ...string) func(*durwardv1.Config) {
	return func(c *durwardv1.Config) { c.Apis[0].Cors = &durwardv1.CORS{AllowOrigins: all} }
}

func external(all ...string) func(*durwardv1.Config) {
	return func(c *durwardv1.Config) { c.Apis[0].Frontend.External = all }
}
