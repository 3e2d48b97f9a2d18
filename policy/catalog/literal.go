package catalog

import (
	"errors"
	"fmt"
	"strings"
)

// maxPathBytes bounds the paths of requests.
const maxPathBytes = 16 << 10

// CheckPath accepts the absolute path of a request, without its query, if every reader
// splits it into the same segments: no dot or empty segments but a last one, no path
// parameters, no encoded octet that some reader decodes into structure. Envoy repairs or
// refuses most of these before it asks; another proxy may not. It does not look whether
// anything answers there.
func CheckPath(path string) error {
	switch {
	case len(path) > maxPathBytes:
		return errors.New("the path is too long")
	case !strings.HasPrefix(path, "/"):
		return errors.New("the path is not absolute")
	case strings.Contains(path, "//"):
		return errors.New("the path has an empty segment")
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if err := checkSegment(part); err != nil {
			return err
		}
	}
	return nil
}

// checkSegment judges one segment of a path, of requests and of configurations.
func checkSegment(part string) error {
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
		case c >= 0x80:
			return fmt.Errorf("segment %q: a non-ASCII character must be percent-encoded", part)
		case c <= ' ' || c == 0x7f || strings.IndexByte(`\#;"<>^{|}`+"`", c) >= 0:
			return fmt.Errorf("segment %q: %q cannot stand in a path", part, c)
		}
	}
	return nil
}

// checkEscape judges the percent-encoding that s begins with.
func checkEscape(s string) error {
	c, ok := octet(s)
	switch {
	case !ok:
		return fmt.Errorf("%q is no percent-encoding", s[:min(3, len(s))])
	case isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0: // RFC 3986 section 2.3
		return fmt.Errorf("%q is the encoding of %q, which is written as itself", s[:3], c)
	case c < ' ' || c == 0x7f || c == '/' || c == '\\':
		return fmt.Errorf("%q is never accepted in a path", s[:3])
	}
	if _, again := octet("%" + s[3:]); c == '%' && again {
		return fmt.Errorf("%q is encoded twice", s[:5])
	}
	return nil
}

// octet decodes the percent-encoding that s begins with, in either case.
func octet(s string) (byte, bool) {
	const digits = "0123456789abcdef0123456789ABCDEF"
	if len(s) < 3 {
		return 0, false
	}
	high, low := strings.IndexByte(digits, s[1]), strings.IndexByte(digits, s[2])
	return byte(high%16<<4 | low%16), high >= 0 && low >= 0
}

// standsForItself reports whether an octet may be written unencoded in a segment (RFC 3986
// section 3.3), so that its encoding is another spelling of the same. Semicolons begin
// what no path may hold.
func standsForItself(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("-._~!$&'()*+,=:@", c) >= 0
}

// CanonicalPath is the one spelling, in which literals are written, of a path that
// CheckPath accepts: nothing is encoded that stands for itself, and digits are upper-case.
// Servers differ in which spellings are the same to them, so a path that another spelling
// leads elsewhere has no safe reading.
func CanonicalPath(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c, ok := octet(path[i:])
		switch {
		case path[i] != '%' || !ok:
			b.WriteByte(path[i])
			continue
		case standsForItself(c):
			b.WriteByte(c)
		default:
			b.WriteString(strings.ToUpper(path[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

// checkLiteral reports what keeps a segment of a configuration from being a literal,
// beyond what no path may hold: a literal is compared byte by byte, so it is written in
// the one form in which requests carry it.
func checkLiteral(part string) error {
	if err := checkSegment(part); err != nil {
		return err
	}
	for i := range len(part) {
		switch c := part[i]; {
		case c == '*':
			return fmt.Errorf(`segment %q: "*" stands only in a last "/**"`, part)
		case strings.IndexByte("?[]", c) >= 0:
			return fmt.Errorf("segment %q: %q cannot stand in a path", part, c)
		case c != '%':
			continue
		}
		switch escape := part[i : i+3]; {
		case escape != strings.ToUpper(escape):
			return fmt.Errorf("%q is no percent-encoding with upper-case digits", escape)
		case escape == "%25" || escape == "%3B":
			return fmt.Errorf("%q is never accepted in a path", escape)
		case CanonicalPath(escape) != escape:
			return fmt.Errorf("%q is the encoding of %q, which is written as itself", escape, CanonicalPath(escape))
		}
	}
	return nil
}

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
