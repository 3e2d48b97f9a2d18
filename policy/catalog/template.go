package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds on templates and base paths, so that matching has a bound too.
const (
	maxTemplateBytes    = 2048
	maxTemplateSegments = 64
)

// Template is an operation's path relative to its API's base path: literal segments,
// {name} for exactly one non-empty segment, and a last /** for any number of them,
// none included. The zero Template is "/", exactly the base path.
//
// Literals are compared byte by byte with the path on the wire, so they are written
// as they appear there: case counts, unreserved characters are not percent-encoded
// (RFC 3986 section 2.3), and what is encoded has upper-case digits. Characters that
// proxies and servers read differently ("\", ";", encoded slashes and the like)
// cannot be written at all.
//
// With the base path /api:
//
//	template      matches                                 does not match
//	/             /api                                    /api/ /api/7 /apis /
//	/search       /api/search                             /api/Search /api/search/ /api/search/x /search
//	/search/      /api/search/                            /api/search /api/search/x /api/search//
//	/{id}         /api/7 /api/search                      /api /api/ /api/7/ /api/7/items
//	/{id}/items   /api/7/items                            /api//items /api/7/items/ /api/7/Items
//	/{id}/        /api/7/                                 /api/7 /api// /api/7/items
//	/**           /api /api/ /api/7 /api/7/x/             /apis /API/7 /
//	/files/**     /api/files /api/files/ /api/files/a/b   /api/file /api/filesystem /api
//	/{id}/**      /api/7 /api/7/ /api/7/a/b               /api /api/ /api//a
//	/a%20b        /api/a%20b                              /api/a+b /api/a
type Template struct {
	text     string
	segments []segment
}

// segment is one step of a template. The order of kinds is the order of preference.
type segment struct {
	kind    segmentKind
	literal string
	// name is what stands between the braces of a nameSegment.
	name string
}

type segmentKind int

const (
	literalSegment segmentKind = iota
	nameSegment
	// endOfPath never stands in a Template: it ranks a template that ends above one
	// that goes on with /**.
	endOfPath
	restSegment
)

// ParseTemplate parses the text of a template. The error says which segment is wrong
// and why.
func ParseTemplate(text string) (Template, error) {
	if !strings.HasPrefix(text, "/") {
		return Template{}, errors.New(`the path does not begin with "/"`)
	}
	if len(text) > maxTemplateBytes {
		return Template{}, fmt.Errorf("the path is longer than %d bytes", maxTemplateBytes)
	}
	t := Template{text: text}
	if text == "/" {
		return t, nil
	}
	parts := strings.Split(text[1:], "/")
	if len(parts) > maxTemplateSegments {
		return Template{}, fmt.Errorf("the path has more than %d segments", maxTemplateSegments)
	}
	names := make(map[string]bool)
	for i, part := range parts {
		last := i == len(parts)-1
		s, err := parseSegment(part, last)
		if err != nil {
			return Template{}, err
		}
		if s.kind == nameSegment {
			if names[part] {
				return Template{}, fmt.Errorf("%s stands in the path twice", part)
			}
			names[part] = true
		}
		t.segments = append(t.segments, s)
	}
	return t, nil
}

func parseSegment(part string, last bool) (segment, error) {
	switch {
	case part == "**" && last:
		return segment{kind: restSegment}, nil
	case part == "**":
		return segment{}, errors.New(`"**" is not the last segment`)
	case part == "" && last:
		return segment{}, nil
	case part == "":
		return segment{}, errors.New(`"//": a segment is empty`)
	case strings.ContainsAny(part, "{}"):
		if err := checkParameter(part); err != nil {
			return segment{}, err
		}
		return segment{kind: nameSegment, name: strings.Trim(part, "{}")}, nil
	}
	if err := checkLiteral(part); err != nil {
		return segment{}, err
	}
	return segment{literal: part}, nil
}

// checkParameter reports what is wrong with a segment that holds a brace.
func checkParameter(part string) error {
	name, opened := strings.CutPrefix(part, "{")
	name, closed := strings.CutSuffix(name, "}")
	if !opened || !closed || strings.ContainsAny(name, "{}") {
		return fmt.Errorf("segment %q: braces hold a whole segment, as in /{id}", part)
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isNameRune(r) }) {
		return fmt.Errorf("segment %q: a name has letters, digits, _ and - only", part)
	}
	return nil
}

func isNameRune(r rune) bool {
	return r < 0x80 && (isAlphanumeric(byte(r)) || r == '_' || r == '-')
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// String returns the text the template was parsed from.
func (t Template) String() string {
	if t.text == "" {
		return "/"
	}
	return t.text
}

// matches reports whether rest, what follows the base path, has the template's shape.
// rest is empty or begins with "/".
func (t Template) matches(rest string) bool {
	for _, s := range t.segments {
		if s.kind == restSegment {
			return true
		}
		if rest == "" {
			return false
		}
		end := strings.IndexByte(rest[1:], '/') + 1
		if end == 0 {
			end = len(rest)
		}
		part := rest[1:end]
		if s.kind == literalSegment && part != s.literal || s.kind == nameSegment && part == "" {
			return false
		}
		rest = rest[end:]
	}
	return rest == ""
}

// isLiteral reports whether the template matches one path only.
func (t Template) isLiteral() bool {
	return !slices.ContainsFunc(t.segments, func(s segment) bool { return s.kind != literalSegment })
}

// compareTemplates orders by preference: of two templates that match one path, the
// smaller one wins. It returns 0 where they match exactly the same paths.
func compareTemplates(a, b Template) int {
	for i := range max(len(a.segments), len(b.segments)) {
		x, y := a.at(i), b.at(i)
		if c := cmp.Or(cmp.Compare(x.kind, y.kind), cmp.Compare(x.literal, y.literal)); c != 0 {
			return c
		}
	}
	return 0
}

func (t Template) at(i int) segment {
	if i < len(t.segments) {
		return t.segments[i]
	}
	return segment{kind: endOfPath}
}
