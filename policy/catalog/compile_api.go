package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const defaultBackendTimeout = 15 * time.Second

// frontend is one place where callers find an API.
type frontend struct{ host, basePath string }

// declareAPIs compiles apis and sorts them by name.
func (c *compiler) declareAPIs() {
	for i, a := range c.cfg.GetApis() {
		path := fmt.Sprintf("apis[%d]", i)
		api := &API{
			Name:     a.GetName(),
			BasePath: a.GetFrontend().GetPath(),
			Backend:  c.backend(path+".backend", a.GetBackend()),
			At:       c.at(path),
			grants:   make(map[*Organization]*grant),
		}
		first := c.cat.apis[api.Name]
		if first == nil {
			first = api
		}
		if c.name(path, "API", api.Name, first != api, first.At) {
			c.cat.apis[api.Name] = api
			c.cat.APIs = append(c.cat.APIs, api)
		}
		c.frontend(path+".frontend", api, a.GetFrontend())
		c.operations(path, api, a)
	}
	slices.SortFunc(c.cat.APIs, func(a, b *API) int { return cmp.Compare(a.Name, b.Name) })
}

// frontend judges hosts and base path, and that no other API has them.
func (c *compiler) frontend(path string, api *API, f *durwardv1.Frontend) {
	if f == nil {
		c.find(badHost, path, "API %q has no frontend", api.Name)
		return
	}
	pathErr := checkBasePath(api.BasePath)
	if pathErr != nil {
		c.find(badBasePath, path+".path", "%s", pathErr)
	}
	if len(f.GetHosts()) == 0 {
		c.find(badHost, path+".hosts", "API %q has no host", api.Name)
	}
	for i, host := range f.GetHosts() {
		path := fmt.Sprintf("%s.hosts[%d]", path, i)
		if err := checkHost(host); err != nil {
			c.find(badHost, path, "host %q: %s", host, err)
			continue
		}
		if pathErr != nil {
			continue
		}
		place := frontend{host, api.BasePath}
		if other := c.frontends[place]; other != nil {
			c.find(duplicateFrontend, path, "API %q already answers at host %q and base path %q%s", other.Name, host, api.BasePath, in(other.At))
			continue
		}
		c.frontends[place] = api
		api.Hosts = append(api.Hosts, host)
	}
}

// checkHost judges a host of a frontend. It must be written in its canonical form, so
// that two hosts that look different are different.
func checkHost(host string) error {
	if host == "*" {
		return nil
	}
	exact, wildcard := strings.CutPrefix(host, "*.")
	canonical, err := CanonicalHost(exact)
	if err != nil {
		return err
	}
	if canonical != exact {
		return fmt.Errorf("this is %q in canonical form", host[:len(host)-len(exact)]+canonical)
	}
	if wildcard && strings.HasPrefix(exact, "[") {
		return errors.New("an address has no subdomains")
	}
	return nil
}

// backend compiles where requests go. The path of its URL replaces the base path.
func (c *compiler) backend(path string, p *durwardv1.Backend) Backend {
	if p == nil {
		c.find(badBackend, path, "the API has no backend")
		return Backend{}
	}
	b := Backend{CAFile: p.GetTls().GetCaFile(), Timeout: durationOr(p.GetTimeout(), defaultBackendTimeout)}
	u, err := parseOrigin(p.GetUrl())
	if err == nil && u.Path != "" {
		err = checkBasePath(u.EscapedPath())
	}
	if err != nil {
		c.find(badBackend, path+".url", "backend URL: %s", err)
		return b
	}
	b.URL = u
	if p.GetTls() != nil && u.Scheme != "https" {
		c.find(uselessTLS, path+".tls", "backend %q is not asked over TLS", p.GetUrl())
	}
	return b
}

// operations compiles the operations of an API and files them by path shape.
func (c *compiler) operations(path string, api *API, a *durwardv1.API) {
	apiPolicy := c.policies[a.GetTokenPolicy()]
	if a.GetTokenPolicy() != "" && apiPolicy == nil {
		c.dangling(path+".token_policy", "token policy", a.GetTokenPolicy(), "", keys(c.policies))
	}
	if len(a.GetOperations()) == 0 {
		c.find(noOperations, path+".operations", "API %q has no operations", api.Name)
	}
	for i, o := range a.GetOperations() {
		path := fmt.Sprintf("%s.operations[%d]", path, i)
		op := &Operation{Methods: o.GetMethods(), Public: o.GetPublic(), At: c.at(path)}
		c.access(path, op, o, a.GetTokenPolicy())
		template, err := ParseTemplate(o.GetPath())
		if err != nil {
			c.find(badTemplate, path+".path", "%s", err)
			continue
		}
		op.Path = template
		api.Operations = append(api.Operations, op)
		if apiPolicy == nil {
			apiPolicy = op.Policy
		}
		if other := api.addPath(op); other != nil {
			c.find(ambiguousOperation, path+".path", "operation %q%s matches the same paths and methods", other.Path, in(other.At))
		}
	}
	api.Policy = apiPolicy
}

// access compiles who may call an operation: everybody, or holders of scopes under a
// token policy.
func (c *compiler) access(path string, op *Operation, o *durwardv1.Operation, apiPolicy string) {
	op.AllScopes, op.AnyScopes = o.GetScopes().GetAll(), o.GetScopes().GetAny()
	if op.Public {
		if o.GetScopes() != nil {
			c.find(publicProtected, path+".scopes", "a public operation requires no scopes")
		}
		if o.GetTokenPolicy() != "" {
			c.find(publicProtected, path+".token_policy", "a public operation has no token policy")
		}
		return
	}
	c.scopes(path+".scopes", o.GetScopes())
	name := cmp.Or(o.GetTokenPolicy(), apiPolicy)
	op.Policy = c.policies[name]
	switch {
	case name == "":
		c.find(noTokenPolicy, path, "the operation has no token policy, and its API has none either")
	case op.Policy == nil && o.GetTokenPolicy() != "":
		c.dangling(path+".token_policy", "token policy", name, "", keys(c.policies))
	}
}

// scopes holds that exactly one of the lists names a scope: an empty list could be
// read as "any token will do".
func (c *compiler) scopes(path string, s *durwardv1.Scopes) {
	all := c.written(path+".all", len(s.GetAll()) > 0)
	some := c.written(path+".any", len(s.GetAny()) > 0)
	switch {
	case s == nil:
		c.find(noScopes, path, "the operation requires no scopes and is not public")
	case all && some:
		c.find(twoScopeLists, path+".any", "scopes writes both all and any")
	case len(s.GetAll())+len(s.GetAny()) == 0:
		c.find(emptyScopes, path, "scopes names no scope")
	}
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
