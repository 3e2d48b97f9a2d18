package explain

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/contract"
)

// Style colours words that say the same without; nil functions leave them as they are.
type Style struct{ Good, Bad, Faint func(string) string }

func paint(f func(string) string, text string) string {
	if f == nil {
		return text
	}
	return f(text)
}

// marks are the signs of the states.
func (s Style) mark(state string) string {
	switch state {
	case passed:
		return paint(s.Good, "✓")
	case failed:
		return paint(s.Bad, "✗")
	default:
		return paint(s.Faint, "·")
	}
}

// WriteJSON writes the report as one JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	text, err := encodeJSON(r)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer, s Style) error {
	var b strings.Builder
	verdict := paint(s.Good, "ALLOW")
	if r.Outcome != "allow" {
		verdict = fmt.Sprintf("%s %d %s", paint(s.Bad, "DENY"), r.Status, r.Reason)
		if r.Shadow {
			verdict += ", but the API is in shadow mode: the request passes"
		}
	}
	fmt.Fprintf(&b, "%s   %s %s%s   revision %s\n", verdict, printable(r.Request.Method), printable(r.Request.Host), printable(r.Request.Path), r.Revision)
	if c := r.Supposed; c != nil {
		fmt.Fprintf(&b, "  supposed: %s signed in with %s, scopes %s; nothing was sent\n", printable(c.User), printable(c.Application), printable(orNone(c.Scopes)))
	}
	r.writeSteps(&b, s)
	for _, h := range r.Identity {
		fmt.Fprintf(&b, "    %s: %s\n", h.Name, printable(h.Value))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// TraceText is the way of a decision as far as it went, a line for each step, as WriteText
// writes it, without a fix.
func TraceText(d policy.Decision, trace policy.Trace, s Style) string {
	r := Report{Reason: d.Reason, Operation: operationOf(d.Operation)}
	r.Steps = slices.DeleteFunc(steps(trace), func(step step) bool { return step.State == notReached })
	var b strings.Builder
	r.writeSteps(&b, s)
	return b.String()
}

func (r *Report) writeSteps(b *strings.Builder, s Style) {
	for _, step := range r.Steps {
		line := fmt.Sprintf("  %s %-10s %-60s %s", s.mark(step.State), step.Name, r.sentence(step), place(step.At))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		if step.State == failed {
			r.writeFix(b)
		}
	}
}

func (r *Report) writeFix(b *strings.Builder) {
	for i, line := range r.Fix {
		label := "fix: "
		if i > 0 {
			label = "     "
		}
		b.WriteString("    " + label + line + "\n")
	}
}

// sentence says what a step asked and found.
func (r *Report) sentence(step step) string {
	expected, found := printable(step.Expected), printable(step.Found)
	if op := r.Operation; step.Name == contract.StepScope && op != nil && step.State != notReached {
		expected = printable(needs(op.AllScopes, op.AnyScopes))
		if found == "" {
			found = "none"
		}
		return fmt.Sprintf("needs %s; the token has %s", expected, found)
	}
	switch {
	case step.State == notReached:
		return ""
	case step.Name == contract.StepCredential && r.Reason == contract.TokenMissing:
		return fmt.Sprintf("needs %s; found none", expected)
	case step.Name == contract.StepCredential:
		return fmt.Sprintf("needs %s; found several, or one with characters that no token has", expected)
	case step.State == failed && step.Name == contract.StepToken:
		return fmt.Sprintf("policy %s: %s", expected, strings.TrimPrefix(found, "token: "))
	case step.State == failed:
		return fmt.Sprintf("needs %s; found %s", expected, found)
	}
	switch step.Name {
	case contract.StepAPI:
		return fmt.Sprintf("%s serves %s", expected, strings.Replace(found, " ", "", 1))
	case contract.StepToken:
		return fmt.Sprintf("policy %s: %s", expected, found)
	case contract.StepClient:
		return fmt.Sprintf("%s is application %s", found, expected)
	case contract.StepGrant:
		return fmt.Sprintf("%s may call %s", strings.Replace(found, " ", "/", 1), expected)
	case contract.StepOperation:
		if found == "public" {
			return expected + " is public: no token is asked for"
		}
		return fmt.Sprintf("%s matches %s", expected, found)
	default:
		return strings.TrimSpace(expected + " " + found)
	}
}
