// Package policy decides whether a request may pass, and says why not.
//
// Decide is the only evaluator there is: the server, explain and the tests all call
// it. It is pure: one immutable catalogue, one request, a function that verifies
// tokens, a clock; no I/O, no Envoy, no net/http.
//
// Trust boundary: everything in a Request comes from the caller of the gateway, but for
// Request.API, which the gateway's own route says. Claims are believed because Verify
// believed them.
//
// The zero Decision denies, and there is no way to allow but through every check in the
// order written in Decide. The package refuses to guess: a path, host or method that
// could be read in two ways is a malformed request.
package policy
