package serve

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
)

// Verifying returns what a server of cat verifies tokens with, for questions that are
// asked without one. It reads the secrets, an unusable one being a *ConfigError, and asks
// Okta only when the Verify is called or keys are needed, until ctx ends. done ends that.
func Verifying(ctx context.Context, cat *catalog.Catalogue) (verify policy.Verify, done func(), err error) {
	fleet := newFleet(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	servers, verifiers, err := fleet.upstreams(cat, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, u := range servers {
		u.start()
	}
	generation := authz.Generation{Catalogue: cat, Verifiers: verifiers}
	return generation.Verifying(ctx), func() {
		for _, u := range servers {
			u.close()
		}
	}, nil
}
