package oktatest

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
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

// reservedClaims cannot be the name of a custom claim.
var reservedClaims = []string{
	"ver", "jti", "iss", "aud", "iat", "exp", "nbf", "cid", "uid", "scp", "auth_time", "sub", "acr", "amr", "cnf",
	"active", "scope", "username", "token_type", "client_id", "device_id",
}

var (
	asIDPattern  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	scopePattern = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]{1,256}$`) // RFC 6749 §3.3
)

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
}

// AuthorizationServer is a custom authorization server; its issuer is
// BaseURL/oauth2/ID.
type AuthorizationServer struct {
	ID       string   // "default", or Okta's aus… form
	Audience string   // the only aud of its access tokens
	Scopes   []string // custom scopes, beside openid profile email address phone offline_access
	// AccessTokenLifetime is from 5 minutes to 24 hours; zero means one hour.
	AccessTokenLifetime time.Duration
	// Claims names the [User].Profile entries that ride in access tokens and
	// introspection replies as custom claims. A user without the entry has no claim.
	Claims []string
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
}

// User is a person who can sign in, with any password.
type User struct {
	ID    string // the uid claim; empty: one of Okta's 00u… shape is made
	Login string // the sub of access tokens
	Name  string
	// Profile holds what [AuthorizationServer].Claims may name, such as
	// "groups": []string{"sales"}.
	Profile map[string]any
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

func (c Config) check() error {
	if c.BaseURL != "" {
		u, err := url.Parse(c.BaseURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || c.BaseURL != u.Scheme+"://"+u.Host {
			return fmt.Errorf("base URL %q is not scheme://host[:port]", c.BaseURL)
		}
	}
	if len(c.AuthorizationServers) == 0 {
		return errors.New("no authorization server")
	}
	for _, as := range c.AuthorizationServers {
		if err := as.check(); err != nil {
			return fmt.Errorf("authorization server %q: %w", as.ID, err)
		}
	}
	for _, client := range c.Clients {
		if err := client.check(); err != nil {
			return fmt.Errorf("client %q (%s): %w", client.Name, client.ID, err)
		}
	}
	for _, user := range c.Users {
		if user.Login == "" || strings.ContainsAny(user.Login, " \t\r\n") {
			return fmt.Errorf("user login %q is empty or has spaces", user.Login)
		}
	}
	return nil
}

func (as AuthorizationServer) check() error {
	if !asIDPattern.MatchString(as.ID) {
		return errors.New("id is not 1 to 64 letters, digits, _ or -")
	}
	if as.Audience == "" {
		return errors.New("no audience")
	}
	for _, scope := range as.Scopes {
		if !scopePattern.MatchString(scope) || slices.Contains(openIDScopes, scope) {
			return fmt.Errorf("scope %q is malformed or reserved", scope)
		}
	}
	if d := as.AccessTokenLifetime; d != 0 && (d < minLifetime || d > maxLifetime) {
		return fmt.Errorf("access token lifetime %v is outside %v to %v", d, minLifetime, maxLifetime)
	}
	for _, name := range as.Claims {
		if name == "" || slices.Contains(reservedClaims, name) {
			return fmt.Errorf("claim %q is empty or reserved", name)
		}
	}
	return nil
}

func (c Client) check() error {
	switch c.Type {
	case "native", "browser":
	case "web", "service":
		if c.Secret == "" {
			return fmt.Errorf("a %s client needs a secret", c.Type)
		}
	default:
		return fmt.Errorf("type %q is not native, browser, web or service", c.Type)
	}
	for _, grant := range c.GrantTypes {
		if !slices.Contains(supportedGrants, grant) {
			return fmt.Errorf("grant type %q is not one of %v", grant, supportedGrants)
		}
	}
	if c.Secret == "" && c.allows(grantClient) {
		return errors.New("client_credentials needs a secret")
	}
	if c.Type == "service" && c.allows(grantCode) {
		return errors.New("a service client has no users: authorization_code is not for it")
	}
	for _, raw := range slices.Concat(c.RedirectURIs, c.PostLogoutRedirectURIs) {
		u, err := url.Parse(raw)
		if err != nil || !u.IsAbs() || strings.Contains(raw, "#") {
			return fmt.Errorf("redirect URI %q is not an absolute URI without fragment", raw)
		}
	}
	return nil
}

func (c Client) allows(grant string) bool { return slices.Contains(c.GrantTypes, grant) }
func (c Client) public() bool             { return c.Secret == "" }

func (c Client) clone() Client {
	c.RedirectURIs = slices.Clone(c.RedirectURIs)
	c.PostLogoutRedirectURIs = slices.Clone(c.PostLogoutRedirectURIs)
	c.GrantTypes = slices.Clone(c.GrantTypes)
	return c
}

func (as AuthorizationServer) clone() AuthorizationServer {
	as.Scopes = slices.Clone(as.Scopes)
	as.Claims = slices.Clone(as.Claims)
	if as.AccessTokenLifetime == 0 {
		as.AccessTokenLifetime = defaultLifetime
	}
	return as
}

func (u User) clone() User {
	u.Profile = maps.Clone(u.Profile)
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
