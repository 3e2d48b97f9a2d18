package dpop

import (
	"errors"
	"net/netip"
	"strings"
)

// normalize returns the one form of an http or https URL that others of the same resource
// have too, by RFC 3986 sections 6.2.2 and 6.2.3, without query and fragment (RFC 9449
// section 4.3, step 9). It refuses user information, since nobody can see it in a request,
// and bytes that no URL has.
func normalize(text string) (string, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "http" && scheme != "https" {
		return "", errors.New("not an absolute http or https URL")
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	authority, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	host, err := normalHost(scheme, authority)
	if err != nil {
		return "", err
	}
	if path, err = normalPath(path); err != nil {
		return "", err
	}
	return scheme + "://" + host + path, nil
}

func normalHost(scheme, authority string) (string, error) {
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
	}
	host, ok := normalName(host)
	if !ok || strings.Trim(port, "0123456789") != "" {
		return "", errors.New("unusable host")
	}
	if port == "" || scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return host, nil
	}
	return host + ":" + port, nil
}

// normalName is a name in lower case, or an IPv6 address in brackets in the form of RFC
// 5952.
func normalName(host string) (string, bool) {
	if address, ok := strings.CutPrefix(host, "["); ok {
		address, closed := strings.CutSuffix(address, "]")
		a, err := netip.ParseAddr(address)
		return "[" + a.String() + "]", closed && err == nil && a.Is6() && a.Zone() == ""
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool { return r > '~' || !isUnreserved(byte(r)) }) {
			return "", false
		}
	}
	return strings.ToLower(host), true
}

// normalPath decodes what needs no percent-encoding, then removes dot segments. It neither
// merges slashes nor decodes %2F: those are other paths.
func normalPath(path string) (string, error) {
	decoded := make([]byte, 0, len(path)+1)
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '%':
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return "", errors.New("unusable percent-encoding")
			}
			if v := unhex(path[i+1])<<4 | unhex(path[i+2]); isUnreserved(v) {
				decoded = append(decoded, v)
			} else {
				decoded = append(decoded, strings.ToUpper(path[i:i+3])...)
			}
			i += 2
		case isUnreserved(c) || strings.IndexByte("/!$&'()*+,;=:@", c) >= 0:
			decoded = append(decoded, c)
		default:
			return "", errors.New("unusable path")
		}
	}
	return withoutDots(string(decoded)), nil
}

// withoutDots is remove_dot_segments of RFC 3986 section 5.2.4.
func withoutDots(path string) string {
	if path == "" {
		return "/"
	}
	if !strings.Contains(path, "/.") {
		return path
	}
	segments := strings.Split(path[1:], "/")
	kept := make([]string, 0, len(segments))
	for i, s := range segments {
		if s == ".." && len(kept) > 0 {
			kept = kept[:len(kept)-1]
		}
		if s != "." && s != ".." {
			kept = append(kept, s)
		} else if i == len(segments)-1 {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

// isUnreserved is the set of RFC 3986 section 2.3.
func isUnreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
