package policy

import "github.com/durward/durward/policy/catalog"

// Trace is the way a decision went, step by step. A nil *Trace records nothing.
type Trace struct{ Steps []Step }

// Step is one check.
type Step struct {
	// Name is one of request, api, operation, credential, token, proof, denial, client,
	// grant, scope, sign-in, claim, rule, identity.
	Name string
	OK   bool
	// Expected is what the configuration asks, Found what the request has. Neither
	// holds a token.
	Expected, Found string
	// At is the place in the configuration that asks.
	At catalog.Position
}
