// Package jwt believes or refuses signed access tokens (RFC 7519 in the compact form of
// RFC 7515) by the keys that their authorization server publishes.
//
// Trust boundary: a token comes from anybody and a key document is hostile until parsed.
// Parse works on text alone, before any cryptography or network. Nothing that a token
// says chooses an algorithm, a server, a file or a URL: the algorithm is pinned to the
// key and to the configuration, and `kid` is compared with the ids of one server's keys
// and used for nothing else.
//
// The package compares no claim with what was configured and no date with a clock: that
// is the verifier's work. It sends nothing itself, decrypts nothing, knows no symmetric
// algorithm, and ignores the keys and certificates that tokens bring along. Signed is for
// callers that read other objects by the same rules, with a key of their own choice.
package jwt
