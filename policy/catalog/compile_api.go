package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

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
			Shadow:   c.shadow(path+".mode", a.GetMode()),
			CORS:     c.cors(path+".cors", a.GetCors()),
			External: c.external(path+".frontend", a.GetFrontend()),
			At:       c.at(path),
			grants:   make(map[*Organization]*grant),

			ProtectedResource:    a.GetProtectedResource(),
			ForwardAuthorization: a.GetForwardAuthorization(),
		}
		if c.declare(path, "API", nil, api.Name) {
			c.cat.apis[api.Name] = api
			c.cat.APIs = append(c.cat.APIs, api)
		}
		c.frontend(path+".frontend", api, a.GetFrontend())
		c.protectedResource(path, api, a.GetFrontend())
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
		canonical, err := canonicalPattern(host)
		if err == nil && canonical != host {
			err = fmt.Errorf("this is %q in canonical form", canonical)
		}
		if err != nil {
			c.find(badHost, path, "host %q: %s", host, err)
		}
		if canonical == "" || pathErr != nil {
			continue
		}
		place := frontend{canonical, api.BasePath}
		if other := c.frontends[place]; other != nil {
			c.find(duplicateFrontend, path, "API %q already answers at host %q and base path %q%s", other.Name, canonical, api.BasePath, in(other.At))
			continue
		}
		c.frontends[place] = api
		api.Hosts = append(api.Hosts, canonical)
	}
}

// canonicalPattern returns the canonical form of a frontend's host. Hosts are written
// in that form, so that two that look different are different.
func canonicalPattern(host string) (string, error) {
	if host == "*" {
		return host, nil
	}
	exact, wildcard := strings.CutPrefix(host, "*.")
	canonical, err := CanonicalHost(exact)
	switch {
	case err != nil:
		return "", err
	case wildcard && strings.HasPrefix(exact, "["):
		return "", errors.New("an address has no subdomains")
	}
	return host[:len(host)-len(exact)] + canonical, nil
}

// shadow reports whether an API judges and lets everything pass.
func (c *compiler) shadow(path, mode string) bool {
	if c.written(path, mode != "") {
		c.oneOf(path, mode, "enforce", "shadow")
	}
	return mode == "shadow"
}

// operations compiles the operations of an API and files them by path shape.
func (c *compiler) operations(path string, api *API, a *durwardv1.API) {
	apiPolicy := c.policies[a.GetTokenPolicy()]
	asks := c.demandsOf(path, a, apiPolicy)
	if a.GetTokenPolicy() != "" && apiPolicy == nil {
		c.dangling(path+".token_policy", "token policy", nil, a.GetTokenPolicy())
	}
	if len(a.GetOperations()) == 0 {
		c.find(noOperations, path+".operations", "API %q has no operations", api.Name)
	}
	for i, o := range a.GetOperations() {
		path := fmt.Sprintf("%s.operations[%d]", path, i)
		op := &Operation{Methods: o.GetMethods(), Public: o.GetPublic(), At: c.at(path)}
		c.access(path, op, o, a.GetTokenPolicy())
		c.demand(path, op, o, asks)
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
		c.unprotected(path, o)
		return
	}
	c.scopes(path+".scopes", o.GetScopes())
	name := cmp.Or(o.GetTokenPolicy(), apiPolicy)
	op.Policy = c.policies[name]
	switch {
	case name == "":
		c.find(noTokenPolicy, path, "the operation has no token policy, and its API has none either")
	case op.Policy == nil && o.GetTokenPolicy() != "":
		c.dangling(path+".token_policy", "token policy", nil, name)
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
