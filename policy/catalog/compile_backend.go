package catalog

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const defaultBackendTimeout = 15 * time.Second

// backend compiles where requests go. The path of its URL replaces the base path.
func (c *compiler) backend(path string, p *durwardv1.Backend) Backend {
	b := Backend{
		TLS:         c.backendTLS(path+".tls", p.GetTls()),
		Timeout:     p.GetTimeout().AsDuration(),
		IdleTimeout: p.GetIdleTimeout().AsDuration(),
		Protocol:    c.protocol(path+".protocol", p.GetProtocol()),
	}
	b.Retries = c.attempts(path+".retries", p, b.Protocol)
	if p.GetTimeout() == nil && b.Protocol != GRPC {
		b.Timeout = defaultBackendTimeout
	}
	u, err := parseOrigin(p.GetUrl())
	if err == nil && u.Path != "" {
		err = checkBasePath(u.EscapedPath())
	}
	if err != nil {
		c.find(badBackend, path+".url", "backend URL: %s", err)
		return b
	}
	b.URL = u
	c.destination(path+".url", u)
	if p.GetTls() != nil && u.Scheme != "https" {
		c.find(uselessTLS, path+".tls", "backend %q is not asked over TLS", p.GetUrl())
	}
	return b
}

// destination refuses backends that no API is served from: the gateway itself, which
// would ask itself without end, and the addresses where clouds hand out credentials.
// Names are not resolved; only those that always mean such an address are known.
func (c *compiler) destination(path string, u *url.URL) {
	host, _ := CanonicalHost(u.Host) // parseOrigin has judged it
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	address = address.Unmap()
	switch {
	case err != nil && endsInNumber(host):
		c.find(badBackend, path, "backend URL: %s is read as an address by some, and as a name by others", host)
		return
	case address.IsLinkLocalUnicast() || slices.Contains(metadataAddresses, address):
		c.find(metadataBackend, path, "backend %s is a link-local or metadata address", host)
		return
	case slices.Contains(metadataNames, host):
		c.find(metadataBackend, path, "backend %s is the metadata service of a cloud", host)
		return
	}
	if g := c.listening[endpointOf(host, PortOf(u))]; g != nil {
		c.find(gatewayBackend, path, "backend %s is gateway %q itself%s", u.Host, g.Name, in(g.At))
	}
}

// Addresses off the link-local ranges at which clouds serve instance metadata, and
// the names that resolve to such addresses.
var (
	metadataAddresses = []netip.Addr{
		netip.MustParseAddr("fd00:ec2::254"),   // AWS
		netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
		netip.MustParseAddr("168.63.129.16"),   // Azure
		netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud
	}
	metadataNames = []string{
		"instance-data", "instance-data.ec2.internal",
		"metadata", "metadata.goog", "metadata.google.internal",
	}
)

// endsInNumber follows the WHATWG URL standard: a host whose last label is a number is
// an IPv4 address in one of its many spellings, or nothing.
func endsInNumber(host string) bool {
	label := host[strings.LastIndexByte(host, '.')+1:]
	digits, hex := strings.CutPrefix(label, "0x")
	if hex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

// endpoint is where a connection ends. All names of this machine count as one host.
type endpoint struct {
	host string
	port uint16
}

// endpointOf takes a canonical host, with or without the brackets of IPv6. The
// unspecified address connects to loopback.
func endpointOf(host string, port uint16) endpoint {
	host = strings.Trim(host, "[]")
	if address, err := netip.ParseAddr(host); err == nil {
		address = address.Unmap()
		host = address.String()
		if address.IsLoopback() || address.IsUnspecified() {
			host = "localhost"
		}
	}
	return endpoint{host, port}
}

// listensAt notes where requests reach the gateway: by its URL and by its own address.
func (c *compiler) listensAt(g *Gateway) {
	if g.URL != nil {
		host, _ := CanonicalHost(g.URL.Host) // parseOrigin has judged it
		c.listening[endpointOf(host, PortOf(g.URL))] = g
	}
	if listen, err := netip.ParseAddrPort(g.Listen); err == nil {
		c.listening[endpointOf(listen.Addr().String(), listen.Port())] = g
	}
}

// PortOf returns the port that u names, or its scheme's: 443 of https, 80 of all others. It
// is 0 for one that is no port.
func PortOf(u *url.URL) uint16 {
	switch {
	case u.Port() != "":
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil {
			return 0
		}
		return uint16(port)
	case u.Scheme == "https":
		return 443
	default:
		return 80
	}
}

// schemeOf is empty for a URL that could not be read.
func schemeOf(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Scheme
}

// parseOrigin parses an http or https URL that has neither user nor query nor
// fragment. The path is for the caller to judge. Errors do not repeat the text: it may
// hold a password.
func parseOrigin(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, errors.New("it is empty")
	case err != nil:
		return nil, errors.New("it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the scheme is not http or https")
	case u.User != nil:
		return nil, errors.New("it holds a user")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("it holds a query")
	case strings.Contains(text, "#"):
		return nil, errors.New("it holds a fragment")
	}
	if _, err := CanonicalHost(u.Host); err != nil {
		return nil, err
	}
	if !isPortNumber(u.Port()) {
		return nil, fmt.Errorf("port %s is out of range", u.Port())
	}
	if u.String() != text {
		return nil, errors.New("a character in it must be percent-encoded, or its scheme is not in lower case")
	}
	return u, nil
}
