package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/explain"
)

func newToken() *cobra.Command {
	var i explain.Inspection
	var format string
	cmd := &cobra.Command{
		Use:   "token [@FILE | -]",
		Short: "Say what a token is, and what it opens",
		Long: `Reads a token from a file or from standard input and says in words what its header
and claims mean, when it expires, whose application it belongs to, and which operations
of the configuration it opens and why not the others. The token is not shown, and does
not leave this machine: nothing is verified unless --introspect asks the authorization
servers of the configuration. Without a configuration the claims alone are shown.

-o json prints one object: token (the first 8 hex digits of its SHA-256), form, verified,
introspected, answers, header, claims, expires_at, client_id, application, organization,
apis.

Exit code 2 if there is no token in the input, 6 if Okta was asked and gave no answer.`,
		Example: "  durward token @alice.header\n  durward token --introspect - < alice.header",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			from := "-"
			if len(args) > 0 {
				from = args[0]
			}
			i.Required = cmd.Flags().Changed("config")
			if i.Authorization, err = readCredential(cmd, from); err != nil {
				return err
			}
			report, err := explain.Inspect(cmd.Context(), i)
			if err != nil {
				return asInput(cmd, err)
			}
			return errors.Join(write(cmd, format, report), report.Err())
		},
	}
	configFlag(cmd, &i.Config)
	cmd.Flags().BoolVar(&i.Introspect, "introspect", false, "ask the authorization servers about the token")
	reportFlag(cmd, &format)
	return cmd
}
