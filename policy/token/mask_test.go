package token_test

import (
	"strings"
	"testing"

	"github.com/durward/durward/policy/token"
)

func TestMask(t *testing.T) {
	t.Parallel()
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	parsed, err := token.Parse(jwt)
	if err != nil {
		t.Fatal(err)
	}
	name := parsed.String()
	for text, want := range map[string]string{
		"":                                "",
		"/orders/7?x=1":                   "/orders/7?x=1",
		"/orders/" + jwt:                  "/orders/" + name,
		`"` + jwt + `"`:                   `"` + name + `"`,
		"/a/" + jwt + "/b/" + jwt:         "/a/" + name + "/b/" + name,
		"?access_token=" + jwt + "&x=%20": "?access_token=" + name + "&x=%20",
		"heyJude.txt":                     "heyJude.txt",
		"eyJ.json":                        "eyJ.json",
	} {
		if got := token.Mask(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	// What is left of one that was cut, or encrypted, is named too.
	for _, text := range []string{jwt[:strings.LastIndexByte(jwt, '.')], jwt[:30], jwt + ".aXY.dGFn"} {
		if got := token.Mask("it is " + text); strings.Contains(got, "eyJ") || !strings.HasPrefix(got, "it is token:") {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}
