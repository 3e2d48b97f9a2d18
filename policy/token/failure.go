package token

import (
	"fmt"
	"time"
)

// Failure says why a token could not be believed. The list is closed; package policy
// gives each its reason. The zero Failure is no known one and is treated as our fault.
type Failure string

// The failures. Those up to BindingMismatch are the caller's fault, the rest are not.
const (
	Malformed        Failure = "malformed"
	SignatureInvalid Failure = "signature invalid"
	NotYetValid      Failure = "not yet valid"
	IssuerMismatch   Failure = "issuer mismatch"
	AudienceMismatch Failure = "audience mismatch"
	WrongType        Failure = "wrong type"
	Expired          Failure = "expired"
	Inactive         Failure = "inactive"
	ProofInvalid     Failure = "proof invalid"
	BindingMismatch  Failure = "bound to another key"
	Unavailable      Failure = "authorization server unavailable"
	RateLimited      Failure = "authorization server rate limited"
	Overloaded       Failure = "too many questions under way"
)

// Error is every error of verification.
type Error struct {
	Failure Failure
	// RetryAfter is how long to wait before the same question may be answered; zero
	// where nothing is known.
	RetryAfter time.Duration
	// Cause says more, for logs alone. It never holds the token.
	Cause error
}

// Unavailablef is the error of an authorization server that gave no usable answer.
func Unavailablef(format string, args ...any) *Error {
	return &Error{Failure: Unavailable, Cause: fmt.Errorf(format, args...)}
}

// Error names the failure and its cause.
func (e *Error) Error() string {
	if e.Cause == nil {
		return "token: " + string(e.Failure)
	}
	return fmt.Sprintf("token: %s: %v", e.Failure, e.Cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }
