package catalog

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const (
	// maxIssuers is more than the hosts that Okta answers under.
	maxIssuers    = 4
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute
)

// authorizationServers compiles authorization_servers.
func (c *compiler) authorizationServers() {
	for i, s := range c.cfg.GetAuthorizationServers() {
		path := fmt.Sprintf("authorization_servers[%d]", i)
		server := &AuthorizationServer{
			Name:     s.GetName(),
			Audience: s.GetAudience(),
			CAFile:   s.GetCaFile(),
			Leeway:   durationOr(s.GetLeeway(), defaultLeeway),
			At:       c.at(path),
		}
		c.issuers(path, server, s)
		c.tokens(path+".tokens", server, s.GetTokens())
		c.algorithms(path+".algorithms", server, s.GetAlgorithms())
		if server.Audience == "" {
			c.find(noAudience, path+".audience", "authorization server %q has no audience", server.Name)
		}
		if server.Leeway < 0 || server.Leeway > maxLeeway {
			c.find(leewayTooLong, path+".leeway", "leeway %s is not between 0s and %s", server.Leeway, maxLeeway)
		}
		server.Introspection = c.introspection(path+".introspection", s.GetIntrospection())
		if c.declare(path, "authorization server", nil, server.Name) {
			c.servers[server.Name] = server
			c.cat.Servers = append(c.cat.Servers, server)
		}
	}
}

// issuers compiles issuer or issuers, of which one is written.
func (c *compiler) issuers(path string, server *AuthorizationServer, s *durwardv1.AuthorizationServer) {
	one := c.written(path+".issuer", s.GetIssuer() != "")
	many := c.written(path+".issuers", len(s.GetIssuers()) > 0)
	switch {
	case one && many:
		c.find(issuerForm, path+".issuers", "authorization server %q writes both issuer and issuers", server.Name)
	case one:
		server.Issuers = []string{s.GetIssuer()}
		c.issuer(path+".issuer", s.GetIssuer())
	case len(s.GetIssuers()) == 0:
		f := c.find(issuerForm, path+".issuers", "authorization server %q has no issuer", server.Name)
		f.Fix = "write issuer: https://{domain}/oauth2/{server id}"
	case len(s.GetIssuers()) > maxIssuers:
		f := c.find(issuerForm, path+".issuers", "authorization server %q has more than %d issuers", server.Name, maxIssuers)
		f.Fix = "keep the issuers under which Okta answers; another server is another entry"
	default:
		server.Issuers = s.GetIssuers()
		c.sameServer(path+".issuers", server.Issuers)
	}
	if len(server.Issuers) > 0 {
		server.Issuer = server.Issuers[0]
		u, err := url.Parse(server.Issuer)
		server.Org = err == nil && u.Path == ""
	}
}

// sameServer holds that the issuers are one server under several hosts.
func (c *compiler) sameServer(path string, issuers []string) {
	var first *url.URL
	for i, issuer := range issuers {
		path := fmt.Sprintf("%s[%d]", path, i)
		u := c.issuer(path, issuer)
		switch {
		case u == nil:
		case first == nil:
			first = u
		case u.Path != first.Path:
			f := c.find(issuerForm, path, "issuer %q is another server than %q", issuer, first)
			f.Fix = "declare another server as an entry of its own; one server has the same path under each host"
		}
	}
}

// issuer judges an issuer, which must be exactly as Okta writes it: that of a custom
// authorization server, or of an org itself. It returns nil for any other.
func (c *compiler) issuer(path, issuer string) *url.URL {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		c.find(badIssuer, path, "the issuer is not an https URL")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		c.find(badIssuer, path, "the issuer is asked over plaintext")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#"):
		c.find(badIssuer, path, "an issuer has no user, query or fragment")
	case !isServerPath(strings.TrimSuffix(u.EscapedPath(), "/")):
		c.find(issuerServer, path, "issuer %q is neither that of a custom authorization server nor of an org", issuer)
	case strings.HasSuffix(issuer, "/"):
		f := c.find(issuerSlash, path, "issuer %q ends in a slash", issuer)
		f.Fix = fmt.Sprintf("write %s", strings.TrimSuffix(issuer, "/"))
	default:
		return u
	}
	return nil
}

// isServerPath reports whether path is /oauth2/{server id}, or the org's own, which is
// empty. The org's endpoints are where a server with the id v1 would be.
func isServerPath(path string) bool {
	id, ok := strings.CutPrefix(path, "/oauth2/")
	return path == "" || ok && id != "" && id != "v1" && checkLiteral(id) == nil && !strings.Contains(id, "/")
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// tokens settles whether anything is read from the server's tokens.
func (c *compiler) tokens(path string, server *AuthorizationServer, written string) {
	if c.written(path, written != "") {
		c.oneOf(path, written, "jwt", "opaque")
	}
	if server.Org && written == "jwt" {
		f := c.find(tokensUnread, path, "the access tokens of an org's own authorization server are opaque")
		f.Fix = "remove tokens, or name a custom authorization server"
	}
	server.Opaque = server.Org || written == "opaque"
}

// algorithms judges what the server signs with.
func (c *compiler) algorithms(path string, server *AuthorizationServer, listed []string) {
	server.Algorithms = listed
	for i, a := range listed {
		c.oneOf(fmt.Sprintf("%s[%d]", path, i), a, "RS256", "PS256", "ES256")
	}
	switch written := c.written(path, len(listed) > 0); {
	case written && server.Opaque:
		c.find(tokensUnread, path, "algorithms beside opaque tokens, whose signatures nobody looks at")
	case written && len(listed) == 0:
		f := c.find(brokenRule, path, "algorithms is empty")
		f.Fix = "write at least one algorithm, or remove the key for RS256"
	case !written:
		server.Algorithms = []string{"RS256"}
	}
}

// introspection compiles our client at an authorization server.
func (c *compiler) introspection(path string, p *durwardv1.Introspection) Introspection {
	client := Introspection{
		ClientID:   p.GetClientId(),
		SecretFile: p.GetClientSecretFile(),
		SecretAt:   c.at(path + ".client_secret_file"),
		KeyFile:    p.GetPrivateKeyFile(),
		KeyID:      p.GetKeyId(),
		KeyAt:      c.at(path + ".private_key_file"),
		Auth:       ClientSecretBasic,
	}
	if method := p.GetAuthMethod(); c.written(path+".auth_method", method != "") {
		client.Auth = ClientAuth(method)
	}
	switch {
	case p == nil:
		c.find(noIntrospection, path, "the authorization server has no introspection client")
	case client.ClientID == "":
		c.find(noIntrospection, path+".client_id", "the introspection client has no client_id")
	default:
		c.credential(path, &client)
	}
	return client
}

// credential holds that the client has what its method needs, and nothing else.
func (c *compiler) credential(path string, client *Introspection) {
	needed := ""
	switch client.Auth {
	case ClientAuthNone:
	case ClientSecretBasic, ClientSecretPost:
		needed = "client_secret_file"
	case PrivateKeyJWT:
		needed = "private_key_file"
	default:
		f := c.find(clientSecret, path+".auth_method", "auth_method %q is unknown", client.Auth)
		f.Fix = "write client_secret_basic, client_secret_post, private_key_jwt or none"
		return
	}
	switch {
	case client.SecretFile != "" && needed != "client_secret_file":
		f := c.find(clientSecret, path+".client_secret_file", "auth_method %s sends no secret", client.Auth)
		f.Fix = "remove client_secret_file, or write auth_method: client_secret_basic"
	case client.KeyFile != "" && needed != "private_key_file":
		f := c.find(clientSecret, path+".private_key_file", "auth_method %s uses no key", client.Auth)
		f.Fix = "remove private_key_file, or write auth_method: private_key_jwt"
	case client.KeyID != "" && needed != "private_key_file":
		f := c.find(clientSecret, path+".key_id", "auth_method %s uses no key", client.Auth)
		f.Fix = "remove key_id, or write auth_method: private_key_jwt and private_key_file"
	case needed == "client_secret_file" && client.SecretFile == "":
		c.find(clientSecret, path+".client_secret_file", "auth_method %s needs a secret", client.Auth)
	case needed == "private_key_file" && client.KeyFile == "":
		f := c.find(clientSecret, path+".private_key_file", "auth_method %s needs a key", client.Auth)
		f.Fix = "write private_key_file, or auth_method: client_secret_basic and client_secret_file"
	}
}
