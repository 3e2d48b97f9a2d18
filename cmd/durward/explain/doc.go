// Package explain says why a request is allowed or denied, before or after it was sent,
// and what a token is good for.
//
// It never judges: policy.Decide does, with the catalogue that serve would load, and the
// package shows its trace. A real token is verified by introspection with the very parts
// of serve; the claims of a hypothetical caller, and those of a token that Okta was not
// asked about, pass through the same verifier and are called what they are.
//
// Trust boundary: tokens, and everything in them, are hostile. They are bounded, decoded
// strictly, and nothing of theirs reaches a terminal but printable characters. No token
// and no part of its text is in any report, error or file. Tokens come from files and
// standard input, never from arguments, which other users of a machine can read.
//
// The package does not repeat what Envoy does to a path before it asks: one that Envoy
// would repair or refuse is judged as it is written.
package explain
