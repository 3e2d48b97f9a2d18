package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/envoy"
	"github.com/durward/durward/policy/catalog"
)

func newBootstrap() *cobra.Command {
	var path, gateway, secrets string
	var o envoy.BootstrapOptions
	cmd := &cobra.Command{
		Use:     "bootstrap",
		Short:   "Print what an Envoy starts with",
		Long:    `Prints Envoy's bootstrap as JSON: who it is, and where Durward tells it all else.`,
		Example: "  envoy -c <(durward bootstrap -c durward.yaml)",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cat, _, err := serve.Load(path)
			if err != nil {
				return err
			}
			if secrets != "" {
				if err := writeSecrets(cat, secrets); err != nil {
					return err
				}
			}
			if gateway == "" {
				gateway, err = onlyGateway(cat)
			} else if names := gatewayNames(cat); !slices.Contains(names, gateway) {
				err = fmt.Errorf("the configuration has no gateway %q; --gateway names one of: %s", gateway, strings.Join(names, ", "))
			}
			if err != nil {
				return &usageError{err, cmd.CommandPath()}
			}
			text, err := envoy.Bootstrap(cat, gateway, o)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&gateway, "gateway", "", "name of the gateway (default: the only one)")
	cmd.Flags().StringVar(&o.NodeID, "node-id", "", "name of this Envoy among those of its gateway (default: the gateway's name)")
	cmd.Flags().StringVar(&o.Admin, "admin", "127.0.0.1:9901", "address of Envoy's admin port: loopback, or unix:/path")
	cmd.Flags().StringVar(&secrets, "secrets-dir", "", "also write to this directory what belongs into secrets_dir, by which Envoy watches its certificate files")
	completeFlag(cmd, "gateway", offer(gatewayNames))
	return cmd
}

// writeSecrets writes what Envoy finds in secrets_dir. It names files, and is for everybody
// to read.
func writeSecrets(cat *catalog.Catalogue, dir string) error {
	files, err := envoy.Secrets(cat)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("no listener's tls.envoy has a secrets_dir; without one Envoy needs nothing there")
	}
	for name, text := range files {
		//nolint:gosec // see above: Envoy runs as another user
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func onlyGateway(cat *catalog.Catalogue) (string, error) {
	names := gatewayNames(cat)
	if len(names) == 1 {
		return names[0], nil
	}
	return "", fmt.Errorf("the configuration has several gateways; name one with --gateway: %s", strings.Join(names, ", "))
}

func gatewayNames(cat *catalog.Catalogue) []string {
	names := make([]string, len(cat.Gateways))
	for i, g := range cat.Gateways {
		names[i] = g.Name
	}
	return names
}
