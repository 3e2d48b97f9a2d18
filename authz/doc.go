// Package authz answers Envoy's question (envoy.service.auth.v3.Authorization/Check).
//
// Trust boundary: Envoy is believed about which route a request took; all else in a
// CheckRequest was written by the caller. The package translates: a CheckRequest into a
// policy.Request, a policy.Decision into a CheckResponse, which one function alone
// builds. It decides nothing.
//
// It refuses to answer without a status (Envoy takes that for a yes), to answer with a
// gRPC error (which obeys failure_mode_allow), and to answer late: every check ends
// before its deadline with an explicit response, also on a panic and with Okta dead.
package authz
