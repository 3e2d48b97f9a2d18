package main

import (
	"github.com/spf13/cobra"

	"github.com/durward/durward/policy/catalog/jsonschema"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of a configuration, for editors",
		Long: `Prints the JSON Schema (draft-07) of a configuration file. An editor with a YAML language
server completes and explains keys by it where the file begins with

  # yaml-language-server: $schema=durward.schema.json

It knows each key alone; check also compares them.`,
		Example: "  durward schema > durward.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := jsonschema.Schema()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}
