package catalog

import (
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"pgregory.net/rapid"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// hostileRules are expressions that do not parse, are about nothing, compare what cannot
// be compared, would take long or much memory, or look for what is not there.
func hostileRules() []string {
	deep := func(open, in, end string) string { return strings.Repeat(open, 300) + in + strings.Repeat(end, 300) }
	ten := `["aaaaaaaaaa","b","c","d","e","f","g","h","i","j"]`
	return []string{
		// No expression.
		``, ` `, "\t", `token.uid =`, `token.uid ==`, `== "a"`, `(true`, `true)`, `"open`, `true true`, `token..uid == ""`, `true; true`, `if (true) true`, `x = true`,
		`token.uid === ""`, `!`, `true &`, `true and true`, `#true`, `'`, `r"`, `"""`, `1 ? 2`, `token.[0]`, `{`, `[`, "`token`", `\u0074rue`, `true` + "\x00",
		// No such name.
		`t`, `tokn.uid == ""`, `token.uuid != "a"`, `token.claim.x == 1`, `request.headers["authorization"] != ""`, `request.body == ""`, `env.HOME != ""`, `os.getenv("X") == ""`, `http.get("http://127.0.0.1") == ""`,
		`now() > timestamp(0)`, `true_()`, `durward.v1.Config{} != null`, `google.protobuf.Any{type_url: "a"} != null`, `application.client_ids == []`, `token.token != ""`, `token.scope != ""`, `__result__ == true`, `@result`, `cel.bind(x, true, x)`, `optional.of(true).hasValue()`,
		// No condition.
		`1`, `"true"`, `null`, `token`, `token.uid`, `token.claims`, `token.claims.admin`, `[true]`, `{"a": true}`, `type(true)`, `request.time`, `duration("1s")`, `dyn(true)`, `b"true"`, `1.0`,
		// No comparison.
		`token.uid == 1`, `token.exp == 1`, `token.bound == "true"`, `token.groups == "staff"`, `token.uid > 1 || true`, `request.params.id == 7`, `token.scp.contains("orders.read")`, `"a" in token.uid`,
		`token == token`, `request != request`, `dyn(token).iat < request.time`, `[token][0].uid != "x"`, `{"t": token}.t.uid != "x"`, `(true ? token : token).uid != "x"`, `type(token) == type(token)`, `[1, "a", true].size() == -3`,
		// Without end.
		`token.groups.all(a, token.groups.all(b, a != "" || b != "" || true))`,
		`token.claims.list.all(a, token.claims.list.all(b, token.claims.list.all(c, true)))`,
		`sets.equivalent(token.groups, token.scp)`, `sets.intersects(token.claims.a, token.claims.b)`,
		ten + `.all(a, ` + ten + `.all(b, ` + ten + `.all(c, ` + ten + `.all(d, ` + ten + `.all(e, ` + ten + `.all(f, true))))))`,
		ten + `.map(a, ` + ten + `.map(b, ` + ten + `.map(c, ` + ten + `.map(d, ` + ten + `.map(e, a + b + c + d + e))))).size() > 0`,
		`request.path.replace("", request.path).replace("", request.path).replace("", request.path).size() > 0`,
		`token.groups.join(token.sub).size() >= 0`, `token.groups.map(g, token.sub + token.sub).size() >= 0`, `request.path.split("").map(c, request.path).size() > 0`,
		`token.groups.exists(g, request.path.contains(token.sub) || true)`, `token.sub.contains(request.path.replace("", request.path)) || true`,
		`"%.999999999f".format([1.0]) != ""`, `"%s%s".format([token.sub, token.sub]) != "x"`,
		`token.claims.list.map(x, token.claims.list).size() >= 0`,
		strings.Repeat(`true || `, 600) + `true`, deep(`(`, `true`, `)`), deep(`!`, `false`, ``), deep(`[`, ``, `]`) + ` == []`, deep(`[true].all(x, `, `x`, `)`), `"` + strings.Repeat("a", 5000) + `" != ""`,
		// Patterns and zones.
		`token.sub.matches(token.sub)`, `token.sub.matches("(")`, `matches(token.sub, token.uid)`, `token.sub.matches("(a{1,1000}){1,1000}")`, `token.sub.matches("((a{1,100}){1,100}){1,100}")`, `token.sub.matches("(?<=a)b")`, `token.sub.matches("\\1")`,
		`token.sub.matches("` + strings.Repeat("(a|b)*", 300) + `")`, `token.sub.matches("a" + "b")`, `request.time.getHours("Europe/Berlin") >= 0`, `request.time.getHours(token.sub) >= 0`, `request.time.getHours("../../etc/passwd") >= 0`, `timestamp("yesterday") < request.time`, `duration("1 fortnight") > duration("0s")`,
		// Nothing there.
		`token.claims.absent == null`, `token.claims.absent != "x"`, `!(token.claims.absent == "x")`, `token.claims["absent"] != 1`, `token.claims.odd.deeper != 1`, `request.params.absent != "x"`, `token.groups[4000] != "x"`, `token.aud[-1] != "x"`,
		`token.claims.odd > 1`, `token.claims.list.absent != 1`, `!token.claims.odd`, `token.claims.odd && true`, `token.iat < request.time`, `token.auth_time < request.time`, `token.auth_time + duration("999999h") > request.time`,
		`1 / 0 == 1 || false`, `1 % 0 != 1`, `9223372036854775807 + 1 > 0`, `-9223372036854775808 - 1 < 0`, `int("x") != 1`, `uint(-1) != 1u`, `ip("x").isLoopback() || false`, `cidr("10.0.0.0/8").containsIP(request.source_ip)`, `bool("maybe")`, `timestamp(token.sub) < request.time`,
		`token.claims.list.all(x, x.absent == 1)`, `token.claims.map(k, k)[99] != "x"`, `has(token.claims.odd.deeper) || has(token.claims.odd.deeper.still)`, `"x".charAt(7) != "x"`, `"x".substring(9) != "x"`,
	}
}

// hostileContext is that of a caller who chose everything that a caller can.
func hostileContext(t testing.TB) *durwardv1.RuleContext {
	about := ruleContext(t)
	items := make([]any, 8000)
	for i := range items {
		items[i] = i
	}
	about.Token.Sub = strings.Repeat("a", 12<<10)
	about.Token.AuthTime, about.Token.Iat = nil, nil
	about.Token.Groups = nil
	for range 1000 {
		about.Token.Groups = append(about.Token.Groups, strings.Repeat("a", maxItemSize))
	}
	about.Token.Claims = ruleStruct(t, map[string]any{"list": items, "odd": "text"})
	about.Request.Path = "/orders/" + strings.Repeat("a", 12<<10)
	about.Request.SourceIp = ""
	return about
}

// TestHostileRules holds that each is refused when it is loaded, or never true, in
// bounded time.
func TestHostileRules(t *testing.T) {
	t.Parallel()
	all, about := hostileRules(), hostileContext(t)
	if len(all) < 100 {
		t.Fatalf("only %d rules", len(all))
	}
	refused := 0
	for _, text := range all {
		began := time.Now()
		rule, err := compileRule(text, Position{})
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%.100q took %v to compile", text, took)
		}
		if err != nil {
			refused++
			continue
		}
		began = time.Now()
		holds, err := rule.Holds(about)
		if holds && err == nil {
			t.Errorf("%.100q holds", text)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%.100q took %v", text, took)
		}
	}
	t.Logf("%d of %d are refused when they are loaded", refused, len(all))
}

// TestRuleCost holds that what a rule costs with a token made for it stays within what is
// allowed when it is loaded.
func TestRuleCost(t *testing.T) {
	t.Parallel()
	language, err := ruleLanguage()
	if err != nil {
		t.Fatal(err)
	}
	about := hostileContext(t)
	for _, text := range []string{
		typicalRule, `token.groups.exists(g, g.matches("^b[a-z]+$"))`, `token.groups.exists(g, g.startsWith("b") || g.endsWith("b") || g.contains("b"))`,
		`token.sub.matches("^(a|b)*c$")`, `request.path.contains("b")`, `token.claims.list.exists(x, x == -1)`, `"b" in token.groups`, `sets.intersects(token.groups, ["x", "y"])`,
		`token.sub.lowerAscii() == request.path`, `token.groups.exists(g, token.claims.odd == g)`, `request.path.split("/").size() < 3`, `token.groups.filter(g, g.size() > 3).size() > 5`,
	} {
		rule, err := compileRule(text, Position{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		checked, _ := language.Compile(text)
		tracked, err := language.Program(checked, cel.EvalOptions(cel.OptTrackCost))
		if err != nil {
			t.Fatal(err)
		}
		_, details, _ := tracked.Eval(ruleVariables{about})
		if cost := details.ActualCost(); cost == nil || *cost > maxRuleCost {
			t.Errorf("%s costs %v", text, cost)
		}
		began := time.Now()
		if _, err := rule.Holds(about); err != nil && !strings.Contains(text, "level") {
			t.Errorf("%s: %v", text, err)
		}
		t.Logf("%s took %v", text, time.Since(began))
	}
}

// TestAnyRule holds that no text and no context make a panic, and nothing true beside an
// error.
func TestAnyRule(t *testing.T) {
	t.Parallel()
	words := []string{"token", ".", "claims", "sub", "scp", "groups", "request", "params", "(", ")", "[", "]", "==", "in", "&&", "||", "!", `"a"`, "1", "true", " ", ".all(x, x", ".matches(", "{", "}", "null", "?", ":"}
	about := []*durwardv1.RuleContext{nil, {}, ruleContext(t), hostileContext(t)}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 12).Draw(t, "words"), "")
		rule, err := compileRule(text, Position{})
		if (rule == nil) == (err == nil) {
			t.Fatalf("%q: %v, %v", text, rule, err)
		}
		for _, c := range about {
			if holds, err := rule.Holds(c); holds && err != nil {
				t.Fatalf("%q is true beside %v", text, err)
			}
		}
	})
}

// TestClaimsAreNotCopied holds that looking at one claim costs nothing for the others.
func TestClaimsAreNotCopied(t *testing.T) {
	about := hostileContext(t)
	rule, err := compileRule(`token.claims.odd == "text" && has(token.claims.odd) && "odd" in token.claims`, Position{})
	if err != nil {
		t.Fatal(err)
	}
	allocations := testing.AllocsPerRun(10, func() {
		if holds, err := rule.Holds(about); !holds {
			t.Fatal(err)
		}
	})
	if allocations > 100 {
		t.Errorf("%v allocations", allocations)
	}
}
