package catalog

import (
	"path/filepath"
	"strings"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const maxTrustedHops = 10

// gatewayTLS compiles how a gateway proves to callers who it is: by two files, or by what
// an SDS server gives to Envoy. It is nil where Envoy speaks plaintext.
func (c *compiler) gatewayTLS(path string, g *durwardv1.Gateway, scheme string) *GatewayTLS {
	p := g.GetTls()
	if p == nil {
		return nil
	}
	t := &GatewayTLS{
		CertFile: p.GetCertFile(), KeyFile: p.GetKeyFile(),
		SDSAddress: p.GetSds().GetAddress(), SDSSecret: p.GetSds().GetName(),
		MinVersion: "1.2",
	}
	if c.written(path+".min_version", p.GetMinVersion() != "") {
		c.oneOf(path+".min_version", p.GetMinVersion(), "1.2", "1.3")
		t.MinVersion = p.GetMinVersion()
	}
	if scheme == "http" {
		c.find(gatewayScheme, strings.TrimSuffix(path, ".tls")+".url", "gateway %q speaks TLS, and its URL is %s", g.GetName(), g.GetUrl())
	}
	switch {
	case p.GetSds() != nil && t.CertFile+t.KeyFile != "":
		c.find(badGatewayTLS, path+".sds", "gateway %q has both sds and files", g.GetName()).Fix = "keep one of the two"
	case p.GetSds() != nil:
		c.sds(path+".sds", t)
	default:
		c.gatewayFiles(path, t)
	}
	return t
}

// gatewayFiles holds that Envoy finds both files, and sees both change at once.
func (c *compiler) gatewayFiles(path string, t *GatewayTLS) {
	whole := true
	for _, file := range []struct{ key, name string }{{"cert_file", t.CertFile}, {"key_file", t.KeyFile}} {
		switch {
		case file.name == "":
			c.find(badGatewayTLS, path+"."+file.key, "tls has no %s", file.key).Fix = "write cert_file and key_file, or sds"
		case !filepath.IsAbs(file.name):
			f := c.find(badGatewayTLS, path+"."+file.key, "%s %q is relative, and Envoy's working directory is not known", file.key, file.name)
			f.Fix = "write the absolute path where Envoy runs"
		default:
			continue
		}
		whole = false
	}
	if whole && filepath.Dir(t.CertFile) != filepath.Dir(t.KeyFile) {
		f := c.find(badGatewayTLS, path+".key_file", "cert_file and key_file are in two directories, and Envoy watches one")
		f.Fix = "put both into one directory"
	}
}

// sds refuses servers that other machines are: the private key comes in plaintext.
func (c *compiler) sds(path string, t *GatewayTLS) {
	if err := checkAddress(t.SDSAddress, false); err != nil {
		c.find(badGatewayTLS, path+".address", "address %q: %s", t.SDSAddress, err).Fix = "write unix:/path, or a loopback address with port"
	} else if !isLocalAddress(t.SDSAddress) {
		f := c.find(badGatewayTLS, path+".address", "address %q is off loopback, and the private key comes from there in plaintext", t.SDSAddress)
		f.Fix = "ask an SDS server on Envoy's machine, such as its SPIRE agent"
	}
	if t.SDSSecret == "" {
		c.find(badGatewayTLS, path+".name", "sds names no certificate").Fix = "write the name that the SDS server has for the certificate"
	}
}

// trustedHops bounds how much of x-forwarded-for is believed.
func (c *compiler) trustedHops(path string, n uint32) int {
	if n > maxTrustedHops {
		c.find(brokenRule, path, "trusted_hops %d is more than %d", n, maxTrustedHops)
	}
	return int(n)
}
