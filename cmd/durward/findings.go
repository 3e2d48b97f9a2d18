package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/durward/durward/policy/catalog"
)

func printChecked(cmd *cobra.Command, form string, all []checked, findings []catalog.Finding) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	if form == "json" {
		return writeJSON(stdout, all, findings)
	}
	s := styleFor(cmd, stderr)
	for _, c := range all {
		if form == "github" {
			for _, f := range c.Findings {
				_, _ = fmt.Fprintln(stdout, annotation(f))
			}
		} else {
			writeFindings(stderr, s, c.Findings)
		}
		took := fmt.Sprintf("(%d ms)", c.took.Milliseconds())
		if len(c.Findings) > 0 {
			_, _ = fmt.Fprintf(stderr, "%s in %s %s\n", tally(c.Findings), count(len(c.Files), "file"), took)
		}
		if c.Catalogue == nil {
			continue
		}
		good := styleFor(cmd, stdout).good(c.path + ": good")
		if _, err := fmt.Fprintf(stdout, "%s; revision %s, %s, %s %s\n", good, c.Catalogue.Revision,
			count(len(c.Files), "file"), count(len(c.Catalogue.APIs), "API"), took); err != nil {
			return err
		}
		if _, err := io.WriteString(stdout, notableIn(c.Catalogue, time.Now()).text()); err != nil {
			return err
		}
	}
	return nil
}

// printFindings writes the findings that kept another command from its work.
func printFindings(w io.Writer, findings []catalog.Finding) {
	writeFindings(w, style{}, findings)
	_, _ = fmt.Fprintln(w, tally(findings))
}

// writeFindings writes findings for people.
func writeFindings(w io.Writer, s style, findings []catalog.Finding) {
	for _, f := range findings {
		mark := s.bad
		if f.Severity == catalog.Warning {
			mark = func(text string) string { return s.paint("33", text) }
		}
		_, _ = io.WriteString(w, f.Text(mark))
	}
}

// tally says how many errors and warnings there are.
func tally(findings []catalog.Finding) string {
	errors, warnings := severities(findings)
	return count(errors, "error") + ", " + count(warnings, "warning")
}

func severities(findings []catalog.Finding) (errors, warnings int) {
	for _, f := range findings {
		if f.Severity == catalog.Warning {
			warnings++
		}
	}
	return len(findings) - warnings, warnings
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// annotation is a finding for GitHub Actions.
func annotation(f catalog.Finding) string {
	message := f.Message
	if f.Fix != "" {
		message += "\nfix: " + f.Fix
	}
	return workflowCommand(f.Severity.String(), f.At, f.Code, message)
}

// workflowCommand is a command of GitHub Actions that shows a message at a place.
func workflowCommand(command string, at catalog.Position, title, message string) string {
	place := "file=" + escapeProperty(at.File)
	if at.Line > 0 {
		place += fmt.Sprintf(",line=%d,col=%d", at.Line, at.Column)
	}
	return fmt.Sprintf("::%s %s,title=%s::%s", command, place, escapeProperty(title), escapeData.Replace(message))
}

var escapeData = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")

func escapeProperty(text string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(escapeData.Replace(text))
}

// writeJSON writes the object that the help of check describes.
func writeJSON(w io.Writer, all []checked, findings []catalog.Finding) error {
	type finding struct {
		Code     string `json:"code"`
		Severity string `json:"severity"`
		File     string `json:"file"`
		Line     int    `json:"line"`
		Column   int    `json:"column"`
		Width    int    `json:"width"`
		Path     string `json:"path"`
		Message  string `json:"message"`
		Fix      string `json:"fix"`
	}
	type configuration struct {
		Path     string `json:"path"`
		Files    int    `json:"files"`
		APIs     int    `json:"apis"`
		Revision string `json:"revision"`

		Public  []string `json:"public"`
		Shadow  []string `json:"shadow"`
		Denials []string `json:"denials"`
	}
	report := struct {
		Findings       []finding       `json:"findings"`
		Errors         int             `json:"errors"`
		Warnings       int             `json:"warnings"`
		Configurations []configuration `json:"configurations"`
	}{Findings: []finding{}, Configurations: []configuration{}}
	report.Errors, report.Warnings = severities(findings)
	for _, f := range findings {
		report.Findings = append(report.Findings, finding{
			f.Code, f.Severity.String(), f.At.File, f.At.Line, f.At.Column, f.Width, f.Path, f.Message, f.Fix,
		})
	}
	for _, c := range all {
		n := notableIn(c.Catalogue, time.Now())
		row := configuration{Path: c.path, Files: len(c.Files), Public: n.public, Shadow: n.shadow, Denials: n.denials}
		if c.Catalogue != nil {
			row.APIs, row.Revision = len(c.Catalogue.APIs), c.Catalogue.Revision
		}
		report.Configurations = append(report.Configurations, row)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(report)
}
