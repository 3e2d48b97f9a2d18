package catalog

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
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
		first := c.servers[server.Name]
		if c.name(path, "authorization server", server.Name, first != nil, positionOf(first)) {
			c.servers[server.Name] = server
			c.cat.Servers = append(c.cat.Servers, server)
		}
	}
}

func positionOf(s *AuthorizationServer) Position {
	if s == nil {
		return Position{}
	}
	return s.At
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
		if policy.Server == nil {
			c.dangling(path+".authorization_server", "authorization server", p.GetAuthorizationServer(), "", keys(c.servers))
		}
		var first Position
		taken := c.policies[policy.Name]
		if taken != nil {
			first = taken.At
		}
		if c.name(path, "token policy", policy.Name, taken != nil, first) {
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

// audiences refuses an audience that is a client id: ID tokens carry their client's id
// as audience, and would pass for access tokens.
func (c *compiler) audiences() {
	for i, s := range c.cfg.GetAuthorizationServers() {
		audience := s.GetAudience()
		path := fmt.Sprintf("authorization_servers[%d].audience", i)
		if app := c.cat.clients[audience]; app != nil {
			c.find(audienceIsClient, path, "audience %q is a client id of application %q", audience, app.Name)
		} else if audience != "" && audience == s.GetIntrospection().GetClientId() {
			c.find(audienceIsClient, path, "audience %q is the client id of the introspection client", audience)
		}
	}
}

func keys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
