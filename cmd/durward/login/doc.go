// Package login signs a person in to Okta as one of the catalogue's applications, and
// keeps the tokens for later commands: authorization code flow with PKCE (RFC 7636) in
// the person's own browser, a callback on loopback (RFC 8252 section 7.3), tokens in
// files that only their owner can read, bound to a key beside them if so asked (RFC 9449).
//
// Trust boundary: whatever reaches the callback port is hostile until its state equals
// the one of this login: other programs and web pages can reach loopback too. Okta's
// replies are capped in size, follow no redirect, and name no host but the issuer's. An
// ID token is believed after its signature, issuer, audience, expiry, nonce and at_hash
// were verified. The access token is opaque here; it goes to the gateway and, to be
// revoked, back to Okta.
//
// It refuses to listen off loopback, to take a second code, to go on without an ID
// token, and to read tokens that others could have read or written. It writes no token,
// code, secret or private key anywhere but into the store.
package login
