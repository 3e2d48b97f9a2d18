package catalog

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// TestRuleExamples: every rule of the documentation compiles, passes what it is about, and
// nothing else.
func TestRuleExamples(t *testing.T) {
	t.Parallel()
	// strangers spoil, one for each example, what the context has for it.
	strangers := []func(*durwardv1.RuleContext){
		func(c *durwardv1.RuleContext) { c.Request.Params["login"] = "bob@example.com" },
		func(c *durwardv1.RuleContext) { delete(c.Token.Claims.Fields, "department") },
		func(c *durwardv1.RuleContext) { delete(c.Token.Claims.Fields, "level") },
		func(c *durwardv1.RuleContext) { c.Token.Groups = nil },
		func(c *durwardv1.RuleContext) { c.Token.Scp = c.Token.Scp[:1] },
		func(c *durwardv1.RuleContext) { c.Request.Method, c.Request.SourceIp = "POST", "" },
		func(c *durwardv1.RuleContext) { c.Token.AuthTime = nil },
		func(c *durwardv1.RuleContext) {
			c.Request.Time = timestamppb.New(c.Request.Time.AsTime().Add(8 * time.Hour))
		},
		func(c *durwardv1.RuleContext) { c.Token.Sub = "svc-sync@example.com" },
		func(c *durwardv1.RuleContext) { c.Request.Params["item"] = "P-1x" },
	}
	examples := RuleExamples()
	if len(examples) != len(strangers) {
		t.Fatalf("%d examples, %d strangers", len(examples), len(strangers))
	}
	member := ruleContext(t)
	member.Token.Claims = ruleStruct(t, map[string]any{"department": "finance", "level": 3})
	member.Token.Groups, member.Token.Scp = []string{"sales"}, []string{"orders.read", "orders.export"}
	member.Request.Params = map[string]string{"login": member.Token.Sub, "item": "P-17"}
	for i, e := range examples {
		rule, err := compileRule(e.Rule, Position{})
		if err != nil {
			t.Errorf("%s: %v", e.Rule, err)
			continue
		}
		if holds, err := rule.Holds(member); !holds || err != nil {
			t.Errorf("%s: %t, %v", e.Rule, holds, err)
		}
		stranger := proto.CloneOf(member)
		strangers[i](stranger)
		if holds, _ := rule.Holds(stranger); holds {
			t.Errorf("%s lets a stranger pass", e.Rule)
		}
	}
}
