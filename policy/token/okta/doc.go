// Package okta is all HTTP to Okta: it asks an authorization server about a token
// (RFC 7662) and about itself (RFC 8414), and parses the answers strictly.
//
// Trust boundary: the answers are hostile until parsed. They are size-capped, must be
// plain JSON objects without duplicate or case-twin names and without trailing bytes;
// redirects are not followed, cookies not kept, and every attempt has a deadline.
// An answer that cannot be used is an outage of ours, never a verdict on the caller.
//
// The package decides nothing about tokens, follows no URL that an answer names, and
// puts the token into no error, log or query string.
package okta
