package catalog

import (
	"errors"
	"fmt"
	"strings"
)

// checkLiteral reports what keeps a path segment from being a literal: one that is
// not in the form in which a canonical request path carries it could never match, or
// would be read differently behind us.
func checkLiteral(part string) error {
	if part == "." || part == ".." {
		return fmt.Errorf("segment %q is a dot segment", part)
	}
	for i := 0; i < len(part); i++ {
		c := part[i]
		switch {
		case c == '%':
			if err := checkEscape(part[i:]); err != nil {
				return err
			}
			i += 2
		case c == '*':
			return fmt.Errorf(`segment %q: "*" stands only in a last "/**"`, part)
		case c >= 0x80:
			return fmt.Errorf("segment %q: a non-ASCII character must be percent-encoded", part)
		case !isAlphanumeric(c) && !strings.ContainsRune("-._~!$&'()+,=:@", rune(c)):
			return fmt.Errorf("segment %q: %q cannot stand in a path", part, c)
		}
	}
	return nil
}

// checkEscape judges the percent-encoding that s begins with.
func checkEscape(s string) error {
	if len(s) < 3 {
		return fmt.Errorf("%q is no percent-encoding", s)
	}
	hi, lo := strings.IndexByte(upperHex, s[1]), strings.IndexByte(upperHex, s[2])
	if hi < 0 || lo < 0 {
		return fmt.Errorf("%q is no percent-encoding with upper-case digits", s[:3])
	}
	c := byte(hi<<4 | lo)
	switch {
	case isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0:
		return fmt.Errorf("%q is the encoding of %q, which is written as itself", s[:3], c)
	case c < 0x20 || c == 0x7f || strings.IndexByte(`/\%;`, c) >= 0:
		return fmt.Errorf("%q is never accepted in a path", s[:3])
	}
	return nil
}

const upperHex = "0123456789ABCDEF"

// checkBasePath judges a base path, or the path of a backend: literal segments, no
// slash at the end unless it is all there is.
func checkBasePath(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return errors.New(`the path does not begin with "/"`)
	case path == "/":
		return nil
	case len(path) > maxTemplateBytes:
		return fmt.Errorf("the path is longer than %d bytes", maxTemplateBytes)
	case strings.HasSuffix(path, "/"):
		return errors.New(`the path ends in "/"`)
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if part == "" {
			return errors.New(`"//": a segment is empty`)
		}
		if err := checkLiteral(part); err != nil {
			return err
		}
	}
	return nil
}
