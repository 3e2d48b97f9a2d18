package main

import (
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/serve"
)

// defaultConfig is where a configuration is looked for.
const defaultConfig = "durward.yaml"

func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", defaultConfig, "configuration: a file, or a directory of *.yaml")
}

func newServe() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Decide for Envoy, and tell it what to proxy",
		Long: `Serves ext_authz, xDS and the operations port as the configuration says. SIGHUP reads
the configuration again: it applies whole, or the old one goes on serving. SIGTERM
drains. Logs are JSON lines on standard error, one for each decision.

Exit code 3 if the configuration is invalid or missing, 1 if a port is busy.`,
		Example: "  durward serve -c durward.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			lines := serve.NewLogWriter(cmd.ErrOrStderr())
			defer func() {
				select {
				case <-lines.Close():
				case <-time.After(time.Second): // nobody reads them
				}
			}()
			log := slog.New(slog.NewJSONHandler(lines, nil))
			server, err := serve.Start(cmd.Context(), path, log)
			if err != nil {
				return err
			}
			server.ReportDropped(lines.Dropped)
			err = server.Wait(cmd.Context())
			log.Info("stopping")
			return errors.Join(err, server.Close())
		},
	}
	configFlag(cmd, &path)
	return cmd
}
