package catalog

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

func ruleStruct(t testing.TB, fields map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ruleContext(t testing.TB) *durwardv1.RuleContext {
	t.Helper()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	return &durwardv1.RuleContext{
		Token: &durwardv1.RuleToken{
			Sub: "ada@example.com", Uid: "00u1", Cid: "0oaMobile", Iss: "https://example.okta.com/oauth2/default",
			Aud: []string{"api://default"}, Jti: "AT.1", Scp: []string{"orders.read", "orders.write"}, Groups: []string{"staff", "team-blue"},
			Acr: "phr", AuthTime: timestamppb.New(now.Add(-10 * time.Minute)), Exp: timestamppb.New(now.Add(time.Hour)), Bound: true,
			Claims: ruleStruct(t, map[string]any{
				"email": "ada@example.com", "level": 2, "admin": true, "a.b": "dotted", "none": nil,
				"account": map[string]any{"id": "7", "roles": []any{"buyer", "seller"}},
			}),
		},
		Request: &durwardv1.RuleRequest{
			Method: "GET", Host: "shop.example.com", Path: "/orders/7", Operation: "/{id}",
			Params: map[string]string{"id": "7"}, SourceIp: "10.1.2.3", Time: timestamppb.New(now),
		},
		Application: &durwardv1.RuleApplication{Name: "mobile", Organization: "retail"},
		Api:         &durwardv1.RuleAPI{Name: "orders"},
	}
}

// TestRuleHolds holds what rules can say, and that what is missing is an error.
func TestRuleHolds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		want bool
		err  string
	}{
		{`true`, true, ""},
		{`false`, false, ""},
		{`token.uid == "00u1" && token.cid == "0oaMobile" && token.iss.startsWith("https://example.okta.com/")`, true, ""},
		{`token.sub.endsWith("@example.com")`, true, ""},
		{`"api://default" in token.aud && "staff" in token.groups && !("admin" in token.groups)`, true, ""},
		{`sets.contains(token.scp, ["orders.read"])`, true, ""},
		{`sets.intersects(token.groups, ["team-red", "team-green"])`, false, ""},
		{`token.groups.exists(g, g.startsWith("team-"))`, true, ""},
		{`token.groups.exists(g, g.matches("^team-[a-z]+$"))`, true, ""},
		{`token.claims.level >= 2`, true, ""},
		{`token.claims.level > 2.5`, false, ""},
		{`token.claims.admin == true`, true, ""},
		{`token.claims["a.b"] == "dotted"`, true, ""},
		{`token.claims.account.id == request.params.id`, true, ""},
		{`"seller" in token.claims.account.roles`, true, ""},
		{`token.claims.none == null`, true, ""},
		{`has(token.claims.email) && token.claims.email.lowerAscii() == "ada@example.com"`, true, ""},
		{`cidr("10.0.0.0/8").containsIP(ip(request.source_ip))`, true, ""},
		{`cidr("10.0.0.0/8").containsIP(request.source_ip)`, true, ""},
		{`request.time - token.auth_time < duration("15m")`, true, ""},
		{`request.time.getHours("+01:00") == 13`, true, ""},
		{`request.time.getHours() == 12 && request.time.getDayOfWeek() == 2`, true, ""},
		{`request.method in ["GET", "HEAD"] || token.bound`, true, ""},
		{`request.host == "shop.example.com" && request.path.startsWith("/orders/") && request.operation == "/{id}"`, true, ""},
		{`application.organization == "retail" && application.name == "mobile" && api.name == "orders"`, true, ""},
		{`token.exp > request.time`, true, ""},
		{`has(token.iat)`, false, ""},
		{`token.jti != "" && token.acr in ["phr", "phrh"]`, true, ""},

		{`token.claims.missing == "a"`, false, "rule: no such key: missing"},
		{`token.claims.account.missing == "a"`, false, "rule: no such key: missing"},
		{`request.params.name == "a"`, false, "rule: no such key: name"},
		{`!(token.claims.missing == "a")`, false, "rule: no such key: missing"},
		{`token.iat < request.time`, false, "rule: not set: iat"},
		{`token.claims.email > 3`, false, "rule: no such overload"},
		{`1 / (size(token.groups) - 2) == 0`, false, "rule: division by zero"},
		{`int(token.claims.email) > 0`, false, "rule: it cannot be evaluated for this token and request"},
		{`timestamp(token.sub) < request.time`, false, "rule: it cannot be evaluated for this token and request"},
		{`token.claims[token.sub] == "a"`, false, "rule: it cannot be evaluated for this token and request"},
		{`token.claims.account == "7"`, false, ""},
	} {
		rule, err := compileRule(tt.rule, Position{})
		if err != nil {
			t.Errorf("%s: %v", tt.rule, err)
			continue
		}
		got, err := rule.Holds(ruleContext(t))
		if message := errorText(err); got != tt.want || message != tt.err {
			t.Errorf("%s is %t, %q; want %t, %q", tt.rule, got, message, tt.want, tt.err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestRuleRefused holds what a rule is refused for, and where in it.
func TestRuleRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                                     "the rule is empty",
		`token.uid ==`:                         "at 1:13 of the rule: Syntax error: mismatched input '<EOF>'",
		"true &&\n  tokn.uid":                  "at 2:3 of the rule: undeclared reference to 'tokn'",
		`token.udi == ""`:                      "at 1:6 of the rule: undefined field 'udi'",
		`token.uid`:                            "the rule is of type string, not true or false",
		`token.claims.admin`:                   "only the token decides what the rule is",
		`[token].size() == 1`:                  "at 1:2 of the rule: token is no value: write one of its fields",
		`token.uid.matches("(")`:               "at 1:18 of the rule: the regular expression of matches is malformed",
		`token.uid.matches("(a{1,30}){1,30}")`: "takes more than 1000 steps",
		`token.groups.exists(g, g.matches("(a|b){1,50}c"))`:  "the rule may take too long",
		`token.uid.matches(token.sub)`:                       "at 1:18 of the rule: the regular expression of matches is not a constant",
		`request.time.getHours("UTC+1") == 1`:                "at 1:22 of the rule: the time zone of getHours is not a constant offset",
		`"%d".format([1]) == "1"`:                            "format is not available",
		`durward.v1.RuleAPI{name: "a"}.name == "a"`:          "messages cannot be made here",
		`sets.contains(token.scp, token.groups)`:             "the rule may take too long",
		`true || "` + strings.Repeat("a", 5000) + `" == "a"`: "expression code point size exceeds limit",
	} {
		if _, err := compileRule(text, Position{}); !strings.Contains(errorText(err), want) {
			t.Errorf("%.100s: %v; want %s", text, err, want)
		}
	}
	if fix := suggestRuleName("subb"); fix != "did you mean token.sub?" {
		t.Errorf("subb: %s", fix)
	}
	if fix := suggestRuleName("nothing-like-it"); !strings.Contains(fix, "token.claims") || !strings.Contains(fix, "request.source_ip") {
		t.Errorf("a name unlike all: %s", fix)
	}
}

// TestRuleWithoutContext holds that nothing holds where there is nothing to judge by.
func TestRuleWithoutContext(t *testing.T) {
	t.Parallel()
	rule, err := compileRule(`token.uid == "00u1" && token.claims.level > 1 && request.params.id == "7" && api.name != "" && application.name != ""`, Position{})
	if err != nil {
		t.Fatal(err)
	}
	for _, about := range []*durwardv1.RuleContext{nil, {}, {Token: &durwardv1.RuleToken{Uid: "00u1"}}} {
		if holds, _ := rule.Holds(about); holds {
			t.Errorf("it holds for %v", about)
		}
	}
	for name, c := range map[string]*Condition{"nil": nil, "zero": {}, "text only": {Text: "true"}} {
		if holds, err := c.Holds(ruleContext(t)); holds || err == nil {
			t.Errorf("%s: %t, %v", name, holds, err)
		}
	}
}

// TestRuleErrorsTellNobody holds that no error repeats what a claim holds.
func TestRuleErrorsTellNobody(t *testing.T) {
	t.Parallel()
	about := ruleContext(t)
	about.Token.Sub = "zoe.secret@example.com"
	about.Token.Claims = ruleStruct(t, map[string]any{"email": about.Token.Sub})
	for _, text := range []string{
		`timestamp(token.sub) < request.time`, `duration(token.sub) < duration("1s")`, `int(token.sub) == 1`, `double(token.sub) == 1.0`,
		`bool(token.sub)`, `ip(token.sub).isLoopback()`, `cidr(token.sub).prefixLength() == 8`, `token.claims[token.sub] == 1`,
		`request.params[token.sub] == ""`, `token.claims.email.charAt(100) == ""`, `token.claims.email.substring(99) == ""`, `token.groups[int(token.claims.email)] == ""`,
	} {
		rule, err := compileRule(text, Position{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		holds, err := rule.Holds(about)
		if holds || err == nil || strings.Contains(err.Error(), "zoe") {
			t.Errorf("%s: %t, %v", text, holds, err)
		}
	}
}

// literal is what the benchmark's rule says, in Go.
func literal(c *durwardv1.RuleContext) bool {
	writes := false
	for _, s := range c.GetToken().GetScp() {
		writes = writes || s == "orders.write"
	}
	level, ok := c.GetToken().GetClaims().GetFields()["level"]
	return writes && c.GetRequest().GetMethod() == "GET" && strings.HasPrefix(c.GetRequest().GetPath(), "/orders/") &&
		strings.HasSuffix(c.GetToken().GetSub(), "@example.com") && ok && level.GetNumberValue() >= 2
}

const typicalRule = `"orders.write" in token.scp && request.method == "GET" && request.path.startsWith("/orders/") && token.sub.endsWith("@example.com") && token.claims.level >= 2`

// BenchmarkHolds evaluates a typical rule, beside the same in Go.
func BenchmarkHolds(b *testing.B) {
	about := ruleContext(b)
	rule, err := compileRule(typicalRule, Position{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("rule", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if holds, err := rule.Holds(about); !holds {
				b.Fatal(err)
			}
		}
	})
	b.Run("go", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !literal(about) {
				b.Fatal("it does not hold")
			}
		}
	})
}

// BenchmarkCompileRule compiles a typical rule, as each loading of a configuration does.
func BenchmarkCompileRule(b *testing.B) {
	for b.Loop() {
		if _, err := compileRule(typicalRule, Position{}); err != nil {
			b.Fatal(err)
		}
	}
}
