package catalog

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

const maxHostBytes = 253

// CanonicalHost brings a host, with or without a port, into the one form in which
// hosts are compared: lower case, without the port and without one trailing dot.
// Catalogue and requests both go through it. It refuses whatever could be read as another
// host or as several: user information, commas, blanks, control and non-ASCII characters,
// an empty label, a port that is not a number, an IPv6 address that is written in another
// form than that of RFC 5952, which Envoy would not find. It does not resolve names or
// decode IDNs.
func CanonicalHost(host string) (string, error) {
	if strings.HasPrefix(host, "[") {
		return canonicalIPv6(host)
	}
	name, port, found := strings.Cut(host, ":")
	if found && !isPort(port) {
		return "", errors.New("the port is not a number")
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return "", errors.New("the host is empty")
	}
	if len(name) > maxHostBytes {
		return "", fmt.Errorf("the host is longer than %d bytes", maxHostBytes)
	}
	label := 0
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '.' {
			if label == 0 {
				return "", errors.New("a label of the host is empty")
			}
			label = 0
			continue
		}
		if c >= 0x80 {
			return "", errors.New("a non-ASCII character cannot stand in a host")
		}
		if !isAlphanumeric(c) && c != '-' && c != '_' {
			return "", fmt.Errorf("%q cannot stand in a host", c)
		}
		if label++; label > 63 {
			return "", errors.New("a label of the host is longer than 63 bytes")
		}
	}
	if label == 0 {
		return "", errors.New("the last label of the host is empty")
	}
	// Lowering comes after the check: some non-ASCII letters lower to ASCII ones.
	return strings.ToLower(name), nil
}

func canonicalIPv6(host string) (string, error) {
	text, port, ok := strings.Cut(host[1:], "]")
	if !ok {
		return "", errors.New(`"]" is missing`)
	}
	if port != "" && (port[0] != ':' || !isPort(port[1:])) {
		return "", errors.New("the port is not a number")
	}
	address, err := netip.ParseAddr(text)
	if err != nil || !address.Is6() || address.Zone() != "" {
		return "", errors.New("no IPv6 address stands between the brackets")
	}
	if canonical := address.String(); strings.ToLower(text) != canonical {
		return "", fmt.Errorf("the IPv6 address is not written as [%s]", canonical)
	}
	return "[" + strings.ToLower(text) + "]", nil
}

func isPort(port string) bool {
	if port == "" || len(port) > 5 {
		return false
	}
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	return true
}

// ServesHost reports whether the API answers for host, which CanonicalHost returned.
// "*.example.com" stands for one or more labels before .example.com, as in Envoy's
// virtual hosts, and not for example.com itself.
func (a *API) ServesHost(host string) bool { return HostRank(a.Hosts, host) > 0 }

// exactHost ranks above every wildcard, none of which is that long.
const exactHost = 1 << 10

// HostRank says how specifically one of the patterns, hosts of an API, names host: 0 if none
// does, most for an exact host, and for wildcards the more the longer they are. host is what
// CanonicalHost returned, or a pattern, which the patterns cover that match all of its hosts.
func HostRank(patterns []string, host string) int {
	rank := 0
	for _, p := range patterns {
		suffix, wildcard := strings.CutPrefix(p, "*")
		switch {
		case p == host:
			return exactHost
		case wildcard && len(host) > len(suffix) && strings.HasSuffix(host, suffix):
			rank = max(rank, len(p))
		}
	}
	return rank
}
