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

// ClaimHeader is a header for a backend, and the claim that is its value.
type ClaimHeader struct{ Header, Claim string }

// PresetHeaders returns the headers of a preset: what a backend reads that stood behind
// that program before. oauth2-proxy is its reverse-proxy and its auth_request mode, istio
// the usual outputClaimToHeaders of a RequestAuthentication. Any other word has none.
func PresetHeaders(preset string) []ClaimHeader {
	switch preset {
	case "oauth2-proxy":
		return []ClaimHeader{
			{"x-auth-request-email", "email"},
			{"x-auth-request-groups", "groups"},
			{"x-auth-request-preferred-username", "preferred_username"},
			{"x-auth-request-user", "sub"},
			{"x-forwarded-email", "email"},
			{"x-forwarded-groups", "groups"},
			{"x-forwarded-preferred-username", "preferred_username"},
			{"x-forwarded-user", "sub"},
		}
	case "istio":
		return []ClaimHeader{
			{"x-jwt-claim-cid", "cid"},
			{"x-jwt-claim-email", "email"},
			{"x-jwt-claim-groups", "groups"},
			{"x-jwt-claim-iss", "iss"},
			{"x-jwt-claim-scp", "scp"},
			{"x-jwt-claim-sub", "sub"},
			{"x-jwt-claim-uid", "uid"},
		}
	default:
		return nil
	}
}

// Presets lists the words that PresetHeaders knows.
func Presets() []string { return []string{"istio", "oauth2-proxy"} }

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

// HeaderPartialBody is the one header that an Envoy keeps from a check: it is its own,
// where it sends bodies. Where foreign Envoys ask, every allow removes the caller's copy.
const HeaderPartialBody = "x-envoy-auth-partial-body"

// DoorPrefixes begin the names of headers that only a gateway may set. Envoy removes
// a caller's copies where the request enters, before it adds its own; answers to a
// check leave them alone.
func DoorPrefixes() []string {
	return []string{HeaderPrefix, "x-envoy-", "x-ext-authz-", "x-forwarded-", "x-jwt-claim-"}
}

// MutableHeaders lists every request header that an answer to a check may set or
// remove, but for those of mapped claims, which begin with a prefix of the
// configuration. Envoy refuses all others. The presets are in it whether they are used
// or not, so that no listener changes when one is.
func MutableHeaders() []string {
	names := slices.Concat(IdentityHeaders(), RewriteHeaders(), []string{HeaderAuthorization, HeaderDPoP, HeaderPartialBody})
	for _, preset := range Presets() {
		for _, h := range PresetHeaders(preset) {
			names = append(names, h.Header)
		}
	}
	return names
}

// CheckedHeaders lists the request headers that Envoy sends with a check. Changing
// the list changes the listener, which drains connections.
func CheckedHeaders() []string {
	return []string{
		HeaderAuthorization, HeaderDPoP, "content-type", "traceparent", "tracestate",
		"x-request-id",
	}
}
