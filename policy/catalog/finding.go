package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Severity ranks a finding.
type Severity int

// Severities. The zero Severity is the one that stops a configuration.
const (
	Error Severity = iota
	Warning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Finding is one mistake in a configuration, said to the person who made it.
type Finding struct {
	// Code is DWnnn; codes are never reused.
	Code     string
	Severity Severity
	At       Position
	// Path names the value, as in grants[0].api, with list indices that count
	// through all files; empty where the text itself is at fault.
	Path string
	// Message says what is wrong; Fix what to write instead.
	Message, Fix string
	// Line is the source line At points into, if known.
	Line string
	// Width is how many runes of Line the mistake covers, at least 1.
	Width int
}

// NewFinding returns a finding of a code in the table of Rules, with the severity and
// the fix of the table.
func NewFinding(code string, at Position, message string) Finding {
	r := ruleOf(code)
	return Finding{Code: code, Severity: r.Severity, At: at, Message: message, Fix: r.Fix, Width: 1}
}

// String returns the finding's first line: file:line:col: error DWnnn: message. What
// is not known of the position is left out.
func (f Finding) String() string { return f.first(unmarked) }

func (f Finding) first(mark func(string) string) string {
	var b strings.Builder
	if f.At.File != "" {
		b.WriteString(f.At.File + ":")
	}
	if f.At.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", f.At.Line, f.At.Column)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	fmt.Fprintf(&b, "%s %s: %s", mark(f.Severity.String()), f.Code, f.Message)
	return b.String()
}

// Text returns the finding for people: its first line, the source line with a caret
// under the mistake where the line is known, and the fix with the help topic. mark
// colours the severity and the caret; nil leaves them as they are.
func (f Finding) Text(mark func(string) string) string {
	if mark == nil {
		mark = unmarked
	}
	var b strings.Builder
	b.WriteString(f.first(mark) + "\n")
	if f.Line != "" && f.At.Line > 0 {
		number := strconv.Itoa(f.At.Line)
		line, before, width := excerpt(f.Line, f.At.Column-1, f.Width)
		fmt.Fprintf(&b, "  %s | %s\n", number, line)
		fmt.Fprintf(&b, "  %s | %s%s\n", strings.Repeat(" ", len(number)),
			strings.Repeat(" ", before), mark("^"+strings.Repeat("~", width-1)))
	}
	if f.Fix != "" {
		fmt.Fprintf(&b, "  fix: %s  (durward help %s)\n", f.Fix, f.Code)
	}
	return b.String()
}

func unmarked(text string) string { return text }

const maxExcerpt = 100

// excerpt cuts a line to what a terminal shows, keeping the mistake, and replaces what
// would move the caret or the terminal.
func excerpt(line string, before, width int) (text string, caret, covered int) {
	runes := []rune(line)
	before = max(0, min(before, len(runes)))
	start := 0
	if before+width > maxExcerpt {
		start = max(0, before-maxExcerpt/2)
	}
	end := min(len(runes), start+maxExcerpt)
	for i, r := range runes[:end] {
		if !strconv.IsPrint(r) {
			runes[i] = ' '
		}
	}
	text, caret, covered = string(runes[start:end]), before-start, max(1, min(width, end-before))
	if start > 0 {
		text, caret = "…"+text, caret+1
	}
	if end < len(runes) {
		text += "…"
	}
	return strings.TrimRight(text, " "), caret, covered
}

// SortFindings sorts by file, line and column, then by code.
func SortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.At.File, b.At.File),
			cmp.Compare(a.At.Line, b.At.Line),
			cmp.Compare(a.At.Column, b.At.Column),
			cmp.Compare(a.Code, b.Code),
		)
	})
}

// HasErrors reports whether a finding stops the configuration.
func HasErrors(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error })
}
