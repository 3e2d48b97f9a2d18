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
	var path, lastGood string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Decide for Envoy, and tell it what to proxy",
		Long: `Serves ext_authz, xDS and the operations port as the configuration says. A changed
configuration is read at once, and with SIGHUP: it applies whole, or the old one goes on
serving. Write a new file and rename it, as editors do, and no half of it is ever read.
SIGTERM drains. Logs are JSON lines on standard error, one for each decision.

With --last-good a copy of what was accepted last is kept in a directory, in which nobody
but durward and root may write, nor put another in its place. Where the present
configuration is rejected at the start, that copy serves, degraded, until a good one comes.
It holds the paths of secrets, and no secret.

Exit code 3 if the configuration is invalid or missing, 1 if a port is busy.`,
		Example: "  durward serve -c durward.yaml --last-good last-good",
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
			server, err := serve.StartWithLastGood(cmd.Context(), path, lastGood, log)
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
	cmd.Flags().StringVar(&lastGood, "last-good", "", "directory for a copy of the last good configuration, to start with if the present one is bad")
	_ = cmd.MarkFlagDirname("last-good") // the flag exists
	return cmd
}
