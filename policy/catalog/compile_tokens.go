package catalog

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const defaultMaxAge = 30 * time.Second

// authorizationServers compiles authorization_servers.
func (c *compiler) authorizationServers() {
	for i, s := range c.cfg.GetAuthorizationServers() {
		path := fmt.Sprintf("authorization_servers[%d]", i)
		server := &AuthorizationServer{
			Name:     s.GetName(),
			Issuer:   s.GetIssuer(),
			Audience: s.GetAudience(),
			At:       c.at(path),
		}
		c.issuer(path+".issuer", server.Issuer)
		if server.Audience == "" {
			c.find(noAudience, path+".audience", "authorization server %q has no audience", server.Name)
		}
		server.Introspection = c.introspection(path+".introspection", s.GetIntrospection())
		if c.declare(path, "authorization server", nil, server.Name) {
			c.servers[server.Name] = server
			c.cat.Servers = append(c.cat.Servers, server)
		}
	}
}

// issuer judges an issuer: it must be that of a custom authorization server, whose
// tokens can be verified and introspected, exactly as Okta writes it.
func (c *compiler) issuer(path, issuer string) {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		c.find(badIssuer, path, "the issuer is not an https URL")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		c.find(badIssuer, path, "the issuer is asked over plaintext")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#"):
		c.find(badIssuer, path, "an issuer has no user, query or fragment")
	case !isServerPath(strings.TrimSuffix(u.EscapedPath(), "/")):
		c.find(issuerServer, path, "issuer %q is not that of a custom authorization server", issuer)
	case strings.HasSuffix(issuer, "/"):
		f := c.find(issuerSlash, path, "issuer %q ends in a slash", issuer)
		f.Fix = fmt.Sprintf("write %s", strings.TrimSuffix(issuer, "/"))
	}
}

// isServerPath reports whether path is /oauth2/{server id}.
func isServerPath(path string) bool {
	id, ok := strings.CutPrefix(path, "/oauth2/")
	return ok && id != "" && checkLiteral(id) == nil && !strings.Contains(id, "/")
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// introspection compiles our client at an authorization server.
func (c *compiler) introspection(path string, p *durwardv1.Introspection) Introspection {
	client := Introspection{
		ClientID:   p.GetClientId(),
		SecretFile: p.GetClientSecretFile(),
		SecretAt:   c.at(path + ".client_secret_file"),
		Auth:       ClientAuth(p.GetAuthMethod()),
	}
	if client.Auth == "" {
		client.Auth = ClientSecretBasic
	}
	switch {
	case p == nil:
		c.find(noIntrospection, path, "the authorization server has no introspection client")
	case client.ClientID == "":
		c.find(noIntrospection, path+".client_id", "the introspection client has no client_id")
	case client.Auth == ClientAuthNone:
		if client.SecretFile != "" {
			f := c.find(clientSecret, path+".client_secret_file", "auth_method none sends no secret")
			f.Fix = "remove client_secret_file, or write auth_method: client_secret_basic"
		}
	case client.Auth != ClientSecretBasic && client.Auth != ClientSecretPost:
		f := c.find(clientSecret, path+".auth_method", "auth_method %q is unknown", client.Auth)
		f.Fix = "write client_secret_basic, client_secret_post or none"
	case client.SecretFile == "":
		c.find(clientSecret, path+".client_secret_file", "auth_method %s needs a secret", client.Auth)
	}
	return client
}

// tokenPolicies compiles token_policies.
func (c *compiler) tokenPolicies() {
	for i, p := range c.cfg.GetTokenPolicies() {
		path := fmt.Sprintf("token_policies[%d]", i)
		policy := &TokenPolicy{
			Name:   p.GetName(),
			Server: c.servers[p.GetAuthorizationServer()],
			Verify: p.GetVerify(),
			MaxAge: durationOr(p.GetMaxAge(), defaultMaxAge),
			At:     c.at(path),
		}
		c.verify(path+".verify", policy)
		c.maxAge(path+".max_age", policy, p.GetMaxAge() != nil)
		if policy.Server == nil {
			c.dangling(path+".authorization_server", "authorization server", nil, p.GetAuthorizationServer())
		}
		if c.declare(path, "token policy", nil, policy.Name) {
			c.policies[policy.Name] = policy
			c.cat.TokenPolicies = append(c.cat.TokenPolicies, policy)
		}
	}
}

func (c *compiler) verify(path string, p *TokenPolicy) {
	switch p.Verify {
	case "introspection":
	case "jwt", "both":
		c.find(verifyUnavailable, path, "verify: %s is not available in this version", p.Verify)
	case "":
		c.find(verifyUnavailable, path, "token policy %q does not say how it verifies", p.Name)
	default:
		c.find(verifyUnavailable, path, "verify %q is unknown", p.Verify)
	}
}

// maxMaxAge is the ceiling of the cache: no fact about a token is kept for longer.
const maxMaxAge = time.Hour

// maxAge judges how old a fact from Okta may be. Tokens that are verified by their
// signature alone have no such fact.
func (c *compiler) maxAge(path string, p *TokenPolicy, written bool) {
	switch {
	case p.MaxAge > maxMaxAge:
		c.find(maxAgeTooLong, path, "max_age %s is more than %s", p.MaxAge, maxMaxAge)
	case written && p.Verify == "jwt":
		c.find(maxAgeUseless, path, "verify: jwt asks Okta nothing that could age")
	}
}

// audiences refuses an audience that is a client id: ID tokens carry their client's id
// as audience, and would pass for access tokens.
func (c *compiler) audiences() {
	for i, s := range c.cfg.GetAuthorizationServers() {
		audience := s.GetAudience()
		path := fmt.Sprintf("authorization_servers[%d].audience", i)
		if app := c.cat.clients[audience]; app != nil {
			c.find(audienceIsClient, path, "audience %q is a client id of application %q%s", audience, app.Name, in(app.At))
		} else if audience != "" && audience == s.GetIntrospection().GetClientId() {
			c.find(audienceIsClient, path, "audience %q is the client id of the introspection client", audience)
		}
	}
}
