package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/difference"
)

// errDifference is a difference that was asked to be a failure; it was printed already.
var errDifference = errors.New("access differs")

const (
	// maxRows and maxNames bound what is printed: rows, and the operations and callers of
	// one.
	maxRows, maxNames = 1000, 20
)

// comparing are the flags of diff.
type comparing struct {
	failOn string
	form   string
}

func newDiff() *cobra.Command {
	var c comparing
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show who may call what that could not before, and the reverse",
		Long: `Compares the access that two configurations give, each a file or a directory: grants,
applications and their client ids, operations, scopes, public operations, required claims,
rules, step-up, token policies, hosts, gateways, websockets, cors, denials and shadow mode.
A line is widened if more may be called by more, narrowed if less, changed if both or if it
cannot be told: rules are compared by their text, a ca_file of an authorization server by
its name. Not compared are: which API a request reaches where several match; a gateway's
address, tls and trusted_hops; listeners, with foreign_envoy; backends, headers and
forward_authorization; what is in files that the configuration names.

-o json prints one object: old and new, the revisions; widened, narrowed and changed, how
many differences there are; differences, a list of { direction, api, operations, callers,
changes, file, line }, where an empty api is every API or all of a gateway, empty operations all of the API's, and
empty callers all who may call; omitted, omitted_operations and omitted_callers, how many were
left out of long lists. Each of changes has direction, what, before and after.

--fail-on widened is for a review: exit code 4 if anything is widened or changed; narrowed
likewise; any for every difference. Exit code 3 if a configuration is invalid or missing.`,
		Example: "  durward diff old.yaml durward.yaml\n  durward diff --fail-on widened old.yaml durward.yaml",
		Args:    cobra.ExactArgs(2),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0], args[1]) },
	}
	reportFlag(cmd, &c.form)
	wordFlag(cmd, &c.failOn, "fail-on", "", "what ends with exit code 4 (default: nothing)", "widened", "narrowed", "any")
	return cmd
}

// failsOn reports whether a difference is a failure, for --fail-on. What cannot be told is
// one either way.
func failsOn(asked string, d difference.Direction) bool {
	return asked == "any" || asked != "" && (d == difference.Changed || string(d) == asked)
}

func (c comparing) run(cmd *cobra.Command, oldPath, newPath string) error {
	before, _, err := serve.Load(oldPath)
	if err != nil {
		return err
	}
	after, _, err := serve.Load(newPath)
	if err != nil {
		return err
	}
	rows := difference.Between(before, after, time.Now())
	r := newDiffReport(before, after, rows)
	if c.form == "json" {
		err = r.writeJSON(cmd.OutOrStdout())
	} else {
		err = r.writeText(cmd.OutOrStdout(), styleFor(cmd, cmd.OutOrStdout()))
	}
	if err != nil {
		return err
	}
	for _, row := range rows {
		if failsOn(c.failOn, row.Direction) {
			return &said{errDifference}
		}
	}
	return nil
}

// diffReport is what is printed; its JSON form is an interface.
type diffReport struct {
	Old         string    `json:"old"`
	New         string    `json:"new"`
	Widened     int       `json:"widened"`
	Narrowed    int       `json:"narrowed"`
	Changed     int       `json:"changed"`
	Differences []diffRow `json:"differences"`
	Omitted     int       `json:"omitted"`
}

type diffRow struct {
	difference.Row
	File              string `json:"file"`
	Line              int    `json:"line"`
	OmittedOperations int    `json:"omitted_operations"`
	OmittedCallers    int    `json:"omitted_callers"`
}

func newDiffReport(before, after *catalog.Catalogue, rows []difference.Row) diffReport {
	r := diffReport{Old: before.Revision, New: after.Revision, Differences: []diffRow{}, Omitted: max(0, len(rows)-maxRows)}
	for i, row := range rows {
		switch row.Direction {
		case difference.Widened:
			r.Widened++
		case difference.Narrowed:
			r.Narrowed++
		default:
			r.Changed++
		}
		if i >= maxRows {
			continue
		}
		d := diffRow{Row: row, File: row.At.File, Line: row.At.Line}
		d.Operations, d.OmittedOperations = firstOf(row.Operations)
		d.Callers, d.OmittedCallers = firstOf(row.Callers)
		r.Differences = append(r.Differences, d)
	}
	return r
}

// firstOf is the beginning of a list, and how many follow.
func firstOf(list []string) (first []string, more int) {
	n := min(len(list), maxNames)
	return list[:n], len(list) - n
}

func (r diffReport) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r diffReport) writeText(w io.Writer, s style) error {
	var b strings.Builder
	for _, d := range r.Differences {
		b.WriteString(d.text(s))
	}
	if r.Omitted > 0 {
		fmt.Fprintf(&b, "… and %d more\n", r.Omitted)
	}
	if all := r.Widened + r.Narrowed + r.Changed; all == 0 {
		b.WriteString("no difference in who may call what\n")
	} else {
		fmt.Fprintf(&b, "%s: %d widened, %d narrowed, %d changed\n", count(all, "difference"), r.Widened, r.Narrowed, r.Changed)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// text is a difference for people: a line for what it is about, and one for each change.
func (d diffRow) text(s style) string {
	mark := s.paint("33", "~ changed")
	switch d.Direction {
	case difference.Widened:
		mark = s.bad("+ widened")
	case difference.Narrowed:
		mark = s.good("- narrowed")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s: %s%s\n", mark, orAll(d.API, "every API"), listText(d.Operations, d.OmittedOperations, "all operations"),
		listText(d.Callers, d.OmittedCallers, "all who may call"), placeText(d.At))
	for _, c := range d.Changes {
		fmt.Fprintf(&b, "    %s: %s -> %s\n", c.What, orAll(c.Before, "none"), orAll(c.After, "none"))
	}
	return b.String()
}

func orAll(text, empty string) string {
	if text == "" {
		return empty
	}
	return text
}

func listText(list []string, more int, empty string) string {
	text := orAll(strings.Join(list, ", "), empty)
	if more > 0 {
		text += fmt.Sprintf(" … and %d more", more)
	}
	return text
}
