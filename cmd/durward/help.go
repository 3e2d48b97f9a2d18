package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// topic is something that help explains beside the commands: a finding or a reason.
type topic struct {
	// name is DWnnn or a reason; title says what it is about.
	name, title string
	cause, fix  string
}

// topics lists the findings, then the reasons, each sorted.
func topics() (findings, reasons []topic) {
	for _, r := range catalog.Rules() {
		h := r.Help()
		findings = append(findings, topic{r.Code, r.Severity.String() + ": " + r.Title, h.Cause, h.Fix})
	}
	for _, r := range slices.Sorted(slices.Values(contract.Reasons())) {
		d, h := r.Denial(), r.Help()
		title := fmt.Sprintf("%d: %s", d.Status, d.Title)
		if d.Told != r {
			title += fmt.Sprintf(" (the caller reads %s)", d.Told)
		}
		reasons = append(reasons, topic{string(r), title, h.Cause, h.Fix})
	}
	return findings, reasons
}

func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND | DWnnn | REASON | checks | rules | foreign-envoy]",
		Short: "Explain a command, a finding of check, or the reason of a denial",
		Long: `Shows the help of a command, or explains how a finding of check (DWnnn) or the reason of a
denial comes about, and what to do. checks lists what every request is checked for, rules
what a rule of the configuration can say, foreign-envoy what an Envoy must hold that another
control plane configures. Alone it also lists all of these.`,
		Example:           "  durward help serve\n  durward help DW102\n  durward help scope_missing",
		ValidArgsFunction: completeHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			findings, reasons := topics()
			if len(args) == 0 {
				return listTopics(cmd, findings, reasons)
			}
			if found, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
				found.InitDefaultHelpFlag()
				return found.Help()
			}
			for _, t := range slices.Concat(findings, reasons) {
				if len(args) == 1 && strings.EqualFold(t.name, args[0]) {
					return t.print(cmd.OutOrStdout(), styleFor(cmd, cmd.OutOrStdout()))
				}
			}
			for _, p := range pages() {
				if len(args) == 1 && strings.EqualFold(p.name, args[0]) {
					return p.write(cmd.OutOrStdout(), styleFor(cmd, cmd.OutOrStdout()))
				}
			}
			return &usageError{unknownTopic(cmd.Root(), strings.Join(args, " ")), cmd.CommandPath()}
		},
	}
}

// listTopics is the help of the program and what else help explains.
func listTopics(cmd *cobra.Command, findings, reasons []topic) error {
	if err := cmd.Root().Help(); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("\nMore, by \"durward help NAME\":\n")
	for _, p := range pages() {
		fmt.Fprintf(&b, "  %-20s %s\n", p.name, p.title)
	}
	b.WriteString("\nFindings of check, each explained by \"durward help DWnnn\":\n")
	for _, t := range findings {
		fmt.Fprintf(&b, "  %-20s %s\n", t.name, t.title)
	}
	b.WriteString("\nReasons of a denial, each explained by \"durward help REASON\":\n")
	for _, t := range reasons {
		fmt.Fprintf(&b, "  %-20s %s\n", t.name, t.title)
	}
	_, err := io.WriteString(cmd.OutOrStdout(), b.String())
	return err
}

func (t topic) print(w io.Writer, s style) error {
	_, err := fmt.Fprintf(w, "%s  %s\n\n%s\n%s\n\n%s\n%s\n",
		t.name, t.title, s.bad("Cause"), wrap(t.cause), s.good("Fix"), wrap(t.fix))
	return err
}

// wrap breaks a paragraph into indented lines of at most 80 columns.
func wrap(text string) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
			b.WriteString("  ")
			column = 2
		case column+1+len(word) > 80:
			b.WriteString("\n  ")
			column = 2
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

func unknownTopic(root *cobra.Command, name string) error {
	var names []string
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			names = append(names, cmd.Name())
		}
	}
	findings, reasons := topics()
	for _, t := range slices.Concat(findings, reasons) {
		names = append(names, t.name)
	}
	for _, p := range pages() {
		names = append(names, p.name)
	}
	if strings.HasPrefix(strings.ToUpper(name), "DW") {
		name = strings.ToUpper(name)
	}
	hint := catalog.Suggest(name, names)
	if !strings.HasPrefix(hint, "did you mean") {
		hint = "durward help lists everything"
	}
	return fmt.Errorf("%q is no command, finding or reason; %s", name, hint)
}

// completeHelp completes the names of commands and topics, with what they are about.
func completeHelp(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
	at, _, err := cmd.Root().Find(args)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list []cobra.Completion
	add := func(name, title string) {
		if len(name) >= len(toComplete) && strings.EqualFold(name[:len(toComplete)], toComplete) {
			list = append(list, cobra.CompletionWithDesc(name, title))
		}
	}
	for _, sub := range at.Commands() {
		if sub.IsAvailableCommand() {
			add(sub.Name(), sub.Short)
		}
	}
	if len(args) == 0 {
		findings, reasons := topics()
		for _, t := range slices.Concat(findings, reasons) {
			add(t.name, t.title)
		}
		for _, p := range pages() {
			add(p.name, p.title)
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}
