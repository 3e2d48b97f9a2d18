package serve

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/envoy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// ConfigError is a configuration that cannot serve. It has at least one finding of
// severity Error.
type ConfigError struct{ Findings []catalog.Finding }

// Error is the first line of each finding.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// Load reads the configuration at path, a file or a directory. Warnings come beside the
// catalogue; errors are a *ConfigError with all findings. A path that cannot be read
// is an error that wraps the file system's.
func Load(path string) (*catalog.Catalogue, []catalog.Finding, error) {
	cat, findings, err := source.Load(path)
	if err != nil {
		return nil, nil, err
	}
	if cat == nil {
		return nil, nil, &ConfigError{Findings: findings}
	}
	return cat, findings, nil
}

// ReadSecret is source.ReadSecret whose errors are a *ConfigError. What is only a
// warning is for check to show.
func ReadSecret(s *catalog.AuthorizationServer) (string, error) {
	secret, findings := source.ReadSecret(s)
	if catalog.HasErrors(findings) {
		return "", &ConfigError{Findings: findings}
	}
	return secret, nil
}

// identity is what makes two configurations of an authorization server the same: a
// verifier lives as long as it does not change.
type identity struct {
	issuer, audience, clientID, secret string
	auth                               catalog.ClientAuth
}

// upstream is one authorization server at work.
type upstream struct {
	client   *okta.Client
	verifier *token.Verifier
	// asked says that the server has been tried once, whatever it said.
	asked chan struct{}
}

// upstreams builds what cat needs, keeping from old what did not change.
func upstreams(cat *catalog.Catalogue, old map[identity]*upstream, m *okta.Metrics) (map[identity]*upstream, map[string]*token.Verifier, error) {
	all := make(map[identity]*upstream, len(cat.Servers))
	byName := make(map[string]*token.Verifier, len(cat.Servers))
	for _, s := range cat.Servers {
		secret, err := ReadSecret(s)
		if err != nil {
			return nil, nil, err
		}
		key := identity{s.Issuer, s.Audience, s.Introspection.ClientID, secret, s.Introspection.Auth}
		u := old[key]
		if u == nil {
			u = all[key]
		}
		if u == nil {
			if u, err = newUpstream(key, m); err != nil {
				return nil, nil, fmt.Errorf("authorization server %s: %w", s.Name, err)
			}
		}
		all[key], byName[s.Name] = u, u.verifier
	}
	return all, byName, nil
}

func newUpstream(key identity, m *okta.Metrics) (*upstream, error) {
	client, err := okta.NewClient(okta.Config{
		Issuer: key.issuer, ClientID: key.clientID, ClientSecret: key.secret,
		Auth: okta.AuthMethod(key.auth), Metrics: m,
	})
	if err != nil {
		return nil, err
	}
	verifier, err := token.NewVerifier(token.Config{
		Issuers: []string{key.issuer}, Audience: key.audience, Leeway: token.DefaultLeeway,
	}, client, time.Now)
	if err != nil {
		return nil, err
	}
	return &upstream{client: client, verifier: verifier, asked: make(chan struct{})}, nil
}

// apply makes cat the configuration: everything that can fail is tried before anything
// changes. Checks are judged by the new generation before Envoy hears of it.
func (s *Server) apply(ctx context.Context, cat *catalog.Catalogue) error {
	for _, gw := range cat.Gateways {
		if _, err := envoy.Translate(cat, gw.Name); err != nil {
			return err
		}
	}
	servers, verifiers, err := upstreams(cat, s.upstreams, s.oktaMetrics)
	if err != nil {
		return err
	}
	s.authz.Swap(&authz.Generation{Catalogue: cat, Verifiers: verifiers})
	for key, u := range s.upstreams {
		if servers[key] == nil {
			u.client.Close()
		}
	}
	for key, u := range servers {
		if s.upstreams[key] == nil {
			s.tasks.Go(func() { s.probe(u, key.issuer) })
		}
	}
	s.upstreams = servers
	s.state.serving(cat.Revision, servers)
	// Checks are judged by cat already: the end of ctx must not keep it from Envoy.
	return s.ads.Publish(context.WithoutCancel(ctx), cat)
}

// probe asks a new authorization server once, so that a wrong issuer or a dead Okta is
// known at once and not at the first request. It changes nothing.
func (s *Server) probe(u *upstream, issuer string) {
	defer close(u.asked)
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Second)
	defer cancel()
	if err := u.client.Probe(ctx); err != nil && s.ctx.Err() == nil {
		s.log.Warn("authorization server does not answer; requests are denied with 503 until it does",
			"issuer", issuer, "error", err.Error())
	}
}
