// Package contract holds the words that both sides of a wire must agree on:
// what Durward tells Envoy (package envoy), what it answers (package authz) and
// what it decides by (package policy).
//
// It is constants and tables only, imports nothing of ours and makes no decision. A name
// that is written in one package and read in another belongs here, and nowhere
// else; changing one changes what deployed Envoys and backends see.
package contract

import "slices"

// ContextExtensionAPI is the key of the ext_authz context extension that names
// the virtual API of a route. Package envoy writes it on every route; package
// authz reads it. Callers of the gateway cannot set it.
const ContextExtensionAPI = "durward.api"

// NoAPI is the value of ContextExtensionAPI on the catch-all routes. It is not a
// valid API name.
const NoAPI = "-"

// FilterExtAuthz is the name of the ext_authz filter, under which per-route
// settings and dynamic metadata are found.
const FilterExtAuthz = "envoy.filters.http.ext_authz"

// Credential headers: read by us, and removed before the backend sees the request.
const (
	HeaderAuthorization = "authorization"
	HeaderDPoP          = "dpop"
)

// HeaderDecisionID carries the decision's id to the backend and to the caller.
const HeaderDecisionID = "x-decision-id"

// Identity headers tell the backend who calls. Values are percent-encoded outside
// printable ASCII; lists are joined by HeaderScopes' blank or a comma.
const (
	HeaderSubject      = "x-auth-subject"
	HeaderUserID       = "x-auth-user-id"
	HeaderClientID     = "x-auth-client-id"
	HeaderApplication  = "x-auth-application"
	HeaderOrganization = "x-auth-organization"
	HeaderAPI          = "x-auth-api"
	HeaderScopes       = "x-auth-scopes"
	HeaderGroups       = "x-auth-groups"
	HeaderIssuer       = "x-auth-issuer"
	HeaderTokenID      = "x-auth-token-id"
)

// HeaderPrefix begins the names of all identity headers. Envoy removes every
// header of a caller that begins with it, known to us or not.
const HeaderPrefix = "x-auth-"

// IdentityHeaders lists the headers that every allow either overwrites or removes.
func IdentityHeaders() []string {
	return []string{
		HeaderAPI, HeaderApplication, HeaderClientID, HeaderGroups, HeaderIssuer,
		HeaderOrganization, HeaderScopes, HeaderSubject, HeaderTokenID, HeaderUserID,
		HeaderDecisionID,
	}
}

// RewriteHeaders lists headers by which frameworks let a caller change the method,
// path or origin of a request after it was judged. They never reach a backend: Envoy
// removes them where the request enters, and every allow removes them again, for
// Envoys whose configuration is not ours.
func RewriteHeaders() []string {
	return []string{
		"forwarded",
		"x-http-method", "x-http-method-override", "x-method-override",
		"x-original-host", "x-original-method", "x-original-uri", "x-original-url",
		"x-rewrite-url",
	}
}

// DoorPrefixes begin the names of headers that only a gateway may set. Envoy removes
// a caller's copies where the request enters, before it adds its own; answers to a
// check leave them alone.
func DoorPrefixes() []string {
	return []string{HeaderPrefix, "x-envoy-", "x-ext-authz-", "x-forwarded-"}
}

// MutableHeaders lists every request header that an answer to a check may set or
// remove. Envoy refuses all others.
func MutableHeaders() []string {
	return slices.Concat(IdentityHeaders(), RewriteHeaders(), []string{HeaderAuthorization, HeaderDPoP})
}

// CheckedHeaders lists the request headers that Envoy sends with a check. Changing
// the list changes the listener, which drains connections.
func CheckedHeaders() []string {
	return []string{
		HeaderAuthorization, HeaderDPoP, "content-type", "traceparent", "tracestate",
		"x-request-id",
	}
}
