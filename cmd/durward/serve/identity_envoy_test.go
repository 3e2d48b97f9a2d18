package serve

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/durward/durward/policy/contract"
)

// person are claims as a token's author means them; an empty one is left out of the token.
type person struct {
	subject, userID, tokenID, email string
	groups, scopes                  []string
}

var drawnPerson = rapid.Custom(func(t *rapid.T) person {
	text := rapid.OneOf(rapid.StringN(0, 40, 80), rapid.SampledFrom([]string{
		"alice@example.com", "forge%64", "a, b", " root ", "a\r\nx-auth-subject: root", "\u202eroot", "\x00", "%0d%0a", `"; x="`, "caf\u00e9",
	}))
	return person{
		subject: text.Filter(func(s string) bool { return s != "" }).Draw(t, "sub"), userID: "00u" + text.Draw(t, "uid"), tokenID: "AT." + text.Draw(t, "jti"), email: text.Draw(t, "email"),
		groups: rapid.SliceOfN(text, 0, 4).Draw(t, "groups"),
		scopes: rapid.SliceOfNDistinct(rapid.StringMatching(`[!#-\[\]-~]{1,12}`), 0, 4, rapid.ID).Draw(t, "scp"),
	}
})

// claims are changes to those of a good token.
func (p person) claims() map[string]string {
	change := make(map[string]string)
	for name, claim := range map[string]string{"sub": p.subject, "uid": p.userID, "jti": p.tokenID, "email": p.email} {
		if claim != "" {
			change[name] = string(must(json.Marshal(claim)))
		} else if name != "email" { // which a good token lacks
			change[name] = ""
		}
	}
	change["scp"] = string(must(json.Marshal(append(p.scopes, "orders.read"))))
	if len(p.groups) > 0 {
		change["groups"] = string(must(json.Marshal(p.groups)))
	}
	return change
}

// headers are what a backend is to read about the person, once it has decoded it; lists
// are taken apart.
func (p person) headers(issuer string) map[string][]string {
	want := map[string][]string{
		contract.HeaderAPI: {"orders"}, contract.HeaderApplication: {"mobile"}, contract.HeaderClientID: {mobile},
		contract.HeaderOrganization: {"retail"}, contract.HeaderIssuer: {issuer}, contract.HeaderScopes: append(p.scopes, "orders.read"),
	}
	for name, text := range map[string]string{
		contract.HeaderSubject: p.subject, contract.HeaderUserID: p.userID, contract.HeaderTokenID: p.tokenID, "x-claim-email": p.email,
	} {
		if text != "" {
			want[name] = []string{text}
		}
	}
	if groups := slices.DeleteFunc(slices.Clone(p.groups), func(g string) bool { return g == "" }); len(groups) > 0 {
		want[contract.HeaderGroups] = groups
	}
	return want
}

// drawForged draws lines by which a caller poses as somebody.
func drawForged(t *rapid.T) []string {
	names := append(contract.IdentityHeaders(), "x-claim-email", "x-claim-other", "x-auth-other")
	lines := []string{"Host: api.example.com", "Connection: close"}
	for range rapid.IntRange(0, 12).Draw(t, "forged") {
		name := rapid.SampledFrom(names).Draw(t, "name")
		name = rapid.SampledFrom([]func(string) string{strings.ToUpper, strings.ToLower}).Draw(t, "case")(name)
		lines = append(lines, name+":"+rapid.SampledFrom([]string{" forged", "", " forged, forged", "\tforged"}).Draw(t, "value"))
	}
	return lines
}

// TestP11BackendsReadTheClaims (P11): whoever the token is of, and whatever the caller
// adds, a backend behind a real Envoy gets each identity header once or not at all, and
// its value is the claim.
func TestP11BackendsReadTheClaims(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	var known, strangers int
	rapid.Check(t, func(rt *rapid.T) {
		p := drawnPerson.Draw(rt, "person")
		lines := drawForged(rt)
		line, want, got := "GET /orders/open/1", map[string][]string{}, "200 GET /open/1"
		if rapid.IntRange(0, 4).Draw(rt, "anonymous") > 0 {
			s.token = s.is.issue(usualHeader, s.claims(p.claims()))
			lines = append(lines, "Authorization: Bearer "+s.token)
			line, want, got = "GET /orders/7", p.headers(s.is.name("default")), "200 GET /7"
			known++
		} else {
			strangers++
		}
		told, seen := s.send(t, line+" HTTP/1.1\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\n")
		if told != got {
			rt.Fatalf("%+q: %s", p, told)
		}
		for name, values := range seen[0].Header {
			name = strings.ToLower(name)
			if !strings.HasPrefix(name, contract.HeaderPrefix) && !strings.HasPrefix(name, "x-claim-") {
				continue
			}
			if read := decoded(rt, name, values); !slices.Equal(read, want[name]) {
				rt.Errorf("%s is %q, which reads %q, want %q", name, values, read, want[name])
			}
			delete(want, name)
		}
		if len(want) > 0 {
			rt.Errorf("missing: %q", want)
		}
		if ids := seen[0].Header.Values(contract.HeaderDecisionID); len(ids) != 1 || ids[0] == "" || strings.Contains(ids[0], "forged") {
			rt.Errorf("decision ids %q", ids)
		}
	})
	if known < 30 || strangers < 5 {
		t.Errorf("%d callers with a token, %d without", known, strangers)
	}
}

// decoded takes apart and decodes the value of a header that stands there once.
func decoded(t *rapid.T, name string, values []string) []string {
	if len(values) != 1 {
		t.Fatalf("%s stands there %d times", name, len(values))
	}
	items := values
	switch name {
	case contract.HeaderScopes:
		items = strings.Split(values[0], " ")
	case contract.HeaderGroups:
		items = strings.Split(values[0], ",")
	}
	var read []string
	for _, item := range items {
		text, err := url.PathUnescape(item)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		read = append(read, text)
	}
	return read
}
