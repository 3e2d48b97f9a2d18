package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/demo"
)

func newEmulate() *cobra.Command {
	var o demo.EmulateOptions
	cmd := &cobra.Command{
		Use:   "emulate",
		Short: "Run a local Okta",
		Long: `Serves a local Okta for trying and testing: one custom authorization server, the
native app of the how-to, a service app to introspect with, and the users alice and bob
with any password. With -c it plays what that configuration names instead: the issuers,
their clients with the secrets in their files, and the scopes that operations ask for.
--backend then also runs an echo backend where the configuration has one on loopback.

It answers as Okta does, but it is not Okta: anybody who reaches it can sign in as
anybody, so it binds loopback alone.`,
		Example: "  durward emulate -c durward.yaml --backend\n  durward emulate --listen 127.0.0.1:0",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := cmd.Flags()
			switch {
			case o.Config != "" && (f.Changed("listen") || o.SecretFile != ""):
				return &usageError{errors.New("with -c the configuration says where to listen and where secrets are: leave --listen and --secret-file out"), cmd.CommandPath()}
			case o.Config == "" && o.Backend:
				return &usageError{errors.New("--backend runs the backends of a configuration: name it with -c"), cmd.CommandPath()}
			}
			o.Out = cmd.OutOrStdout()
			if err := demo.Emulate(cmd.Context(), o); err != nil {
				return fmt.Errorf("emulate: %w", err)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.Config, "config", "c", "", "configuration to play: a file, or a directory of *.yaml (default: the demo's org)")
	f.BoolVar(&o.Backend, "backend", false, "run an echo backend where the configuration has one on loopback")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8090", "address to listen on, loopback")
	f.StringVar(&o.SecretFile, "secret-file", "", "write the service app's client secret to this file (0600)")
	return cmd
}
