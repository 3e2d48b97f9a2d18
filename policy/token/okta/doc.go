// Package okta is all HTTP to Okta: it asks an authorization server about a token
// (RFC 7662), fetches its keys (RFC 7517) and asks it about itself (RFC 8414, OpenID
// Connect Discovery), and parses the answers strictly.
//
// Trust boundary: the answers are hostile until parsed. They are size-capped, must be
// plain JSON objects without duplicate or case-twin names and without trailing bytes;
// redirects are not followed, cookies not kept, and every attempt has a deadline.
// An answer that cannot be used is an outage of ours, never a verdict on the caller.
//
// The server is spared: a Budget per organization, a bulkhead and a circuit breaker say
// which questions are not asked, by what they are worth.
//
// The package decides nothing about tokens, asks no host but the issuer's, and puts
// neither tokens nor credentials into errors, logs or query strings.
package okta
