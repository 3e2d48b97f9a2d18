package token_test

import (
	"testing"

	"github.com/durward/durward/policy/token"
)

// TestCaseTwins are refused in every script, names that merely look alike are not.
func TestCaseTwins(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		`{"é":1,"É":2}`:       false,
		`{"ж":1,"b":2,"Ж":3}`: false,
		`{"A":1,"a":2}`:       false,
		`{"az":1,"aZ":2}`:     false,
		`{"Ǆ":1,"ǅ":2}`:       false,
		`{"é":1,"e":2,"è":3}`: true,
		`{"A":1,"Z":2,"@":3}`: true,
		`{"[":1,"{":2,"é":3}`: true,
	} {
		if _, err := token.ParseObject([]byte(text)); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}
