package oktatest

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"maps"
	"slices"
	"time"
)

const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
	grantClient  = "client_credentials"

	defaultLifetime = time.Hour
	minLifetime     = 5 * time.Minute
	maxLifetime     = 24 * time.Hour
)

// openIDScopes are reserved by Okta; every authorization server has them.
var openIDScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

// Config describes an org: its authorization servers, applications and people.
// [DefaultConfig] is a working one; [NewServer] checks every field.
type Config struct {
	// BaseURL is the scheme and authority that clients reach the server under,
	// such as "http://127.0.0.1:8090", without a trailing slash. Issuers and
	// metadata derive from it. Empty: [Server.Start] takes it from its listener,
	// and until then every request is answered with status 500.
	BaseURL string
	// AllowRemote lets [Server.Start] listen on addresses that other machines reach.
	AllowRemote bool

	AuthorizationServers []AuthorizationServer
	Clients              []Client
	Users                []User
	// Limits are the org's rate limits; the zero Limits refuse nothing.
	Limits Limits
}

// AuthorizationServer is a custom authorization server, whose issuer is
// BaseURL/oauth2/ID, or with the id [OrgServer] the org authorization server.
type AuthorizationServer struct {
	ID       string   // "default", Okta's aus… form, or OrgServer
	Audience string   // the only aud of its access tokens
	Scopes   []string // custom scopes, beside openid profile email address phone offline_access
	// AccessTokenLifetime is from 5 minutes to 24 hours; zero means one hour.
	AccessTokenLifetime time.Duration
	// Claims names the [User].Profile entries that ride in access tokens and
	// introspection replies as custom claims. A user without the entry has no claim.
	Claims []string
	// AccessTokens is the form of its access tokens: "jwt" (also if empty),
	// "opaque" (43 characters) or "encrypted" (the JWT within a JWE of five parts,
	// which nobody but the server can open). Introspection knows all of them.
	AccessTokens string
	// Introspection names what introspection replies have beyond Okta's documented
	// members: auth_time, acr and cnf where the token has them, and token_type,
	// which then is DPoP for a bound token instead of Bearer for all.
	Introspection []string
}

// Client is an application.
type Client struct {
	ID   string // empty: one of Okta's shape is made
	Name string
	// Type is Okta's application_type: native, browser, web or service.
	Type string
	// Secret authenticates the client by client_secret_basic or
	// client_secret_post; web and service clients need one. A native or browser
	// client without one is public and must use PKCE.
	Secret string
	// SecretJWT makes Secret, of at least 32 bytes, the key of client_secret_jwt
	// (HS256, HS384, HS512) instead.
	SecretJWT bool
	// Keys are the public RSA or ECDSA keys, by kid, of a client that authenticates
	// by private_key_jwt (RS or ES 256, 384, 512). It has no Secret.
	Keys map[string]crypto.PublicKey
	// RedirectURIs are compared byte for byte, port and trailing slash included.
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	// GrantTypes holds authorization_code, refresh_token and client_credentials;
	// what is not listed is refused. offline_access needs refresh_token.
	GrantTypes []string
	// RotateRefresh issues a new refresh token at each use (Okta's ROTATE). The
	// old one still works for 30 s; later use revokes the whole family. False is
	// Okta's STATIC: the refresh token stays.
	RotateRefresh bool
	// DPoP is Okta's dpop_bound_access_tokens: token requests without a proof are refused.
	// Of other clients too, tokens that were requested with a proof are bound to its key.
	DPoP bool
}

// User is a person who can sign in, with any password.
type User struct {
	ID    string // the uid claim; empty: one of Okta's 00u… shape is made
	Login string // the sub of access tokens
	Name  string
	// Profile holds what [AuthorizationServer].Claims may name, such as
	// "groups": []string{"sales"}.
	Profile map[string]any
	// LacksACR names the acr values that the person has no authenticator for. The rest of
	// those that the server knows the sign-in page reaches by the password alone.
	LacksACR []string
}

// DefaultConfig returns an org with the authorization server "default" (audience
// api://default, scopes orders.read and orders.write), the public native client
// "mobile", the confidential client "gateway" (client_credentials, and the one
// to introspect with; its secret is fresh at each call) and the users
// alice@example.com and bob@example.com.
func DefaultConfig() Config {
	return Config{
		AuthorizationServers: []AuthorizationServer{{
			ID: "default", Audience: "api://default", Scopes: []string{"orders.read", "orders.write"}, Claims: []string{"groups"},
		}},
		Clients: []Client{{
			ID: "0oaf2no1n6hPswFV10h7", Name: "mobile", Type: "native",
			RedirectURIs: []string{
				"http://127.0.0.1:8765/callback", "http://127.0.0.1:18765/callback",
				"https://www.getpostman.com/oauth2/callback", "com.example.orders:/callback",
			},
			GrantTypes: []string{grantCode, grantRefresh}, RotateRefresh: true,
		}, {
			ID: newID("0oa"), Name: "gateway", Type: "service", Secret: random(48), GrantTypes: []string{grantClient},
		}},
		Users: []User{
			{Login: "alice@example.com", Name: "Alice Archer", Profile: map[string]any{"groups": []string{"Everyone", "sales"}}},
			{Login: "bob@example.com", Name: "Bob Baker", Profile: map[string]any{"groups": []string{"Everyone"}}},
		},
	}
}

func (c Client) allows(grant string) bool { return slices.Contains(c.GrantTypes, grant) }
func (c Client) public() bool             { return c.Secret == "" && len(c.Keys) == 0 }
func (c Client) asserts() bool            { return c.SecretJWT || len(c.Keys) > 0 }

func (c Client) clone() Client {
	c.RedirectURIs = slices.Clone(c.RedirectURIs)
	c.PostLogoutRedirectURIs = slices.Clone(c.PostLogoutRedirectURIs)
	c.GrantTypes = slices.Clone(c.GrantTypes)
	c.Keys = maps.Clone(c.Keys)
	return c
}

func (as AuthorizationServer) clone() AuthorizationServer {
	as.Scopes = slices.Clone(as.Scopes)
	as.Claims = slices.Clone(as.Claims)
	as.Introspection = slices.Clone(as.Introspection)
	if as.AccessTokenLifetime == 0 {
		as.AccessTokenLifetime = defaultLifetime
	}
	return as
}

func (u User) clone() User {
	u.Profile, u.LacksACR = maps.Clone(u.Profile), slices.Clone(u.LacksACR)
	return u
}

// random returns n bytes of randomness as base64url; 32 give the 43 characters
// of Okta's codes, refresh tokens and key ids.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// newID returns an id of Okta's shape: the prefix and 17 letters or digits.
func newID(prefix string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	id := []byte(prefix)
	for len(id) < len(prefix)+17 {
		var b [1]byte
		rand.Read(b[:])
		if int(b[0]) < 4*len(alphabet) { // a plain remainder would favour the first letters
			id = append(id, alphabet[int(b[0])%len(alphabet)])
		}
	}
	return string(id)
}
