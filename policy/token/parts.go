package token

import (
	"context"
	"time"
)

// Introspection is a server's parsed answer about one token (RFC 7662 section 2.2).
// The zero value is an inactive token.
type Introspection struct {
	Active bool
	Claims Claims
	// Took is how long the server needed.
	Took time.Duration
}

// Priority says what a question to the server is worth, where not all can be asked.
type Priority int

// Priorities, the least first: the zero Priority is the first to go without an answer.
const (
	// Ahead refreshes a fact that is still good.
	Ahead Priority = iota
	// Unseen is about a token that was never active here: it may be junk.
	Unseen
	// Known is about a token that was active before.
	Known
)

// Introspector asks an authorization server about a token. Its errors are *Error with
// Unavailable, RateLimited or Overloaded where the server gave no usable answer or was
// not asked, and with Malformed where the answer contradicts itself. Where it has a method
// DropConnections(), that is called after an answer about another token.
type Introspector interface {
	Introspect(ctx context.Context, t Token, p Priority) (Introspection, error)
}

// Reader reads JWTs by the keys of one authorization server.
type Reader interface {
	// Read parses a token strictly, without keys and without waiting. The claims are
	// what the token says of itself: nobody has vouched for them until prove returned
	// nil. prove waits for keys at most until its context ends; its errors are *Error
	// with SignatureInvalid, or Unavailable where the keys cannot be had.
	Read(t Token) (said Claims, prove func(context.Context) error, err error)
	// Generation grows whenever a key that was there is not any more.
	Generation() uint64
}
