package policy

import (
	"errors"
	"net/url"
	"strings"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// Limits on what is looked at, in bytes.
const (
	maxMethod = 32
	maxPath   = 16 << 10
)

// Request is what is judged. The zero Request is malformed.
type Request struct {
	// API is the name that the gateway's route gives, or contract.NoAPI.
	API string
	// Method, Host and Path are the caller's, as the gateway normalised them; Path
	// still has its query.
	Method, Host, Path string
	// Authorization holds every value of the header, in order.
	Authorization []string
	// Defect says why the transport already found the request unusable; empty if it
	// did not.
	Defect string
}

// target is a request's usable form.
type target struct{ host, path, query string }

// parse refuses what two readers could read in two ways.
func (r Request) parse() (target, error) {
	if r.Defect != "" {
		return target{}, errors.New(r.Defect)
	}
	if !isMethod(r.Method) {
		return target{}, errors.New("unusable method")
	}
	host, err := catalog.CanonicalHost(r.Host)
	if err != nil {
		return target{}, err
	}
	path, query, _ := strings.Cut(r.Path, "?")
	if err := checkPath(path); err != nil {
		return target{}, err
	}
	return target{host, path, query}, nil
}

func isMethod(m string) bool {
	if m == "" || len(m) > maxMethod {
		return false
	}
	for i := range len(m) {
		if (m[i] < 'A' || m[i] > 'Z') && m[i] != '-' && m[i] != '_' {
			return false
		}
	}
	return true
}

// checkPath accepts an absolute path that every reader splits into the same segments:
// no dot or empty segments but a last one, no path parameters, no encoded octet that
// some reader decodes into structure. Envoy repairs or refuses most of these before it
// asks; another proxy may not.
func checkPath(path string) error {
	switch {
	case len(path) > maxPath:
		return errors.New("path too long")
	case !strings.HasPrefix(path, "/"):
		return errors.New("path is not absolute")
	case strings.Contains(path, "//"):
		return errors.New("path has an empty segment")
	}
	for i := range len(path) {
		switch c := path[i]; {
		case c <= ' ', c >= 0x7f, strings.IndexByte(`\#;"<>^{|}`+"`", c) >= 0:
			return errors.New("path has a character that must be encoded or is ambiguous")
		case c == '%':
			if err := checkEscape(path[i:]); err != nil {
				return err
			}
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return errors.New("path has a dot segment")
		}
	}
	return nil
}

// checkEscape looks at the percent-encoded octet that s begins with.
func checkEscape(s string) error {
	c, ok := octet(s)
	switch {
	case !ok:
		return errors.New("path has a broken percent-encoding")
	case c < ' ', c == 0x7f, c == '/', c == '\\':
		return errors.New("path encodes a separator or control character")
	case isUnreserved(c):
		return errors.New("path encodes a character that needs no encoding")
	}
	if c == '%' {
		if _, again := octet("%" + s[3:]); again {
			return errors.New("path is encoded twice")
		}
	}
	return nil
}

func octet(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	high, low := unhex(s[1]), unhex(s[2])
	return byte(high<<4 | low), high >= 0 && low >= 0
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// isUnreserved follows RFC 3986 section 2.3.
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// carriesToken reports whether a query has the access_token parameter of RFC 6750
// section 2.3, which we never accept.
func carriesToken(query string) bool {
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err == nil && name == "access_token" {
			return true
		}
	}
	return false
}

// hasAPI reports whether the gateway's route names an API at all.
func (r Request) hasAPI() bool { return r.API != "" && r.API != contract.NoAPI }
