package token_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
)

func claims(t *testing.T, text string) (token.Claims, error) {
	t.Helper()
	o, err := token.ParseObject([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return token.ParseClaims(o)
}

func TestParseClaims(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_800_000_000, 0)
	cases := []struct {
		name, text string
		want       token.Claims
	}{
		{"nothing", `{}`, token.Claims{}},
		{
			"introspection answer", `{"active":true,"scope":"openid orders.read","username":"alice@example.com","exp":1800003600,"iat":1800000000,"nbf":1800000000,
			"sub":"alice@example.com","aud":"api://default","iss":"https://x/oauth2/default","jti":"AT.1","token_type":"Bearer","client_id":"0oaMOBILE","uid":"00uALICE","groups":["a","b"]}`,
			token.Claims{
				Issuer: "https://x/oauth2/default", Subject: "alice@example.com", UserID: "00uALICE", ClientID: "0oaMOBILE",
				Audience: []string{"api://default"}, Scopes: []string{"openid", "orders.read"}, Groups: []string{"a", "b"}, TokenID: "AT.1",
				ExpiresAt: at.Add(time.Hour), NotBefore: at, IssuedAt: at,
			},
		},
		{
			"access token", `{"cid":"0oaMOBILE","scp":["openid","orders.read"],"aud":["api://a","api://b"]}`,
			token.Claims{ClientID: "0oaMOBILE", Scopes: []string{"openid", "orders.read"}, Audience: []string{"api://a", "api://b"}},
		},
		{"both names agree", `{"cid":"a","client_id":"a","scp":["y","x"],"scope":"x y x"}`, token.Claims{ClientID: "a", Scopes: []string{"x", "y", "x"}}},
		{"both names empty", `{"cid":"","client_id":"","scp":[],"scope":""}`, token.Claims{Scopes: []string{}}},
		{"bound", `{"cnf":{"jkt":"x"}}`, token.Claims{Bound: true, KeyThumbprint: "x"}},
		{"bound to a certificate too", `{"cnf":{"jkt":"x","x5t#S256":"y"}}`, token.Claims{Bound: true}},
		{"bound to null", `{"cnf":null}`, token.Claims{Bound: true}},
		// T27: a scope is split on blanks alone, a list's item never.
		{"blanks", `{"scope":"  a   b "}`, token.Claims{Scopes: []string{"a", "b"}}},
		{"other separators", `{"scope":"a,b c\td\u00a0e\nf"}`, token.Claims{Scopes: []string{"a,b", "c\td\u00a0e\nf"}}},
		{"blank in an item", `{"scp":["a b"]}`, token.Claims{Scopes: []string{"a b"}}},
		{"scp a string", `{"scp":"a b"}`, token.Claims{Scopes: []string{"a b"}}},
		{"one group", `{"groups":"a,b"}`, token.Claims{Groups: []string{"a,b"}}},
		{"no audience", `{"aud":[]}`, token.Claims{Audience: []string{}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := claims(t, c.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseClaimsThatDisagree(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"client_id":"a","cid":"b"}`, `{"client_id":"a","cid":"A"}`, `{"client_id":"","cid":"b"}`, `{"client_id":"a","cid":""}`,
		`{"scope":"a","scp":["b"]}`, `{"scope":"a b","scp":["a"]}`, `{"scope":"a","scp":["a","b"]}`, `{"scope":"a b","scp":["a b"]}`,
		`{"scope":"","scp":["a"]}`, `{"scope":"a","scp":[]}`, `{"scope":"a","scp":["A"]}`,
	} {
		got, err := claims(t, text)
		var known *token.Error
		if !errors.As(err, &known) || known.Failure != token.Malformed {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(token.Claims{}, got); diff != "" {
			t.Errorf("%s: claims beside the error: %s", text, diff)
		}
	}
}

func TestParseClaimsOfWrongType(t *testing.T) {
	t.Parallel()
	wrong := map[string][]string{
		"a text": {"iss", "sub", "uid", "jti", "client_id", "cid", "scope"},
		"a list": {"aud", "groups", "scp"},
		"a date": {"exp", "nbf", "iat"},
	}
	values := map[string][]string{
		"a text": {`null`, `1`, `true`, `["a"]`, `{}`},
		"a list": {`null`, `1`, `true`, `{}`, `[1]`, `[null]`, `["a",["b"]]`, `[true]`, `[{}]`},
		"a date": {`null`, `"1"`, `true`, `[1]`, `1e30`, `-1`, `1.5`, `9.3e18`},
	}
	for kind, names := range wrong {
		for _, name := range names {
			for _, value := range values[kind] {
				text := `{"` + name + `":` + value + `}`
				got, err := claims(t, text)
				var known *token.Error
				if err == nil || errors.As(err, &known) || got.Issuer+got.Subject+got.ClientID != "" {
					t.Errorf("%s is not %s: %+v, %v", text, kind, got, err)
				}
			}
		}
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	c := token.Claims{Scopes: []string{"orders.read", ""}}
	for scope, want := range map[string]bool{"orders.read": true, "orders": false, "orders.read:all": false, "ORDERS.READ": false, "*": false, "orders.read ": false} {
		if c.HasScope(scope) != want {
			t.Errorf("HasScope(%q) is %t", scope, !want)
		}
	}
	if (token.Claims{}).HasScope("") {
		t.Error("the zero Claims have a scope")
	}
}
