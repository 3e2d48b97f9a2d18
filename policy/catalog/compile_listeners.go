package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// Where Durward listens unless told otherwise.
const (
	defaultCheckAddress = "127.0.0.1:9001"
	defaultXDSAddress   = "127.0.0.1:18000"
	defaultOpsAddress   = "127.0.0.1:8081"
	// DefaultAdminAddress is also where durward status looks where the configuration
	// cannot be read.
	DefaultAdminAddress = "127.0.0.1:9902"
)

// listeners compiles listeners. The operations port may bind anywhere: it shows no
// person and no token.
func (c *compiler) listeners() {
	l := c.cfg.GetListeners()
	c.cat.Listeners = Listeners{
		Check: c.listener("listeners.check", l.GetCheck(), defaultCheckAddress),
		XDS:   c.listener("listeners.xds", l.GetXds(), defaultXDSAddress),
		Ops:   cmp.Or(l.GetOps().GetAddress(), defaultOpsAddress),
		Admin: c.admin(l.GetAdmin().GetAddress()),
	}
	c.cat.Listeners.Check.ForeignEnvoy = l.GetCheck().GetForeignEnvoy()
	if c.written("listeners.xds.foreign_envoy", l.GetXds().GetForeignEnvoy()) {
		c.find(foreignEnvoy, "listeners.xds.foreign_envoy", "foreign_envoy at xds, where Envoys are given our configuration")
	}
	if err := checkTCPAddress(c.cat.Listeners.Ops, true); err != nil {
		f := c.find(badListener, "listeners.ops.address", "address %q: %s", c.cat.Listeners.Ops, err)
		f.Fix = "write host:port"
	}
	c.clashes([]string{"check", "xds", "ops", "admin"},
		[]string{c.cat.Listeners.Check.Address, c.cat.Listeners.XDS.Address, c.cat.Listeners.Ops, c.cat.Listeners.Admin})
}

// admin refuses what other machines can reach: the port asks nobody who they are.
func (c *compiler) admin(written string) string {
	const path = "listeners.admin.address"
	address := cmp.Or(written, DefaultAdminAddress)
	if err := checkAddress(address, true); err != nil {
		c.find(badListener, path, "address %q: %s", address, err)
	} else if !isLocalAddress(address) {
		c.find(exposedListener, path, "address %q is off loopback, and the admin port asks nobody who they are", address).Fix = "bind a loopback address or a unix socket"
	}
	return address
}

func (c *compiler) listener(path string, p *durwardv1.Listener, address string) Listener {
	l := Listener{
		Address:   cmp.Or(p.GetAddress(), address),
		Advertise: p.GetAdvertise(),
		Insecure:  p.GetInsecure(),
	}
	l.TLS = c.listenerTLS(path, l.Address, p)
	l.Mode = c.socketMode(path+".mode", l.Address, p.GetMode())
	if err := checkAddress(l.Address, true); err != nil {
		c.find(badListener, path+".address", "address %q: %s", l.Address, err)
	} else if !isLocalAddress(l.Address) {
		c.exposed(path, l)
	}
	for i, a := range l.Advertise {
		if err := checkAddress(a, false); err != nil {
			c.find(badListener, fmt.Sprintf("%s.advertise[%d]", path, i), "address %q: %s", a, err)
		}
	}
	return l
}

// exposed holds that a port off loopback knows who calls, or is open by request.
func (c *compiler) exposed(path string, l Listener) {
	switch {
	case l.Insecure:
	case l.TLS == nil:
		c.find(exposedListener, path+".address", "address %q is plaintext off loopback", l.Address)
	case l.TLS.ClientCAFile == "":
		f := c.find(exposedListener, path+".tls", "address %q is off loopback and asks nobody for a certificate", l.Address)
		f.Fix = "write client_ca_file and allowed_sans, or bind a loopback address"
	}
}

func (c *compiler) listenerTLS(path, address string, p *durwardv1.Listener) *ListenerTLS {
	written := p.GetTls()
	if written == nil {
		return nil
	}
	t := &ListenerTLS{
		CertFile:     written.GetCertFile(),
		KeyFile:      written.GetKeyFile(),
		ClientCAFile: written.GetClientCaFile(),
		AllowedSANs:  written.GetAllowedSans(),
		At:           c.at(path + ".tls"),
	}
	if p.GetInsecure() {
		c.find(badListenerTLS, path+".insecure", "insecure: true asks for plaintext beside tls").Fix = "remove one of the two"
	}
	if strings.HasPrefix(address, "unix:") {
		c.find(badListenerTLS, path+".tls", "tls on a unix socket, which its mode protects").Fix = "remove tls; mode says who may connect"
		return t
	}
	if t.CertFile == "" {
		c.find(badListenerTLS, path+".tls.cert_file", "tls has no cert_file").Fix = "write cert_file"
	}
	if t.KeyFile == "" {
		c.find(badListenerTLS, path+".tls.key_file", "tls has no key_file").Fix = "write key_file"
	}
	c.allowedSANs(path+".tls.allowed_sans", t)
	t.Envoy = c.envoyTLS(path+".tls.envoy", t.ClientCAFile != "", written.GetEnvoy())
	return t
}

// envoyTLS compiles how Envoy knows us, and we it if asked.
func (c *compiler) envoyTLS(path string, asked bool, p *durwardv1.EnvoyTLS) EnvoyTLS {
	e := EnvoyTLS{CertFile: p.GetCertFile(), KeyFile: p.GetKeyFile(), CAFile: p.GetCaFile(), ServerName: p.GetServerName(), SecretsDir: p.GetSecretsDir()}
	if p == nil {
		f := c.find(badListenerTLS, path, "tls does not say how Envoy connects")
		f.Fix = "write envoy with ca_file and server_name, and with cert_file and key_file beside client_ca_file"
		return e
	}
	for _, file := range []struct {
		key, name      string
		needed, useful bool
	}{
		{"cert_file", e.CertFile, asked, asked}, {"key_file", e.KeyFile, asked, asked}, {"ca_file", e.CAFile, true, true}, {"secrets_dir", e.SecretsDir, false, true},
	} {
		at := path + "." + file.key
		switch {
		case file.name == "" && file.needed:
			c.find(badListenerTLS, at, "envoy has no %s", file.key).Fix = "write " + file.key
		case file.name != "" && !file.useful:
			c.find(badListenerTLS, at, "%s without client_ca_file: Envoy is asked for no certificate", file.key).Fix = "write client_ca_file, or remove the key"
		case file.name != "" && !filepath.IsAbs(file.name):
			c.find(badListenerTLS, at, "%s %q is relative, and Envoy's working directory is not known", file.key, file.name).Fix = "write the absolute path where Envoy runs"
		}
	}
	c.serverName(path+".server_name", e.ServerName)
	return e
}

// serverName judges the name that Envoy expects in our certificate: one that a
// certificate can hold.
func (c *compiler) serverName(path, name string) {
	if _, err := netip.ParseAddr(name); err == nil {
		return
	}
	host, err := CanonicalHost(name)
	switch {
	case name == "":
		c.find(badListenerTLS, path, "envoy has no server_name").Fix = "write a name that our certificate is for"
	case err != nil || host[0] == '[':
		if err == nil {
			err = errors.New("brackets belong to URLs")
		}
		c.find(badListenerTLS, path, "server_name: %s", err).Fix = "write a DNS name or an IP address that our certificate is for"
	case host != name:
		c.find(badListenerTLS, path, "server_name %q is not in canonical form", name).Fix = fmt.Sprintf("write server_name: %s", host)
	}
}

// allowedSANs judges which client certificates are accepted: an authority signs for
// others than Envoy too.
func (c *compiler) allowedSANs(path string, t *ListenerTLS) {
	switch written := c.written(path, len(t.AllowedSANs) > 0); {
	case t.ClientCAFile != "" && len(t.AllowedSANs) == 0:
		f := c.find(badListenerTLS, path, "without allowed_sans every certificate of client_ca_file could call")
		f.Fix = "write allowed_sans: [...] with the names in Envoy's certificates"
	case t.ClientCAFile == "" && written:
		f := c.find(badListenerTLS, path, "allowed_sans without client_ca_file: no certificate is asked for")
		f.Fix = "write client_ca_file, or remove allowed_sans"
	}
	for i, name := range t.AllowedSANs {
		if name == "" {
			c.find(badListenerTLS, fmt.Sprintf("%s[%d]", path, i), "the name is empty").Fix = "remove it"
		}
	}
}

// socketMode compiles who may connect to a unix socket. Other addresses have no mode.
func (c *compiler) socketMode(path, address, written string) fs.FileMode {
	const owner fs.FileMode = 0o600
	isWritten := c.written(path, written != "")
	if !strings.HasPrefix(address, "unix:") {
		if isWritten {
			f := c.find(badSocketMode, path, "address %q is no unix socket and has no mode", address)
			f.Fix = "remove mode"
		}
		return 0
	}
	if !isWritten {
		return owner
	}
	bits, err := strconv.ParseUint(written, 8, 9)
	mode := fs.FileMode(bits)
	if err != nil || len(written) != 4 || mode&owner != owner {
		c.find(badSocketMode, path, "mode %q is not four octal digits with which the owner may read and write", written)
	}
	return mode
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
		gateway := &Gateway{Name: g.GetName(), Listen: g.GetListen(), AllowedSANs: g.GetAllowedSans(), At: c.at(path)}
		c.gatewaySANs(path+".allowed_sans", gateway)
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
		gateway.TLS = c.gatewayTLS(path+".tls", g, schemeOf(u))
		gateway.TrustedHops = c.trustedHops(path+".trusted_hops", g.GetTrustedHops())
		c.listensAt(gateway)
		if c.declare(path, "gateway", nil, gateway.Name) {
			c.cat.Gateways = append(c.cat.Gateways, gateway)
		}
	}
}

// gatewaySANs judges whose Envoys a gateway is for. Names that the xDS port turns away
// would let nobody in, and without certificates none would be looked at.
func (c *compiler) gatewaySANs(path string, g *Gateway) {
	if !c.written(path, len(g.AllowedSANs) > 0) {
		return
	}
	xds := c.cat.Listeners.XDS.TLS
	if xds == nil || xds.ClientCAFile == "" {
		f := c.find(badListenerTLS, path, "gateway %q has allowed_sans, and listeners.xds asks for no certificate", g.Name)
		f.Fix = "write tls with client_ca_file and allowed_sans at listeners.xds, or remove allowed_sans here"
		return
	}
	if len(g.AllowedSANs) == 0 {
		f := c.find(badListenerTLS, path, "gateway %q allows no Envoy", g.Name)
		f.Fix = "write a name of its Envoys' certificates, or remove allowed_sans"
	}
	for i, name := range g.AllowedSANs {
		if !slices.Contains(xds.AllowedSANs, name) {
			f := c.find(badListenerTLS, fmt.Sprintf("%s[%d]", path, i), "gateway %q allows %q, which listeners.xds does not let in", g.Name, name)
			f.Fix = "write the name in listeners.xds.tls.allowed_sans too, or remove it here"
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
