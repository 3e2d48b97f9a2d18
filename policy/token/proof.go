package token

// Proof is what a caller brings to show that it holds the key that its token is bound
// to (RFC 9449 section 7.1), and what the proof must be about. The zero Proof never
// holds.
type Proof struct {
	// Headers are the values of the DPoP header, in order: exactly one may be there.
	Headers []string
	// Method is the request's.
	Method string
	// URLs are those under which the caller may have made the request: scheme, host, a
	// port where it is not the scheme's own, and canonical path; no query.
	URLs []string
	// Token came with the proof.
	Token Token
	// KeyThumbprint is the token's Claims.KeyThumbprint.
	KeyThumbprint string
}
