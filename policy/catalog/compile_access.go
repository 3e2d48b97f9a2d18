package catalog

import (
	"fmt"
	"strings"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// declareOrganizations compiles organizations and their applications.
func (c *compiler) declareOrganizations() {
	for i, o := range c.cfg.GetOrganizations() {
		path := fmt.Sprintf("organizations[%d]", i)
		org := &Organization{Name: o.GetName(), Disabled: o.Enabled != nil && !o.GetEnabled(), At: c.at(path)}
		if c.declare(path, kindOrganization, nil, org.Name) {
			c.organizations[org.Name] = org
			c.cat.Organizations = append(c.cat.Organizations, org)
		}
		for j, a := range o.GetApplications() {
			c.application(fmt.Sprintf("%s.applications[%d]", path, j), org, a)
		}
	}
}

// application is how grants refer to one.
type application struct {
	organization *Organization
	name         string
}

func (c *compiler) application(path string, org *Organization, a *durwardv1.Application) {
	app := &Application{
		Name: a.GetName(), Organization: org, ClientIDs: a.GetClientIds(),
		Disabled: a.Enabled != nil && !a.GetEnabled(), At: c.at(path),
	}
	if c.declare(path, kindApplication, org, app.Name) {
		org.Applications = append(org.Applications, app)
		c.applications[application{org, app.Name}] = app
		if c.owners[app.Name] == nil {
			c.owners[app.Name] = app
		}
	}
	for i, id := range app.ClientIDs {
		c.client(fmt.Sprintf("%s.client_ids[%d]", path, i), app, id)
	}
}

// client gives a client id to an application. Ids that differ in case only are
// refused: one of the two is a mistake, and whoever reads them cannot tell which.
func (c *compiler) client(path string, app *Application, id string) {
	folded := strings.ToLower(id)
	if id == "" {
		c.find(duplicateClient, path, "the client id is empty")
		return
	}
	if owner := c.foldedClients[folded]; owner != nil {
		c.find(duplicateClient, path, "client id %q belongs to application %q%s", id, owner.Name, in(owner.At))
		return
	}
	c.foldedClients[folded] = app
	c.cat.clients[id] = app
}

// access is what a grant of the configuration gives.
type access struct {
	*grant
	// organization is nil where there is none.
	organization *Organization
	digest       digest
	// clean says that nothing was found in the grant alone.
	clean bool
}

// grants compiles grants and notes them at the APIs they open.
func (c *compiler) grants() {
	kept := c.keptAccesses()
	c.accesses = make([]access, len(c.cfg.GetGrants()))
	for i, g := range c.cfg.GetGrants() {
		a := &c.accesses[i]
		if before := kept.at(i, g); before != nil && before.clean {
			*a = *before
		} else {
			found := len(c.findings)
			*a = c.accessOf(fmt.Sprintf("grants[%d]", i), g)
			a.clean = len(c.findings) == found
		}
		switch d := c.named[g.GetApi()]; {
		case d == nil:
			c.dangling(fmt.Sprintf("grants[%d].api", i), kindAPI, nil, g.GetApi())
		case a.organization != nil:
			d.accesses = append(d.accesses, i)
		}
	}
}

// accessOf compiles a grant but for its API. It reads nothing but g and organizations: the
// next run relies on that.
func (c *compiler) accessOf(path string, g *durwardv1.Grant) access {
	a := access{organization: c.organizations[g.GetOrganization()], digest: c.digestGrant(g)}
	c.grantForm(path, g)
	if a.organization == nil {
		c.dangling(path+".organization", kindOrganization, nil, g.GetOrganization())
		return a
	}
	a.grant = &grant{all: g.GetAllApplications(), applications: c.grantees(path, a.organization, g), at: c.at(path)}
	return a
}

// granted is the API of d with the grants to it: the one of the run before, if they are the
// same.
func (c *compiler) granted(d *draft) *API {
	if d.kept && c.sameGrants(d) {
		return d.api
	}
	api := d.api
	if d.kept {
		another := *d.api
		api = &another
	}
	api.grants = make(map[*Organization]*grant, len(d.accesses))
	for _, i := range d.accesses {
		a := &c.accesses[i]
		if first := api.grants[a.organization]; first != nil {
			c.find(duplicateGrant, fmt.Sprintf("grants[%d]", i), "organization %q is already granted API %q%s", a.organization.Name, api.Name, in(first.at))
			continue
		}
		api.grants[a.organization] = a.grant
	}
	return api
}

// sameGrants reports whether the API has the very grants that are to be given to it.
func (c *compiler) sameGrants(d *draft) bool {
	if len(d.accesses) != len(d.api.grants) {
		return false
	}
	for _, i := range d.accesses {
		if a := &c.accesses[i]; d.api.grants[a.organization] != a.grant {
			return false
		}
	}
	return true
}

// grantForm holds that a grant writes exactly one of its two forms. Writing
// all_applications: false is neither.
func (c *compiler) grantForm(path string, g *durwardv1.Grant) {
	all := c.written(path+".all_applications", g.GetAllApplications())
	some := c.written(path+".applications", len(g.GetApplications()) > 0)
	switch {
	case all && some:
		c.find(grantForm, path+".all_applications", "the grant writes both applications and all_applications")
	case all && !g.GetAllApplications():
		f := c.find(grantForm, path+".all_applications", "all_applications: false says nothing")
		f.Fix = "write applications: [], which lets nobody call yet"
	case !all && !some && c.locate != nil:
		c.find(grantForm, path, "the grant writes neither applications nor all_applications")
	}
}

// grantees resolves the applications of a grant, which are those of its organization.
func (c *compiler) grantees(path string, org *Organization, g *durwardv1.Grant) map[*Application]bool {
	set := make(map[*Application]bool)
	for i, name := range g.GetApplications() {
		path := fmt.Sprintf("%s.applications[%d]", path, i)
		app := c.applications[application{org, name}]
		switch {
		case app != nil && set[app]:
			c.find(duplicateGrant, path, "application %q is already in this grant", name)
		case app != nil:
			set[app] = true
		default:
			c.unknownApplication(path, org, name)
		}
	}
	return set
}

func (c *compiler) unknownApplication(path string, org *Organization, name string) {
	if app := c.owners[name]; app != nil {
		c.find(foreignApplication, path, "application %q belongs to organization %q%s, not to %q", name, app.Organization.Name, in(app.At), org.Name)
		return
	}
	c.dangling(path, kindApplication, org, name)
}
