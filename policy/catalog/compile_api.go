package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// frontend is one place where callers find an API.
type frontend struct{ host, basePath string }

// draft is an API of the configuration while the others are not known.
type draft struct {
	api    *API
	digest digest
	// clean says that nothing was found in it alone.
	clean bool
	// kept says that api is of the run before, and not to be changed.
	kept bool
	// accesses are what grants give to it, indices in those of the configuration.
	accesses []int
}

// declareAPIs compiles apis, each for itself, and what no two of them may share.
func (c *compiler) declareAPIs() {
	kept := c.keptDrafts()
	c.drafts = make([]draft, len(c.cfg.GetApis()))
	for i, a := range c.cfg.GetApis() {
		d := &c.drafts[i]
		if before := kept.at(i, a); before != nil && before.clean {
			*d = draft{api: before.api, digest: before.digest, clean: true, kept: true}
		} else {
			found := len(c.findings)
			d.api, d.digest = c.api(apiPath(i), a), c.digestOf(a)
			d.clean = len(c.findings) == found
		}
		if c.declareAt(d.api.At, kindAPI, nil, d.api.Name, func() string { return apiPath(i) + ".name" }) {
			c.named[d.api.Name] = d
		}
		c.places(i, d, a.GetFrontend().GetHosts())
	}
}

func apiPath(i int) string { return "apis[" + strconv.Itoa(i) + "]" }

// api compiles one API but for its grants. It reads nothing but a and what base compiled:
// the next run relies on that.
func (c *compiler) api(path string, a *durwardv1.API) *API {
	api := &API{
		Name:     a.GetName(),
		BasePath: a.GetFrontend().GetPath(),
		Backends: c.backends(path, a),
		Shadow:   c.shadow(path+".mode", a.GetMode()),
		CORS:     c.cors(path+".cors", a.GetCors()),
		Gateways: c.servingGateways(path+".gateways", a),
		At:       c.at(path),

		ProtectedResource:    a.GetProtectedResource(),
		ForwardAuthorization: a.GetForwardAuthorization(),
	}
	api.External = c.external(path+".frontend", a.GetFrontend(), api.Gateways)
	api.unpublished = a.Published != nil && !a.GetPublished()
	c.frontend(path+".frontend", api, a.GetFrontend())
	c.protectedResource(path, api, a.GetFrontend())
	c.operations(path, api, a)
	c.streams(path, api, a)
	return api
}

// servingGateways lists the gateways of an API: those it names, or all.
func (c *compiler) servingGateways(path string, api *durwardv1.API) []*Gateway {
	names := api.GetGateways()
	if !c.written(path, len(names) > 0) {
		return c.cat.Gateways
	}
	if len(names) == 0 {
		c.find(noServingGateway, path, "API %q names no gateway", api.GetName())
	}
	var list []*Gateway
	for i, name := range names {
		n := slices.IndexFunc(c.cat.Gateways, func(g *Gateway) bool { return g.Name == name })
		if n < 0 {
			c.dangling(fmt.Sprintf("%s[%d]", path, i), "gateway", nil, name)
			continue
		}
		list = append(list, c.cat.Gateways[n])
	}
	return list
}

// frontend judges hosts and base path.
func (c *compiler) frontend(path string, api *API, f *durwardv1.Frontend) {
	if f == nil {
		c.find(badHost, path, "API %q has no frontend", api.Name)
		return
	}
	if err := checkBasePath(api.BasePath); err != nil {
		c.find(badBasePath, path+".path", "%s", err)
	}
	if len(f.GetHosts()) == 0 {
		c.find(badHost, path+".hosts", "API %q has no host", api.Name)
	}
	for i, host := range f.GetHosts() {
		canonical, err := canonicalPattern(host)
		if err == nil && canonical != host {
			err = fmt.Errorf("this is %q in canonical form", canonical)
		}
		if err != nil {
			c.find(badHost, fmt.Sprintf("%s.hosts[%d]", path, i), "host %q: %s", host, err)
		}
		if canonical != "" {
			api.Hosts = append(api.Hosts, canonical)
		}
	}
}

// places holds that no other API has the hosts and the base path of this one, which is
// the n-th.
func (c *compiler) places(n int, d *draft, hosts []string) {
	if !d.clean && checkBasePath(d.api.BasePath) != nil {
		return
	}
	for i, host := range hosts {
		if !d.clean {
			host, _ = canonicalPattern(host)
		}
		place := frontend{host, d.api.BasePath}
		switch other := c.frontends[place]; {
		case host == "":
		case other != nil:
			c.find(duplicateFrontend, fmt.Sprintf("apis[%d].frontend.hosts[%d]", n, i), "API %q already answers at host %q and base path %q%s", other.Name, host, d.api.BasePath, in(other.At))
		default:
			c.frontends[place] = d.api
		}
	}
}

// publish gives the APIs their grants and the Catalogue the APIs, sorted by name. Those
// that are not published are kept from all who look for one.
func (c *compiler) publish() {
	c.cat.APIs = make([]*API, 0, len(c.drafts))
	for i := range c.drafts {
		d := &c.drafts[i]
		d.api = c.granted(d)
		switch {
		case c.named[d.api.Name] != d:
		case d.api.unpublished:
			c.cat.Unpublished = append(c.cat.Unpublished, d.api)
		default:
			c.cat.APIs = append(c.cat.APIs, d.api)
		}
	}
	sortByName(c.cat.APIs)
	sortByName(c.cat.Unpublished)
}

func sortByName(list []*API) {
	slices.SortFunc(list, func(a, b *API) int { return cmp.Compare(a.Name, b.Name) })
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
