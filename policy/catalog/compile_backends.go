package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const (
	maxRetries = 5
	maxWeight  = 1000
)

// backends compiles where an API's requests go: to one backend, or to several that share
// them.
func (c *compiler) backends(path string, a *durwardv1.API) []Backend {
	one := c.written(path+".backend", a.GetBackend() != nil)
	many := c.written(path+".backends", len(a.GetBackends()) > 0)
	switch {
	case one && many:
		c.find(backendForm, path+".backends", "API %q has both backend and backends", a.GetName()).Fix = "keep one of the two"
	case !one && !many:
		c.find(backendForm, path, "API %q has no backend", a.GetName()).Fix = "write backend: { url: ... }"
	case many:
		return c.shares(path+".backends", a.GetBackends())
	}
	if !one {
		return nil
	}
	b := c.backend(path+".backend", a.GetBackend())
	b.Weight = 1
	if c.written(path+".backend.weight", a.GetBackend().GetWeight() != 0) {
		c.find(backendForm, path+".backend.weight", "a lone backend has a weight").Fix = "remove weight, or write backends with another one"
	}
	return []Backend{b}
}

// shares compiles backends that share the requests of one API.
func (c *compiler) shares(path string, list []*durwardv1.Backend) []Backend {
	if len(list) < 2 {
		c.find(backendForm, path, "backends holds %d, and it takes two to share", len(list)).Fix = "write it as backend, without a weight"
	}
	places := make(map[endpoint]int)
	backends := make([]Backend, 0, len(list))
	for i, p := range list {
		path := fmt.Sprintf("%s[%d]", path, i)
		b := c.backend(path, p)
		b.Weight = int(p.GetWeight())
		switch {
		case b.Weight == 0:
			c.find(backendForm, path, "backend %q has no weight", p.GetUrl()).Fix = "write weight: 1 to 1000, its share of the sum of all"
		case b.Weight > maxWeight:
			c.find(backendForm, path+".weight", "weight %d is not 1 to %d", b.Weight, maxWeight).Fix = "write a smaller share"
		}
		backends = append(backends, b)
		if b.URL == nil || backends[0].URL == nil {
			continue
		}
		host, _ := CanonicalHost(b.URL.Host) // parseOrigin has judged it
		place := endpointOf(host, PortOf(b.URL))
		if first, twice := places[place]; twice {
			c.find(backendTwice, path+".url", "%s is a backend of this API already%s", b.URL.Host, c.inItem(path, first))
			continue
		}
		places[place] = i
		c.alike(path, backends[0], b)
	}
	return backends
}

// inItem says where an item of the list stands that the item at path is of.
func (c *compiler) inItem(path string, i int) string {
	return in(c.at(fmt.Sprintf("%s[%d]", path[:strings.LastIndexByte(path, '[')], i)))
}

// alike holds that a backend has what Envoy takes from the route, of which there is one
// for all backends, from the first.
func (c *compiler) alike(path string, first, b Backend) {
	calls := (first.Protocol == GRPC) != (b.Protocol == GRPC)
	for _, f := range []struct {
		key, name   string
		want, found any
		differ      bool
	}{
		{"url", "path", pathOf(first.URL), pathOf(b.URL), pathOf(first.URL) != pathOf(b.URL)},
		{"timeout", "timeout", first.Timeout, b.Timeout, first.Timeout != b.Timeout && !calls}, // their defaults differ
		{"idle_timeout", "idle_timeout", first.IdleTimeout, b.IdleTimeout, first.IdleTimeout != b.IdleTimeout},
		{"retries", "retries", first.Retries, b.Retries, first.Retries != b.Retries},
		{"protocol", "protocol", first.Protocol, b.Protocol, calls},
	} {
		if !f.differ {
			continue
		}
		w := c.find(backendsDiffer, path+"."+f.key, "backend %s differs in %s from the first%s: %v, not %v", b.URL.Host, f.name, c.inItem(path, 0), f.found, f.want)
		w.Fix = fmt.Sprintf("write the same %s for all backends, or an API for each", f.name)
		if f.key == "protocol" {
			w.Fix = "write protocol: grpc for all backends or for none"
		}
	}
}

func pathOf(u *url.URL) string { return cmp.Or(strings.TrimSuffix(u.EscapedPath(), "/"), "/") }

// attempts compiles how often a request is tried again.
func (c *compiler) attempts(path string, p *durwardv1.Backend, protocol Protocol) int {
	n := p.GetRetries()
	switch {
	case n > maxRetries:
		c.find(brokenRule, path, "retries %d is not 0 to %d", n, maxRetries).Fix = fmt.Sprintf("write at most %d", maxRetries)
	case n > 0 && protocol == GRPC:
		c.find(uselessRetries, path, "retries with gRPC, whose calls are never repeated")
	}
	return int(n)
}

// protocol compiles what a backend speaks.
func (c *compiler) protocol(path, word string) Protocol {
	if c.written(path, word != "") {
		c.oneOf(path, word, string(HTTP1), string(HTTP2), string(GRPC))
	}
	return cmp.Or(Protocol(word), HTTP1)
}

// backendTLS compiles how Envoy and a backend know each other.
func (c *compiler) backendTLS(path string, p *durwardv1.BackendTLS) BackendTLS {
	t := BackendTLS{CAFile: p.GetCaFile(), SANs: slices.Sorted(slices.Values(p.GetSans())), CertFile: p.GetCertFile(), KeyFile: p.GetKeyFile()}
	for _, f := range []struct{ key, file string }{{"ca_file", t.CAFile}, {"cert_file", t.CertFile}, {"key_file", t.KeyFile}} {
		at := path + "." + f.key
		if c.written(at, f.file != "") && !filepath.IsAbs(f.file) {
			c.find(badBackendTLS, at, "%s %q is relative, and Envoy's working directory is not known", f.key, f.file).Fix = "write the absolute path where Envoy runs"
		}
	}
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		c.find(badBackendTLS, path+".cert_file", "cert_file without key_file").Fix = "write key_file, or remove cert_file"
	case t.KeyFile != "" && t.CertFile == "":
		c.find(badBackendTLS, path+".key_file", "key_file without cert_file").Fix = "write cert_file, or remove key_file"
	}
	if len(t.SANs) == 0 && c.written(path+".sans", false) {
		c.find(badBackendTLS, path+".sans", "sans allows no certificate").Fix = "write a name, or remove sans: the URL's host counts then"
	}
	for i, name := range p.GetSans() {
		if err := checkSAN(name); err != nil {
			c.find(badBackendTLS, fmt.Sprintf("%s.sans[%d]", path, i), "name %q: %s", name, err).Fix = "write a DNS name, an IP address or a URI as the certificate holds it"
		}
	}
	return t
}

// checkSAN judges a DNS name, an IP address or a URI. A pattern is none of them: a
// certificate may hold one, and is then for the names below it.
func checkSAN(name string) error {
	if strings.Contains(name, ":/") || strings.HasPrefix(name, "urn:") {
		u, err := url.Parse(name)
		if err != nil || u.Scheme == "" || u.String() != name {
			return errors.New("it is not a URI")
		}
		return nil
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return nil
	}
	host, err := CanonicalHost(name)
	if err == nil && host != name {
		err = fmt.Errorf("this is %q in canonical form", host)
	}
	return err
}
