package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
)

// TestParseIsBounded gives the parser text in the shapes that cost parsers most. Those
// that cost more than their size, in time or in depth of the stack, must be refused by
// a bound before they are parsed, and text with a great many values before it is read.
func TestParseIsBounded(t *testing.T) {
	t.Parallel()
	for name, text := range expensive(1 << 17) {
		if _, findings := source.Parse("hostile.yaml", []byte(text)); len(findings) != 1 || findings[0].Code != "DW007" {
			t.Errorf("%s: %.300v", name, findings)
		}
	}
	for name, text := range linear(1 << 17) {
		if cat, findings := source.Parse("hostile.yaml", []byte(text)); cat != nil || !catalog.HasErrors(findings) || findings[0].Code == "DW007" {
			t.Errorf("%s: %.300v", name, findings)
		}
	}
	for _, text := range []string{strings.Repeat("\n", 1<<19+1), strings.Repeat("x", 4<<20+1)} {
		if _, findings := source.Parse("hostile.yaml", []byte(text)); len(findings) != 1 || findings[0].Code != "DW007" || findings[0].At.Line != 0 {
			t.Errorf("%d bytes: %v", len(text), findings)
		}
	}
}

func expensive(size int) map[string]string {
	return map[string]string{
		"keys":            numbered("", "k%d: v\n", size),
		"quoted keys":     numbered("", "\"k%d\": v\n", size),
		"explicit keys":   numbered("", "? k%d\n: v\n", size),
		"keys in an item": numbered("apis:\n- a: 1\n", "  k%d: v\n", size),
		"commented keys":  numbered("", "k%d: v # c\n# c\n", size),
		"bracket keys":    numbered("", "[k%d]: v\n", size),
		"flow keys":       numbered("version: {", "k%d: v,", size) + "}",
		"colons":          filled("", ": ", size),
		"keys in a row":   filled("", "a: ", size),
		"flow pairs":      numbered("version: [", "k%d: v,", size) + "]",

		"items":                 filled("", "-\n", size),
		"commented items":       filled("apis:\n", "-\n#\n", size),
		"empty values":          filled("apis:\n", "- a:\n", size),
		"deep empty values":     filled("apis:\n", "  - a:\n    b:\n      c:\n", size),
		"empty flow values":     filled("apis: [", "{a:},", size) + "]",
		"empty flow pairs":      filled("apis: [", "a: ,", size) + "]",
		"keys alone in flow":    filled("apis: [", "{a},", size) + "]",
		"keys alone, two lines": filled("apis: [", "{\na\n},", size) + "]",

		"brackets":  filled("", "[", size),
		"braces":    filled("", "{a: ", size),
		"dashes":    filled("", "- ", size),
		"questions": filled("", "? ", size),
		"steps":     steps(size),
	}
}

func linear(size int) map[string]string {
	return map[string]string{
		"keys of items": numbered("apis:\n", "- name: a%d\n", size), "empty items": filled("apis: [", "{},", size) + "]",
		"sequence": filled("", "- a\n", size), "sequences below": filled("apis:\n", "- a:\n  - b\n", size), "commas": filled("[", "a,", size) + "]",
		"pairs": filled("", "[]\n", size), "questions below": filled("", "?\n", size),
		"pipes": filled("", "|\n", size), "quotes": filled("", "'", size), "double quotes": filled("", "\"", size), "escapes": filled("a: \"", "\\", size),
		"tags": filled("", "! ", size), "anchors": filled("", "&a ", size), "aliases": filled("", "*a ", size), "merge keys": filled("", "<<: \n", size),
		"documents": filled("", "---\n", size), "comments": filled("", "#\n", size), "blanks": filled("", " ", size), "lines": filled("", "\n", size),
		"words": filled("", "a ", size), "plain over lines": filled("a: ", "b\n  ", size), "literal": filled("a: |\n", "  b\n", size),
		"a long string": filled("version: 1\napis: [ { name: ", "x", size) + " } ]",
	}
}

func filled(prefix, unit string, size int) string {
	return prefix + strings.Repeat(unit, size/len(unit))
}

func numbered(prefix, format string, size int) string {
	var b strings.Builder
	b.WriteString(prefix)
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func steps(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
