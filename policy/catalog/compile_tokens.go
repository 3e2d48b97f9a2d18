package catalog

import (
	"fmt"
	"time"
)

const defaultMaxAge = 30 * time.Second

// tokenPolicies compiles token_policies.
func (c *compiler) tokenPolicies() {
	for i, p := range c.cfg.GetTokenPolicies() {
		path := fmt.Sprintf("token_policies[%d]", i)
		policy := &TokenPolicy{
			Name:   p.GetName(),
			Server: c.servers[p.GetAuthorizationServer()],
			Verify: p.GetVerify(),
			At:     c.at(path),

			MachineTokens: p.GetMachineTokens(),
			Requires:      c.requirements(path, p),
		}
		if policy.Verify != "jwt" {
			policy.MaxAge = durationOr(p.GetMaxAge(), defaultMaxAge)
		}
		c.verify(path+".verify", policy)
		c.maxAge(path+".max_age", policy, p.GetMaxAge() != nil)
		if policy.Server == nil {
			c.dangling(path+".authorization_server", "authorization server", nil, p.GetAuthorizationServer())
		} else {
			policy.Server.LongestAge = max(policy.Server.LongestAge, policy.MaxAge)
		}
		if c.declare(path, "token policy", nil, policy.Name) {
			c.policies[policy.Name] = policy
			c.cat.TokenPolicies = append(c.cat.TokenPolicies, policy)
		}
	}
}

// verify judges how tokens are verified. A signature is looked at only where Okta
// stands by the keys.
func (c *compiler) verify(path string, p *TokenPolicy) {
	local := p.Verify == "jwt" || p.Verify == "both"
	switch s := p.Server; {
	case p.Verify == "":
		c.find(verifyUnavailable, path, "token policy %q does not say how it verifies", p.Name)
	case p.Verify != "introspection" && !local:
		c.find(verifyUnavailable, path, "verify %q is unknown", p.Verify)
	case local && s != nil && s.Org:
		f := c.find(verifyUnavailable, path, "verify: %s beside org authorization server %q%s, for whose access tokens Okta publishes no keys to rely on", p.Verify, s.Name, in(s.At))
		f.Fix = "write verify: introspection, or name a custom authorization server"
	case local && s != nil && s.Opaque:
		f := c.find(verifyUnavailable, path, "verify: %s beside authorization server %q%s with tokens: opaque, which only Okta can verify", p.Verify, s.Name, in(s.At))
		f.Fix = "write verify: introspection, or remove tokens: opaque if the server issues JWTs"
	}
}

// maxMaxAge is the ceiling of the cache: no fact about a token is kept for longer.
const maxMaxAge = time.Hour

// maxAge judges how old a fact from Okta may be. Tokens that are verified by their
// signature alone have no such fact.
func (c *compiler) maxAge(path string, p *TokenPolicy, written bool) {
	switch {
	case written && p.Verify == "jwt":
		c.find(maxAgeUseless, path, "verify: jwt asks Okta nothing that could age")
	case p.MaxAge > maxMaxAge:
		c.find(maxAgeTooLong, path, "max_age %s is more than %s", p.MaxAge, maxMaxAge)
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
