// Package dpop checks that a caller holds the key that its access token is bound to, by
// the proof that comes with each request (RFC 9449), and makes such proofs for clients.
//
// Trust boundary: a proof comes from anybody. It carries its own public key, which is used
// for nothing before it is the very key that the authorization server bound the token to.
// Which algorithms may sign is a closed list; nothing that a proof says names a file, a URL
// or a certificate.
//
// Each proof is good once. What was used is remembered in this process alone until the time
// in which it could be used again is over: with several replicas one proof is good once at
// each, for as long as its window, and a restart forgets. Memory is bounded; when it is
// full, new proofs are refused and old ones stay.
//
// The package issues no nonces and ignores those in proofs; it does not judge the token
// itself, nor whether a token had to be bound.
package dpop
