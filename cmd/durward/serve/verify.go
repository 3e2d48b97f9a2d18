package serve

import (
	"context"
	"fmt"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/token"
)

// Verifying returns what a server of cat verifies tokens with, for questions that are
// asked without one. It reads the secrets, an unusable one being a *ConfigError, and asks
// Okta only when the Verify is called, until ctx ends. done drops its connections.
func Verifying(ctx context.Context, cat *catalog.Catalogue) (verify policy.Verify, done func(), err error) {
	servers, verifiers, err := upstreams(cat, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	verify = func(p *catalog.TokenPolicy, t token.Token) (token.Fact, error) {
		v := verifiers[p.Server.Name]
		if v == nil {
			return token.Fact{}, fmt.Errorf("no verifier for authorization server %s", p.Server.Name)
		}
		return v.Verify(ctx, t, p.MaxAge)
	}
	return verify, func() {
		for _, u := range servers {
			u.client.Close()
		}
	}, nil
}
