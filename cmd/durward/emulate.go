package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/demo"
	"github.com/durward/durward/policy/oktatest"
)

func newEmulate() *cobra.Command {
	var o demo.EmulateOptions
	var faults []string
	cmd := &cobra.Command{
		Use:   "emulate",
		Short: "Run a local Okta",
		Long: `Serves a local Okta for trying and testing: one custom authorization server, the
native app of the how-to, a service app to introspect with, and the users alice and bob
with any password. With -c it plays what that configuration names instead: the issuers,
their clients with the secrets in their files, and the scopes that operations ask for.
--backend then also runs an echo backend where the configuration has one on loopback.

--fault lets it misbehave, as ENDPOINT:KIND[=VALUE][*COUNT], several times if need be:
introspect:latency=300ms, introspect:status=500*3, keys:html, *:reset, introspect:limit=60.

It answers as Okta does, but it is not Okta: anybody who reaches it can sign in as
anybody, so it binds loopback alone.`,
		Example: "  durward emulate -c durward.yaml --backend\n  durward emulate --listen 127.0.0.1:0\n  durward emulate --listen 127.0.0.1:0 --fault introspect:latency=300ms",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := cmd.Flags()
			switch {
			case o.Config != "" && (f.Changed("listen") || o.SecretFile != ""):
				return &usageError{errors.New("with -c the configuration says where to listen and where secrets are: leave --listen and --secret-file out"), cmd.CommandPath()}
			case o.Config == "" && o.Backend:
				return &usageError{errors.New("--backend runs the backends of a configuration: name it with -c"), cmd.CommandPath()}
			}
			for _, text := range faults {
				fault, err := oktatest.ParseFault(text)
				if err != nil {
					return &usageError{err, cmd.CommandPath()}
				}
				o.Faults = append(o.Faults, fault)
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
	// Values hold commas.
	f.StringArrayVar(&faults, "fault", nil, "a fault to inject, ENDPOINT:KIND[=VALUE][*COUNT]")
	f.StringVar(&o.SecretFile, "secret-file", "", "write the service app's client secret to this file (0600)")
	return cmd
}
