package catalog

import "time"

// AuthorizationServer is one authorization server of an Okta org.
type AuthorizationServer struct {
	Name string
	// Issuer is where the server's endpoints are: the first of Issuers.
	Issuer string
	// Issuers are the exact `iss` values of its tokens, one to four.
	Issuers []string
	// Org says that it is the org's own server, with its endpoints under /oauth2/v1.
	Org bool
	// Audience is the `aud` that tokens for our APIs carry; never empty.
	Audience string
	// Opaque says that nothing is read from a token before Okta is asked; always so
	// where Org is. No policy verifies such tokens by their signature.
	Opaque bool
	// CAFile is the PEM file of the only authorities to trust when the server is asked;
	// empty means the system's.
	CAFile string
	// Leeway is for `nbf` and `iat`, 0 to 5 minutes.
	Leeway time.Duration
	// Algorithms are RS256, PS256 and ES256, those that the server signs with; never
	// empty. The first that fits is that of a key that names none.
	Algorithms []string
	// LongestAge is the longest MaxAge of the token policies that ask this server.
	LongestAge    time.Duration
	Introspection Introspection
	At            Position
}

// Introspection is our own client at an authorization server.
type Introspection struct {
	ClientID string
	// SecretFile is the path of the client secret, for ClientSecretBasic and
	// ClientSecretPost; else empty.
	SecretFile string
	// SecretAt is where SecretFile is written.
	SecretAt Position
	// KeyFile is the path of the private key, PEM or JWK, for PrivateKeyJWT; else empty.
	KeyFile string
	// KeyID is the key's `kid` at Okta, where the file does not say it.
	KeyID string
	// KeyAt is where KeyFile is written.
	KeyAt Position
	Auth  ClientAuth
}

// ClientAuth is how our client authenticates, by its name in the IANA registry of
// OAuth token endpoint authentication methods.
type ClientAuth string

// The methods we can use.
const (
	ClientSecretBasic ClientAuth = "client_secret_basic"
	ClientSecretPost  ClientAuth = "client_secret_post"
	PrivateKeyJWT     ClientAuth = "private_key_jwt"
	ClientAuthNone    ClientAuth = "none"
)

// TokenPolicy says which tokens are believed, and for how long a fact is good.
type TokenPolicy struct {
	Name   string
	Server *AuthorizationServer
	// Verify is "introspection", "jwt" or "both"; "introspection" where the server's
	// tokens are opaque.
	Verify string
	// MaxAge is how old a fact learned from Okta may be; 0 asks every time. It is 0
	// under "jwt", which asks nothing.
	MaxAge time.Duration
	// MachineTokens accepts tokens behind which is no user.
	MachineTokens bool
	// Requires is what every operation under the policy asks of a token.
	Requires Requirements
	At       Position
}
