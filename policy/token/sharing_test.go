package token_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/durward/durward/policy/token"
)

// TestFamilyIsShared: two tokens that have all but their persons in common keep one copy
// of it, as long as it takes at most 1 KiB.
func TestFamilyIsShared(t *testing.T) {
	t.Parallel()
	base := good()
	size := len(base.Issuer) + len(base.ClientID)
	for _, text := range slices.Concat(base.Audience, base.Scopes, []string{""}) {
		size += len(text) + 16
	}
	for group, want := range map[string]bool{
		"staff":                           true,
		strings.Repeat("g", 1<<10-size):   true,
		strings.Repeat("g", 1<<10-size+1): false,
	} {
		s := &server{answer: func(_ context.Context, tok token.Token, _ token.Priority) (token.Introspection, error) {
			c := good()
			c.Subject, c.Groups = tok.Reveal(), []string{group}
			return active(c), nil
		}}
		v := verifier(t, s, nil, func() time.Time { return now })
		var groups [2]*string
		for i, text := range []string{"alice", "bob"} {
			fact, err := v.Verify(t.Context(), parsed(t, text), within(time.Minute))
			mustBelieve(t, fact, err)
			groups[i] = unsafe.SliceData(fact.Claims.Groups)
		}
		if shared := groups[0] == groups[1]; shared != want {
			t.Errorf("a group of %d bytes is shared: %t", len(group), shared)
		}
	}
}
