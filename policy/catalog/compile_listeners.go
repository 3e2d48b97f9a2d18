package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// Where Durward listens unless told otherwise.
const (
	defaultCheckAddress = "127.0.0.1:9001"
	defaultXDSAddress   = "127.0.0.1:18000"
	defaultOpsAddress   = "127.0.0.1:8081"
)

// listeners compiles listeners. The operations port may bind anywhere: it shows no
// person and no token.
func (c *compiler) listeners() {
	l := c.cfg.GetListeners()
	c.cat.Listeners = Listeners{
		Check: c.listener("listeners.check", l.GetCheck(), defaultCheckAddress),
		XDS:   c.listener("listeners.xds", l.GetXds(), defaultXDSAddress),
		Ops:   cmp.Or(l.GetOps().GetAddress(), defaultOpsAddress),
	}
	if err := checkTCPAddress(c.cat.Listeners.Ops, true); err != nil {
		f := c.find(badListener, "listeners.ops.address", "address %q: %s", c.cat.Listeners.Ops, err)
		f.Fix = "write host:port"
	}
	c.clashes([]string{"check", "xds", "ops"},
		[]string{c.cat.Listeners.Check.Address, c.cat.Listeners.XDS.Address, c.cat.Listeners.Ops})
}

func (c *compiler) listener(path string, p *durwardv1.Listener, address string) Listener {
	l := Listener{
		Address:   cmp.Or(p.GetAddress(), address),
		Advertise: p.GetAdvertise(),
		Insecure:  p.GetInsecure(),
	}
	if err := checkAddress(l.Address, true); err != nil {
		c.find(badListener, path+".address", "address %q: %s", l.Address, err)
	} else if !l.Insecure && !isLocalAddress(l.Address) {
		c.find(exposedListener, path+".address", "address %q is plaintext off loopback", l.Address)
	}
	for i, a := range l.Advertise {
		if err := checkAddress(a, false); err != nil {
			c.find(badListener, fmt.Sprintf("%s.advertise[%d]", path, i), "address %q: %s", a, err)
		}
	}
	return l
}

func (c *compiler) clashes(names, addresses []string) {
	for i := range addresses {
		for j := range i {
			if addresses[i] == addresses[j] && !strings.HasSuffix(addresses[i], ":0") {
				c.find(listenerClash, "listeners."+names[i]+".address",
					"%s and %s both listen on %q", names[j], names[i], addresses[i])
			}
		}
	}
}

// gateways compiles gateways. Without one there would be nobody to tell of the APIs.
func (c *compiler) gateways() {
	if len(c.cfg.GetGateways()) == 0 {
		c.find(noGateway, "gateways", "no gateway is declared")
	}
	for i, g := range c.cfg.GetGateways() {
		path := fmt.Sprintf("gateways[%d]", i)
		gateway := &Gateway{Name: g.GetName(), Listen: g.GetListen(), At: c.at(path)}
		if _, err := netip.ParseAddrPort(gateway.Listen); err != nil {
			c.find(badListen, path+".listen", "listen %q is no IP address with a port", gateway.Listen)
		}
		u, err := parseOrigin(g.GetUrl())
		if err == nil && u.Path != "" && u.Path != "/" {
			err = errors.New("it holds a path")
		}
		if err != nil {
			c.find(badGatewayURL, path+".url", "gateway URL: %s", err)
		}
		gateway.URL = u
		c.listensAt(gateway)
		if c.declare(path, "gateway", nil, gateway.Name) {
			c.cat.Gateways = append(c.cat.Gateways, gateway)
		}
	}
}

// checkAddress judges unix:/path or host:port.
func checkAddress(address string, bind bool) error {
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return checkTCPAddress(address, bind)
	}
	// The limit is the kernel's sun_path on Linux, the smaller one of macOS is 104.
	if !filepath.IsAbs(path) || len(path) > 104 {
		return errors.New("a socket's path is absolute and at most 104 bytes long")
	}
	return nil
}

// checkTCPAddress judges host:port. To bind, any port is good and the host is an IP
// address, localhost or nothing; to be dialled, the port is known.
func checkTCPAddress(address string, bind bool) error {
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return errors.New("it is not host:port")
	case !isPort(port) || !isPortNumber(port) && (!bind || port != "0"):
		return fmt.Errorf("port %q is out of range", port)
	case host == "":
		if bind {
			return nil
		}
		return errors.New("the host is empty")
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return nil
	}
	if bind {
		return errors.New("the host is no IP address")
	}
	_, err = CanonicalHost(host)
	return err
}

// isPortNumber reports whether port is 1 to 65535, or not given.
func isPortNumber(port string) bool {
	n, err := strconv.Atoi(port)
	return port == "" || err == nil && n > 0 && n < 1<<16
}

// isLocalAddress reports whether only this machine reaches the address.
func isLocalAddress(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	return err == nil && isLoopback(host)
}
