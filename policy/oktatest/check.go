package oktatest

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// reservedClaims cannot be the name of a custom claim.
var reservedClaims = []string{
	"ver", "jti", "iss", "aud", "iat", "exp", "nbf", "cid", "uid", "scp", "auth_time", "sub", "acr", "amr", "cnf",
	"active", "scope", "username", "token_type", "client_id", "device_id",
}

var (
	asIDPattern  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	scopePattern = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]{1,256}$`) // RFC 6749 §3.3
)

func (c Config) check() error {
	if c.BaseURL != "" {
		u, err := url.Parse(c.BaseURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || c.BaseURL != u.Scheme+"://"+u.Host {
			return fmt.Errorf("base URL %q is not scheme://host[:port]", c.BaseURL)
		}
	}
	if err := c.Limits.check(); err != nil {
		return err
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
		for _, acr := range user.LacksACR {
			if !slices.Contains(knownACR, acr) {
				return fmt.Errorf("user %q: acr value %q is not one of %v", user.Login, acr, knownACR)
			}
		}
	}
	return nil
}

func (as AuthorizationServer) check() error {
	for _, member := range as.Introspection {
		if !slices.Contains(extraMembers, member) {
			return fmt.Errorf("introspection member %q is not one of %v", member, extraMembers)
		}
	}
	if as.ID == OrgServer {
		return as.checkOrg()
	}
	if !slices.Contains(tokenForms, as.AccessTokens) {
		return fmt.Errorf("access tokens %q are not jwt, opaque or encrypted", as.AccessTokens)
	}
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
		if c.public() {
			return fmt.Errorf("a %s client needs a secret or keys", c.Type)
		}
	default:
		return fmt.Errorf("type %q is not native, browser, web or service", c.Type)
	}
	if err := c.checkAuthentication(); err != nil {
		return err
	}
	for _, grant := range c.GrantTypes {
		if !slices.Contains(supportedGrants, grant) {
			return fmt.Errorf("grant type %q is not one of %v", grant, supportedGrants)
		}
	}
	if c.public() && c.allows(grantClient) {
		return errors.New("client_credentials needs a secret or keys")
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
