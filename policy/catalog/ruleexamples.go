package catalog

// RuleExample is a rule as the documentation shows it, and what it asks.
type RuleExample struct{ About, Rule string }

// RuleExamples are the rules that the documentation shows. A test holds that each
// compiles, and what it lets pass.
func RuleExamples() []RuleExample {
	return []RuleExample{
		{"people read their own", `request.params.login == token.sub`},
		{"one department, by a claim of the token", `token.claims.department == "finance"`},
		{"a claim that not every token has", `has(token.claims.level) && token.claims.level >= 3.0`},
		{"a group, or machines of one organization", `"sales" in token.groups || token.uid == "" && application.organization == "retail"`},
		{"all of these scopes, whatever the operation asks", `sets.contains(token.scp, ["orders.read", "orders.export"])`},
		{"writes from the company's network alone", `request.method == "GET" || cidr("10.0.0.0/8").containsIP(ip(request.source_ip))`},
		{"a sign-in of today", `request.time - token.auth_time < duration("12h")`},
		{"working hours, in UTC", `request.time.getHours() >= 6 && request.time.getHours() < 20`},
		{"staff by their login", `token.sub.endsWith("@example.com") && !token.sub.startsWith("svc-")`},
		{"a partner's own items, by a pattern", `request.params.item.matches("^P-[0-9]{1,6}$")`},
	}
}
