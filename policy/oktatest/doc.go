// Package oktatest is a local Okta: an OAuth 2.0 and OpenID Connect server that
// answers as Okta's custom authorization servers do, for tests, demonstrations
// and offline development.
//
// It keeps Okta's paths (/oauth2/{id}/v1/…), error texts and both error shapes,
// claim names and their order, id shapes and response headers, and it really
// checks what Okta checks: PKCE, exact redirect URIs, single-use codes, client
// credentials, refresh-token rotation, revocation and expiry. Introspection is
// evaluated at call time, so [Server.Revoke], [Server.Deactivate] and
// [Server.Advance] show at once. [Server.Fail], [Server.Down], [Server.Respond] and,
// for faults of a single endpoint and on the wire, [Server.Inject] make it misbehave;
// [Limits] make it refuse. Clients may also authenticate by JWT, and beside the custom
// servers there can be the org's own, [OrgServer].
//
// Proofs of possession (DPoP, RFC 9449) are checked at the token and userinfo endpoints,
// with Okta's nonces, and bind what is issued; [Client].DPoP demands them. Step-up
// (RFC 9470) is played: max_age and prompt=login ask for a new sign-in, and the sign-in
// page reaches every acr value that the server knows, which are urn:okta:loa:1fa:any,
// urn:okta:loa:1fa:pwd, urn:okta:loa:2fa:any, phr and phrh, by the password alone, unless
// [User].LacksACR names it.
//
//	okta := oktatest.New(t)
//	token, err := okta.Token(oktatest.TokenRequest{
//		Client: "mobile", User: "alice@example.com", Scopes: []string{"orders.read"},
//	})
//
// [New] starts a server on a loopback port and stops it when the test ends.
// [NewServer] gives an http.Handler without a listener, for a listener of one's
// own or for [Server.Start].
//
// # Trust boundary
//
// It is a test double and no identity provider: anybody who reaches it can sign
// in as any of its users, because every password is accepted. It therefore
// listens on loopback addresses unless [Config].AllowRemote says otherwise, says
// on its sign-in page that it is not Okta, keeps keys, codes and tokens in
// memory only and makes them from crypto/rand. Requests are hostile until
// parsed: bodies and queries are size-capped, repeated parameters refused, and
// no redirect goes anywhere but to a registered URI.
//
// # What it does not do
//
// It has no consent, second factors, implicit or hybrid response types, form_post, device
// flow, management API or events; where Okta would offer one, a request for it is refused
// and the metadata does not announce it. The acr value urn:okta:loa:2fa:any:ifpossible is
// ignored like an unknown one. [Server.Token] asks no proof. Bursts, limits per client or
// user and percentages of a bucket are not played. Where Okta's behaviour is undocumented,
// the stricter reading was taken.
package oktatest
