// Package token turns the text of an access token into Claims that can be believed,
// by the word of the authorization server that issued it.
//
// Trust boundary: a token comes from anybody, and the server's answer about it is
// hostile until it has been parsed and compared with what was configured. The
// server that is asked comes from the API's token policy, never from the token.
//
// Claims are kept for a while, verdicts never; one token is asked about once at a time,
// however many checks want to know; what the server said last wins.
//
// The package does not decide what a caller may do, does no I/O of its own (package
// token/okta speaks to the server) and never shows a token: Token redacts itself.
// It refuses to verify without an audience, an issuer and someone to ask.
package token
