package envoy

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// parseAddress reads host:port, with an empty host for all IPv4 addresses, or
// unix:/path.
func parseAddress(s string) (*corev3.Address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return nil, fmt.Errorf("address %q: the socket's path is not absolute", s)
		}
		return pipe(path), nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", s, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("address %q: the port is not a number up to 65535", s)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	return socket(host, uint32(n)), nil
}

// listenAddress is where Envoy binds: an IP address, of which port 0 is any free one.
func listenAddress(s string) (*corev3.Address, error) {
	a, err := parseAddress(s)
	if err != nil {
		return nil, err
	}
	if isName(a) {
		return nil, fmt.Errorf("address %q: Envoy listens on IP addresses, not on names", s)
	}
	return a, nil
}

// dialAddress is where Envoy finds what listens on s: an unspecified address is
// reached over loopback.
func dialAddress(s string) (*corev3.Address, error) {
	a, err := parseAddress(s)
	if err != nil {
		return nil, err
	}
	sock := a.GetSocketAddress()
	if sock == nil {
		return a, nil
	}
	if sock.GetPortValue() == 0 {
		return nil, fmt.Errorf("address %q: Envoy cannot dial port 0", s)
	}
	if ip, err := netip.ParseAddr(sock.GetAddress()); err == nil && ip.IsUnspecified() {
		if ip.Is4() {
			return socket("127.0.0.1", sock.GetPortValue()), nil
		}
		return socket("::1", sock.GetPortValue()), nil
	}
	return a, nil
}

// adminAddress refuses what other machines can reach: the admin port has no
// authentication.
func adminAddress(s string) (*corev3.Address, error) {
	a, err := listenAddress(s)
	if err != nil {
		return nil, err
	}
	if sock := a.GetSocketAddress(); sock != nil {
		if ip, err := netip.ParseAddr(sock.GetAddress()); err != nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("admin address %q: it must be loopback or a unix socket", s)
		}
	}
	return a, nil
}

// isName reports whether the address must be resolved before it can be used.
func isName(a *corev3.Address) bool {
	sock := a.GetSocketAddress()
	if sock == nil {
		return false
	}
	_, err := netip.ParseAddr(sock.GetAddress())
	return err != nil
}

func socket(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

func pipe(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
}
