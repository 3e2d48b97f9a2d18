package main

import (
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// page is a topic of help that is no finding and no reason: it has a text of its own.
type page struct {
	name, title string
	write       func(io.Writer, style) error
}

// pages lists the topics with a text of their own.
func pages() []page {
	return []page{
		{"checks", "what every request is checked for, in order", writeChecks},
		{"rules", "what a rule of the configuration can say", writeRules},
		{"foreign-envoy", "what an Envoy must hold that another control plane configures", writeForeignEnvoy},
	}
}

// writeChecks prints the table that decisions are held to.
func writeChecks(w io.Writer, s style) error {
	var b strings.Builder
	b.WriteString("Every request is checked for this, in this order; the first that fails decides.\n\n")
	for i, c := range contract.Checks() {
		fmt.Fprintf(&b, "%2d  %s\n", i+1, s.good(string(c.Step)))
		b.WriteString(wrap(strings.ReplaceAll(c.Asks, "`", "")) + "\n")
		var otherwise []string
		for _, r := range c.Reasons {
			otherwise = append(otherwise, fmt.Sprintf("%d %s", r.Denial().Status, r))
		}
		b.WriteString(wrap("else "+strings.Join(otherwise, ", ")) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeRules prints the variables of rules, from the schema, and the examples.
func writeRules(w io.Writer, s style) error {
	var b strings.Builder
	b.WriteString(wrap(`A rule is a CEL expression (cel.dev) that is true or false. It stands at a token policy,
		an API or an operation, and all that apply must be true. What is missing is an error, and an error
		denies with claim_mismatch: ask has(…) first where a claim may be absent. Strings, sets and addresses
		have CEL's extensions. Try a rule with durward explain --as APP --claim NAME=VALUE, and keep what it
		must do with durward test.`) + "\n\n" + s.good("Variables") + "\n")
	variables := new(durwardv1.RuleContext).ProtoReflect().Descriptor().Fields()
	for i := range variables.Len() {
		fields := variables.Get(i).Message().Fields()
		for k := range fields.Len() {
			f := fields.Get(k)
			line := fmt.Sprintf("  %-22s %-16s %s", string(variables.Get(i).Name())+"."+string(f.Name()), kindOf(f), durwardv1.Comment(string(f.FullName())))
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
	}
	b.WriteString("\n" + s.good("Examples") + "\n")
	for _, e := range catalog.RuleExamples() {
		fmt.Fprintf(&b, "  %s\n    rule: '%s'\n", s.faint(e.About), e.Rule)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// kindOf names a field's type as CEL does.
func kindOf(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return "map of texts"
	case f.IsList():
		return "list of texts"
	case f.Kind() == protoreflect.BoolKind:
		return "true or false"
	case f.Kind() == protoreflect.MessageKind && f.Message().Name() == "Timestamp":
		return "time"
	case f.Kind() == protoreflect.MessageKind:
		return "claims by name"
	default:
		return "text"
	}
}
