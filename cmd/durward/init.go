package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/policy/catalog/jsonschema"
)

func newInit() *cobra.Command {
	var o scaffold.Options
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a first configuration",
		Long: `Writes a commented configuration, and beside it its policy tests for durward test, its
JSON Schema for editors and the file of its client secret, for you alone. Without --issuer
it is for the local Okta of durward emulate, and serve runs it as it is. With --issuer it is
for your own org: init prints what to enter in Okta's console, and where to paste what Okta
shows; check names what is still missing.

Nothing is overwritten: exit code 1 if one of the files is there already, 2 if no API can
be opened by tokens of the issuer.`,
		Example: "  durward init\n  durward init -c okta/durward.yaml --issuer https://example.okta.com/oauth2/default",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			o.Out = cmd.OutOrStdout()
			if o.Schema, err = jsonschema.Schema(); err != nil {
				return err
			}
			err = scaffold.Init(o)
			var issuer *scaffold.IssuerError
			if errors.As(err, &issuer) {
				return &usageError{err, cmd.CommandPath()}
			}
			return err
		},
	}
	configFlag(cmd, &o.Path)
	cmd.Flags().StringVar(&o.Issuer, "issuer", "", "issuer of a custom authorization server of your org (default: the local Okta)")
	return cmd
}
