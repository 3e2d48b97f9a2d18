package catalog

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/durward/durward/policy/contract"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const defaultPreflightAge = 10 * time.Minute

// Headers that every page of an allowed origin may send, and those that say to it why it
// was denied.
var (
	corsAllowed = []string{contract.HeaderAuthorization, "content-type", contract.HeaderDPoP}
	corsExposed = []string{"www-authenticate", "retry-after", contract.HeaderDecisionID}
)

// cors compiles which pages of other origins may call an API; nil for none.
func (c *compiler) cors(path string, p *durwardv1.CORS) *CORS {
	if p == nil {
		return nil
	}
	cors := &CORS{
		AllowHeaders:  withMore(corsAllowed, p.GetAllowHeaders()),
		ExposeHeaders: withMore(corsExposed, p.GetExposeHeaders()),
		Credentials:   p.GetAllowCredentials(),
		MaxAge:        durationOr(p.GetMaxAge(), defaultPreflightAge),
	}
	if cors.MaxAge < 0 || cors.MaxAge > 24*time.Hour {
		c.find(brokenRule, path+".max_age", "max_age %s is not between 0s and 24h", cors.MaxAge)
	}
	if len(p.GetAllowOrigins()) == 0 {
		c.find(badOrigin, path, "cors allows no origin")
	}
	for i, text := range p.GetAllowOrigins() {
		c.origin(badOrigin, fmt.Sprintf("%s.allow_origins[%d]", path, i), text, canonicalOriginPattern)
		cors.Origins = append(cors.Origins, text)
	}
	c.headerNames(path+".allow_headers", p.GetAllowHeaders())
	c.headerNames(path+".expose_headers", p.GetExposeHeaders())
	return cors
}

// headerNames refuses an asterisk, which browsers take for every header.
func (c *compiler) headerNames(path string, names []string) {
	for i, name := range names {
		if strings.Contains(name, "*") {
			c.find(brokenRule, fmt.Sprintf("%s[%d]", path, i), "%q names every header", name)
		}
	}
}

// withMore returns names and those of more that are not among them.
func withMore(names, more []string) []string {
	all := slices.Clone(names)
	for _, name := range more {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// external compiles the URLs under which callers find an API: its own, or those of the
// gateways that serve it.
func (c *compiler) external(path string, p *durwardv1.Frontend, gateways []*Gateway) []string {
	var all []string
	for i, text := range p.GetExternal() {
		c.origin(badExternal, fmt.Sprintf("%s.external[%d]", path, i), text, canonicalOrigin)
		all = append(all, text)
	}
	if all != nil {
		return all
	}
	if c.written(path+".external", false) {
		c.find(badExternal, path+".external", "external is empty")
	}
	for _, g := range gateways {
		if g.URL == nil {
			continue
		}
		if url, err := originOf(g.URL); err == nil && !slices.Contains(all, url) {
			all = append(all, url)
		}
	}
	return all
}

// origin holds that an origin is written in its canonical form, so that two that look
// different are different.
func (c *compiler) origin(code, path, text string, canonical func(string) (string, error)) {
	form, err := canonical(text)
	switch {
	case err != nil:
		c.find(code, path, "%s", err)
	case form != text:
		f := c.find(code, path, "%q is not in the form that browsers and clients use", text)
		f.Fix = "write " + form
	}
}

// canonicalOrigin returns scheme://host with a port where it is not the scheme's own, as
// RFC 6454 writes origins.
func canonicalOrigin(text string) (string, error) {
	u, err := parseOrigin(text)
	if err != nil {
		return "", err
	}
	return originOf(u)
}

func originOf(u *url.URL) (string, error) {
	if u.Path != "" && u.Path != "/" {
		return "", errors.New("it holds a path")
	}
	host, err := CanonicalHost(u.Host)
	if err != nil {
		return "", err
	}
	if port := u.Port(); port != "" && PortOf(u) != PortOf(&url.URL{Scheme: u.Scheme}) {
		host += fmt.Sprintf(":%d", PortOf(u))
	}
	return u.Scheme + "://" + host, nil
}

// canonicalOriginPattern is canonicalOrigin for origins in which *. may begin the host.
func canonicalOriginPattern(text string) (string, error) {
	scheme, host, ok := strings.Cut(text, "://*.")
	if !ok {
		return canonicalOrigin(text)
	}
	form, err := canonicalOrigin(scheme + "://" + host)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(host, "[") || !strings.Contains(strings.Trim(host, "."), ".") {
		return "", errors.New("*. stands before a domain of two labels or more")
	}
	return strings.Replace(form, "://", "://*.", 1), nil
}
