package catalog

import (
	"errors"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// Condition is a compiled rule: a CEL expression over a durwardv1.RuleContext. The zero
// Condition never holds.
type Condition struct {
	// Text is the expression as it is written.
	Text string
	At   Position
}

// Holds evaluates the expression. An error, or a key that is missing, is never true.
func (c *Condition) Holds(*durwardv1.RuleContext) (bool, error) {
	return false, errors.New("not compiled")
}
