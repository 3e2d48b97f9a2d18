package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/admin"
	"github.com/durward/durward/policy/catalog/source"
)

func newStatus() *cobra.Command {
	var path, address string
	var form string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of everything that serve runs",
		Long: `Asks a running serve for one table over its catalogue, authorization servers, gateways,
denials, organizations, applications and APIs: KIND, NAME, STATE, REASON, and the
REVISION in which that is so. A catalogue is serving, or rejected if its newest change
does not serve, with the place of the first mistake. A gateway is acked when its Envoys have
taken the revision, an API published when every gateway has. The admin port is that of the
configuration, 127.0.0.1:9902 where it cannot be read; --address names another.

-o json prints one object: revision; objects, a list of { kind, name, state, reason,
revision }; omitted, how many were left out of a very long answer.

Exit code 6 if no serve answers.`,
		Example: "  durward status\n  durward status -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if address == "" {
				address = source.AdminAddress(path)
			}
			s, err := admin.Fetch(cmd.Context(), address)
			if err != nil {
				return fmt.Errorf("%w\n  fix: start one: durward serve -c %s; or name its admin port with --address", err, path)
			}
			return printStatus(cmd, form, s)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&address, "address", "", "admin port of the serve: host:port, or unix:/path (default: that of the configuration)")
	reportFlag(cmd, &form)
	return cmd
}

func printStatus(cmd *cobra.Command, form string, s admin.Status) error {
	w := cmd.OutOrStdout()
	if form == "json" {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	return writeStatusTable(w, s)
}

// writeStatusTable writes a row for each object. Only the texts of others can hold what
// moves a terminal, and those are quoted then.
func writeStatusTable(w io.Writer, s admin.Status) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "KIND\tNAME\tSTATE\tREASON\tREVISION")
	for _, o := range s.Objects {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", printable(o.Kind), printable(o.Name), printable(o.State), printable(o.Reason), printable(o.Revision))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if s.Omitted > 0 {
		_, err := fmt.Fprintf(w, "… and %d more\n", s.Omitted)
		return err
	}
	return nil
}

// printable is a cell of the table: "-" for nothing, as it is on one line, else quoted.
func printable(text string) string {
	if text == "" {
		return "-"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
