package policy

import (
	"time"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
)

// Decision is the answer to one request. The zero Decision denies. What was found on
// the way is filled in as far as judgement came, for records and challenges; only
// Allowed says whether the request may pass.
type Decision struct {
	allowed, shadowed bool
	// Reason is why the request is denied; empty on allow.
	Reason contract.Reason
	// Detail says more, for logs alone: it may hold claim values, never a token.
	Detail string

	API         *catalog.API
	Operation   *catalog.Operation
	Application *catalog.Application
	// Token is the credential by which the caller was judged, zero if none was.
	Token token.Token
	// Fact is what was learned about the token, zero if nothing was.
	Fact token.Fact

	// Identity is what the backend is told; nil unless allowed, and for anonymous
	// callers.
	Identity []Header
	// Scopes are the scopes that the operation needs, where they are missing.
	Scopes []string
	// ACRValues and MaxAuthAge are what the sign-in lacks, where it must be stepped up.
	ACRValues  []string
	MaxAuthAge time.Duration
	// PathKnown says that the path exists where the operation does not; Methods are
	// then the methods it has.
	PathKnown bool
	Methods   []string
	// RetryAfter is how long the caller should wait; zero where nothing is known.
	RetryAfter time.Duration
}

// Header is one header for the backend. Value is never empty and is printable ASCII.
type Header struct{ Name, Value string }

// Allowed reports the verdict: the request may pass.
func (d Decision) Allowed() bool { return d.allowed && d.Reason == "" }

// Shadowed reports a verdict to deny that is not carried out, because the API's
// configuration says so: the request passes, and the backend is told nothing of the
// caller.
func (d Decision) Shadowed() bool { return d.shadowed && d.Reason != "" }

// Status is the HTTP status of the verdict: 0 on allow, the reason's otherwise.
func (d Decision) Status() int {
	switch {
	case d.Allowed():
		return 0
	case d.Reason == contract.OperationUnknown && d.PathKnown:
		return 405
	default:
		return d.Reason.Denial().Status
	}
}

// Deny is a decision made outside of judgement, by a server that cannot judge.
func Deny(r contract.Reason, detail string) Decision {
	return Decision{Reason: r, Detail: detail}
}
