package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/explain"
	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/policytest"
)

// print writes results to standard output, and what keeps tests from being run, and what
// the other forms have no place for, to standard error.
func (o trial) print(cmd *cobra.Command, all []tested) error {
	stdout, talk := cmd.OutOrStdout(), cmd.ErrOrStderr()
	var b strings.Builder
	s := styleFor(cmd, stdout)
	for _, t := range all {
		findings := t.allFindings()
		if o.form == "github" {
			for _, f := range findings {
				b.WriteString(annotation(f) + "\n")
			}
			writeAnnotations(&b, t)
			continue
		}
		writeFindings(talk, styleFor(cmd, talk), findings)
		if o.form == "text" {
			o.writeResults(&b, s, t)
		}
	}
	if o.form == "junit" {
		if err := writeJUnit(&b, all); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(stdout, b.String()); err != nil {
		return err
	}
	summary, sums := talk, styleFor(cmd, talk)
	if o.form == "text" {
		summary, sums = stdout, s
	}
	for _, t := range all {
		if err := o.writeSummary(summary, sums, t); err != nil {
			return err
		}
		o.writeHint(talk, t)
	}
	return nil
}

// writeResults writes the cases that failed, or all of them, for people.
func (o trial) writeResults(b *strings.Builder, s style, t tested) {
	for _, f := range t.files {
		for _, r := range f.results {
			where := fmt.Sprintf("%s:%d:%d: %q", r.Case.At.File, r.Case.At.Line, r.Case.At.Column, r.Case.Name)
			if len(r.Wrong) > 0 {
				fmt.Fprintf(b, "%s %s (%s)\n%s", s.bad("FAIL"), where, rounded(r.Took), failure(r, explain.Style{Good: s.good, Bad: s.bad, Faint: s.faint}))
			} else if o.verbose {
				fmt.Fprintf(b, "%s %s (%s)\n", s.good("pass"), where, rounded(r.Took))
			}
		}
	}
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

// failure says what is wrong with a result, and how its decision came about.
func failure(r policytest.Result, s explain.Style) string {
	var b strings.Builder
	who := "without a token"
	if r.Case.As != "" {
		who = fmt.Sprintf("as %q", r.Case.As)
	}
	fmt.Fprintf(&b, "  %q %q %s\n", r.Case.Method, r.Case.URL, who)
	for _, line := range r.Wrong {
		b.WriteString("  " + line + "\n")
	}
	b.WriteString(explain.TraceText(r.Decision, r.Trace, s))
	return b.String()
}

// writeSummary counts, and says what is not covered.
func (o trial) writeSummary(w io.Writer, s style, t tested) error {
	var b strings.Builder
	passed, failed := t.count()
	verdict := s.good(t.path + ": ok")
	switch {
	case len(t.allFindings()) > 0:
		verdict = s.bad(t.path + ": unreadable")
	case failed > 0:
		verdict = s.bad(t.path + ": failed")
	case t.cases == 0:
		verdict = s.bad(t.path + ": no tests")
	case passed == 0:
		verdict = s.bad(t.path + ": no case matches --run")
	}
	fmt.Fprintf(&b, "%s; %s passed, %d failed, %s (%d ms)\n", verdict, count(passed, "case"), failed, count(len(t.files), "file"), t.took.Milliseconds())
	if o.coverage && t.coverage != nil {
		o.writeCoverage(&b, s, t.coverage)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (o trial) writeCoverage(b *strings.Builder, s style, c *policytest.Coverage) {
	shown, all := c.Count()
	percent := fmt.Sprintf("coverage %d%%", c.Percent())
	if c.Percent() < o.threshold {
		percent = s.bad(fmt.Sprintf("%s, below %d%%", percent, o.threshold))
	}
	fmt.Fprintf(b, "%s: %d of %d outcomes (grant x operation x allow, deny)\n", percent, shown, all)
	for _, lack := range c.Missing() {
		verb, who := "denies", "anybody"
		if lack.Verdict == policytest.Allow {
			verb = "allows"
		}
		if lack.Organization != nil {
			who = lack.Organization.Name
		}
		line := fmt.Sprintf("%s at %s: %s %s", who, lack.API.Name, strings.Join(lack.Operation.Methods, ","), lack.Operation.Path)
		fmt.Fprintf(b, "  no test %s  %-50s %s:%d:%d\n", verb, line, lack.Operation.At.File, lack.Operation.At.Line, lack.Operation.At.Column)
	}
}

// writeHint shows a first test where there is none.
func (o trial) writeHint(w io.Writer, t tested) {
	if t.cases > 0 || t.catalogue == nil || len(t.allFindings()) > 0 {
		return
	}
	_, _ = fmt.Fprintf(w, "durward: no policy test beside %s: write %s, for example\n\n%s",
		t.path, scaffold.TestsPath(t.path), firstTests(t.catalogue))
}

// firstTests is a file of tests that pass.
func firstTests(cat *catalog.Catalogue) string {
	for _, api := range cat.APIs {
		for _, op := range api.Operations {
			app := caller(cat, api)
			if r := op.Requires; op.Public || app == nil || len(r.Claims)+len(r.Rules)+len(r.ACRValues) > 0 || r.MaxAuthAge > 0 {
				continue
			}
			deny := "deny"
			if api.Shadow {
				deny = "shadow"
			}
			scopes := append(op.AllScopes[:len(op.AllScopes):len(op.AllScopes)], op.AnyScopes[:min(1, len(op.AnyScopes))]...)
			return fmt.Sprintf(`version: 1
tokens:
  alice: { application: %s/%s, uid: 00u1, sub: alice@example.com, scopes: [%q] }
matrix:
  - { requests: [%q], allow: [alice], %s: { "-": token_missing } }
`, app.Organization.Name, app.Name, strings.Join(scopes, `", "`), op.Methods[0]+" "+explain.Example(api, op), deny)
		}
	}
	return "version: 1\ncases:\n  - { name: strangers are turned away, method: GET, url: /, expect: deny }\n"
}

// caller is an application that may call the API, or nil.
func caller(cat *catalog.Catalogue, api *catalog.API) *catalog.Application {
	for _, o := range cat.Organizations {
		for _, a := range o.Applications {
			if api.ApplicationGranted(a) && !a.Disabled && !o.Disabled {
				return a
			}
		}
	}
	return nil
}

// writeAnnotations writes the cases that failed for GitHub Actions.
func writeAnnotations(b *strings.Builder, t tested) {
	for _, f := range t.files {
		for _, r := range f.results {
			if len(r.Wrong) > 0 {
				b.WriteString(workflowCommand("error", r.Case.At, r.Case.Name, failure(r, explain.Style{})) + "\n")
			}
		}
	}
}
