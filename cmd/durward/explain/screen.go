package explain

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/durward/durward/policy/token"
)

// The most characters that text output holds of one value, and of one line of a fix.
const (
	valueLimit = 200
	lineLimit  = 2000
)

// printable makes a value safe to show: what could move or colour a terminal, or reorder
// its line, becomes U+FFFD, a token is named, and what is long is cut.
func printable(text string) string { return printableUpTo(text, valueLimit) }

func printableUpTo(text string, limit int) string {
	text = token.Mask(text)
	runes := []rune(text[:min(len(text), 4*limit+4)])
	cut := len(runes) > limit
	runes = runes[:min(len(runes), limit)]
	for i, r := range runes {
		if !strconv.IsPrint(r) {
			runes[i] = '\uFFFD'
		}
	}
	if cut {
		return string(runes) + "…"
	}
	return string(runes)
}

// encodeJSON writes v as one indented object in which every character that is not
// printable is escaped, those too that JSON does not ask for, and tokens are named.
func encodeJSON(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	var b strings.Builder
	for _, r := range token.Mask(string(text)) {
		switch {
		case r == '\n' || strconv.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('\n')
	return []byte(b.String()), nil
}
