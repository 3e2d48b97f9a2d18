package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
)

// TestAlphabet holds b64token's, byte by byte.
func TestAlphabet(t *testing.T) {
	t.Parallel()
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/"
	for c := range 256 {
		text := string([]byte{byte(c)})
		if _, err := token.Parse("x" + text + "x"); (err == nil) != strings.Contains(alphabet, text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestLeewayBounds(t *testing.T) {
	t.Parallel()
	for leeway, good := range map[time.Duration]bool{-1: false, 0: true, 5 * time.Minute: true, 5*time.Minute + 1: false} {
		c := config()
		c.Leeway = leeway
		v, err := token.NewVerifier(c, token.Parts{Server: answers(token.Introspection{}, nil), Reader: reads(token.Claims{}), Now: time.Now})
		if (err == nil) != good {
			t.Errorf("a leeway of %s: %v", leeway, err)
		}
		if err == nil {
			v.Close()
		}
	}
}
