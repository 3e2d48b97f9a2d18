package call

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Printable returns text for a terminal: line ends and tabs stay; other control
// characters, those that reverse or hide text, and bytes that are no UTF-8 are written
// as escapes. JSON stays JSON.
func Printable(text []byte) []byte {
	var out bytes.Buffer
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, text[0])
		case r == '\n' || r == '\t' || r == ' ' || unicode.IsPrint(r):
			out.Write(text[:size])
		case r == '\r' && bytes.HasPrefix(text, []byte("\r\n")):
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
		text = text[size:]
	}
	return out.Bytes()
}
