package jwt

import (
	"strings"
	"testing"

	"github.com/durward/durward/policy/token"
)

// TestLongestToken is read whole.
func TestLongestToken(t *testing.T) {
	t.Parallel()
	const claims = `{"sub":"alice@example.com"}`
	for _, blank := range []string{"", " ", "  "} { // one of them leaves room for base64url
		signed := encode(rs256Header+blank) + "." + encode(claims) + "."
		n := token.MaxLength - len(signed)
		if n%4 == 1 {
			continue
		}
		u, err := parseText(signed + strings.Repeat("A", n))
		if err != nil || u.UnverifiedClaims().Subject != "alice@example.com" {
			t.Errorf("of %d bytes: %v", len(signed)+n, err)
		}
	}
	if c, err := split(strings.Repeat("A", token.MaxLength-4) + ".AAA.AAAA"); err == nil {
		t.Errorf("%d bytes of signature in a token that is too long", len(c.signature))
	}
}

// TestScopeBound: words of a scope count as the items of a list do.
func TestScopeBound(t *testing.T) {
	t.Parallel()
	for blanks, good := range map[int]bool{maxValues - 1: true, maxValues: false} {
		_, err := parseClaims([]byte(`{"scope":"a` + strings.Repeat(" a", blanks) + `"}`))
		if (err == nil) != good {
			t.Errorf("a scope of %d words: %v", blanks+1, err)
		}
		_, err = parseClaims([]byte(`{"x":0,"scope":"a` + strings.Repeat(" a", blanks-1) + `"}`))
		if (err == nil) != good {
			t.Errorf("a scope of %d words beside a comma: %v", blanks, err)
		}
	}
}
