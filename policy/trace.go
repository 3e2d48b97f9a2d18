package policy

import (
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// Trace is the way a decision went, step by step. A nil *Trace records nothing.
type Trace struct{ Steps []Step }

// Step is one check.
type Step struct {
	Name contract.Step
	OK   bool
	// Expected is what the configuration asks, Found what the request has. Neither
	// holds a token.
	Expected, Found string
	// At is the place in the configuration that asks.
	At catalog.Position
}
