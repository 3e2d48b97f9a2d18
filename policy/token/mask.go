package token

import (
	"regexp"
	"strings"
)

// compact matches JWTs in the compact serialization (RFC 7515 section 7.1, RFC 7516
// section 7.1), cut ones too: a header begins with {" and so its base64url with eyJ.
var compact = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,4}`)

// Mask returns the text with the name of each JWT in its place, as String returns it. It
// is for what people and callers write where no token belongs: a path, a name, a log.
// Opaque tokens look like any text and are not found.
func Mask(text string) string {
	if !strings.Contains(text, "eyJ") {
		return text
	}
	return compact.ReplaceAllStringFunc(text, func(found string) string { return Token{&found}.String() })
}
