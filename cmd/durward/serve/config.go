package serve

import (
	"context"
	"strings"
	"time"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
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

// compile is Load of a text that has been read.
func compile(reader *source.Reader, text source.Text) (*catalog.Catalogue, []catalog.Finding, error) {
	cat, findings := reader.Compile(text)
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

// apply makes cat the configuration: everything that can fail is tried before anything
// changes. Checks are judged by the new generation before Envoy hears of it.
func (s *Server) apply(ctx context.Context, cat *catalog.Catalogue) error {
	prepared, err := s.ads.Prepare(ctx, cat)
	if err != nil {
		return err
	}
	takeFiles, err := readGuards(s.guards, cat.Listeners)
	if err != nil {
		return err
	}
	servers, verifiers, err := s.fleet.upstreams(cat, s.upstreams)
	if err != nil {
		return err
	}
	for key, u := range servers {
		if s.upstreams[key] == nil {
			u.start()
			s.tasks.Go(func() { u.probe(s.ctx, s.log) })
		}
	}
	takeFiles()
	s.authz.Swap(&authz.Generation{Catalogue: cat, Verifiers: verifiers, Prove: s.proofs.Check})
	for key, u := range s.upstreams {
		if servers[key] == nil {
			s.tasks.Go(func() { s.retire(u) })
		}
	}
	s.upstreams = servers
	s.shown.Store(cat)
	s.state.serving(cat.Revision, servers)
	if err := prepared.Publish(); err != nil {
		s.log.Error("the configuration serves, but some envoys may not have been told; they will be with the next change, or when they connect again", "error", err)
	}
	return nil
}

// retire closes a server once no check of an older generation can be using it.
func (s *Server) retire(u *upstream) {
	select {
	case <-time.After(authz.LongestCheck):
	case <-s.ctx.Done():
	}
	u.close()
}
