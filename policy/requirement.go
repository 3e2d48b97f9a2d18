package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// checkSignIn follows RFC 9470: what is needed is told, so that the caller can sign in
// again that way. A sign-in of which the time is not known is too old.
func (j *judgement) checkSignIn() contract.Reason {
	op, c := j.d.Operation, j.d.Fact.Claims
	needs := op.Requires
	if len(needs.ACRValues) == 0 && needs.MaxAuthAge == 0 {
		return ""
	}
	reached := len(needs.ACRValues) == 0 || slices.Contains(needs.ACRValues, c.ACR)
	age := j.now.Sub(c.AuthTime)
	recent := needs.MaxAuthAge == 0 || !c.AuthTime.IsZero() && age <= needs.MaxAuthAge && age >= -op.Policy.Server.Leeway
	if j.trace != nil {
		note := j.pass
		if !reached || !recent {
			note = j.fail
		}
		note(contract.StepSignIn, op.At, neededText(needs), signInText(c, age)...)
	}
	if !reached || !recent {
		j.d.ACRValues, j.d.MaxAuthAge = needs.ACRValues, needs.MaxAuthAge
		return contract.StepUpRequired
	}
	return ""
}

func neededText(needs catalog.Requirements) string {
	text := strings.Join(needs.ACRValues, " ")
	if needs.MaxAuthAge == 0 {
		return text
	}
	return strings.TrimSpace(text + " within " + needs.MaxAuthAge.String())
}

func signInText(c token.Claims, age time.Duration) []string {
	text := []string{"acr " + c.ACR}
	if c.ACR == "" {
		text[0] = "no acr"
	}
	if c.AuthTime.IsZero() {
		return append(text, "no auth_time")
	}
	return append(text, age.Round(time.Second).String()+" ago")
}

func (j *judgement) checkClaims() contract.Reason {
	for _, need := range j.d.Operation.Requires.Claims {
		found := claim(j.d.Fact.Claims, need.Path)
		holds := satisfies(found, need)
		if j.trace != nil {
			note := j.pass
			if !holds {
				note = j.fail
			}
			note(contract.StepClaim, need.At, strings.Join(need.Path, ".")+" "+expectation(need), claimText(found))
		}
		if !holds {
			j.d.Detail = "claim " + strings.Join(need.Path, ".") + " is not as required"
			return contract.ClaimMismatch
		}
	}
	return ""
}

func (j *judgement) checkRules() contract.Reason {
	rules := j.d.Operation.Requires.Rules
	if len(rules) == 0 {
		return ""
	}
	about := j.ruleContext()
	for _, rule := range rules {
		holds, err := rule.Holds(about)
		if err != nil {
			j.d.Detail = "rule: " + err.Error()
			j.fail(contract.StepRule, rule.At, rule.Text, err.Error())
			return contract.ClaimMismatch
		}
		if !holds {
			j.d.Detail = "rule is false"
			j.fail(contract.StepRule, rule.At, rule.Text, "false")
			return contract.ClaimMismatch
		}
		j.pass(contract.StepRule, rule.At, rule.Text, "true")
	}
	return ""
}

func (j *judgement) ruleContext() *durwardv1.RuleContext {
	c, app := j.d.Fact.Claims, j.d.Application
	about := &durwardv1.RuleContext{
		Token: &durwardv1.RuleToken{
			Sub: c.Subject, Uid: c.UserID, Cid: c.ClientID, Iss: c.Issuer, Aud: c.Audience, Jti: c.TokenID,
			Scp: c.Scopes, Groups: c.Groups, Acr: c.ACR, Exp: timestamppb.New(c.ExpiresAt), Bound: c.Bound,
			Claims: c.Other.Struct(),
		},
		Request: &durwardv1.RuleRequest{
			Method: j.request.Method, Host: j.target.host, Path: j.target.path,
			Operation: j.d.Operation.Path.String(), Params: j.d.API.Params(j.d.Operation, j.target.path),
			SourceIp: j.request.SourceIP, Time: timestamppb.New(j.now),
		},
		Application: &durwardv1.RuleApplication{Name: app.Name, Organization: app.Organization.Name},
		Api:         &durwardv1.RuleAPI{Name: j.d.API.Name},
	}
	if !c.AuthTime.IsZero() {
		about.Token.AuthTime = timestamppb.New(c.AuthTime)
	}
	if !c.IssuedAt.IsZero() {
		about.Token.Iat = timestamppb.New(c.IssuedAt)
	}
	return about
}

// claim returns a claim as JSON has it: string, bool, json.Number, []any or
// map[string]any; nil where it is absent, or empty where absence cannot be told.
func claim(c token.Claims, path []string) any {
	if len(path) == 1 {
		switch path[0] {
		case "iss":
			return text(c.Issuer)
		case "sub":
			return text(c.Subject)
		case "uid":
			return text(c.UserID)
		case "cid", "client_id":
			return text(c.ClientID)
		case "jti":
			return text(c.TokenID)
		case "acr":
			return text(c.ACR)
		case "aud":
			return list(c.Audience)
		case "scp", "scope":
			return list(c.Scopes)
		case "groups":
			return list(c.Groups)
		case "exp":
			return date(c.ExpiresAt)
		case "iat":
			return date(c.IssuedAt)
		case "nbf":
			return date(c.NotBefore)
		case "auth_time":
			return date(c.AuthTime)
		}
	}
	return c.Other.Lookup(path...)
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func list(items []string) any {
	if items == nil {
		return nil
	}
	all := make([]any, len(items))
	for i, item := range items {
		all[i] = item
	}
	return all
}

func date(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return json.Number(fmt.Sprint(t.Unix()))
}

// satisfies compares what a claim is with what it must be. Nothing satisfies a
// requirement that says nothing.
func satisfies(found any, need catalog.RequiredClaim) bool {
	same := func(want *structpb.Value) bool { return isSame(found, want) }
	switch {
	case need.Equals != nil:
		return same(need.Equals)
	case need.Contains != nil:
		items, ok := found.([]any)
		return ok && slices.ContainsFunc(items, func(item any) bool { return isSame(item, need.Contains) })
	default:
		return slices.ContainsFunc(need.OneOf, same)
	}
}

// isSame compares scalars of one kind; numbers by value.
func isSame(found any, want *structpb.Value) bool {
	switch w := want.GetKind().(type) {
	case *structpb.Value_StringValue:
		return found == w.StringValue
	case *structpb.Value_BoolValue:
		return found == w.BoolValue
	case *structpb.Value_NumberValue:
		n, ok := found.(json.Number)
		if !ok {
			return false
		}
		f, err := n.Float64()
		return err == nil && f == w.NumberValue
	default:
		return false
	}
}

func expectation(need catalog.RequiredClaim) string {
	switch {
	case need.Equals != nil:
		return "equals " + valueText(need.Equals)
	case need.Contains != nil:
		return "contains " + valueText(need.Contains)
	}
	words := make([]string, len(need.OneOf))
	for i, v := range need.OneOf {
		words[i] = valueText(v)
	}
	return "is one of " + strings.Join(words, ", ")
}

func valueText(v *structpb.Value) string { return fmt.Sprint(v.AsInterface()) }

func claimText(found any) string {
	if found == nil {
		return "no such claim"
	}
	return fmt.Sprint(found)
}
