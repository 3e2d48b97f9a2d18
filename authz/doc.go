// Package authz answers Envoy's question (envoy.service.auth.v3.Authorization/Check).
//
// Trust boundary: Envoy is believed about which route a request took, and from which
// address it came; all else in a CheckRequest was written by the caller. An Envoy whose
// configuration is not ours may not say which route; where the catalogue admits such, host
// and path choose the API, if they can be read in one way only. The package
// translates: a CheckRequest into a policy.Request, a policy.Decision into a
// CheckResponse, which one function alone builds. It decides nothing.
//
// A verdict to deny that an API's shadow mode does not carry out is answered like an allow
// of nobody: the caller learns nothing of it, and the backend nothing of the caller.
//
// It refuses to answer without a status (Envoy takes that for a yes), to answer with a
// gRPC error (which obeys failure_mode_allow), and to answer late: every check ends
// before its deadline with an explicit response, also on a panic and with Okta dead.
package authz
