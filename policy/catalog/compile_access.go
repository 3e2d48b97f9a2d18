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
		if c.declare(path, "organization", nil, org.Name) {
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
	if c.declare(path, "application", org, app.Name) {
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

// grants compiles grants into the APIs they open.
func (c *compiler) grants() {
	for i, g := range c.cfg.GetGrants() {
		path := fmt.Sprintf("grants[%d]", i)
		api, org := c.cat.apis[g.GetApi()], c.organizations[g.GetOrganization()]
		if api == nil {
			c.dangling(path+".api", "API", nil, g.GetApi())
		}
		if org == nil {
			c.dangling(path+".organization", "organization", nil, g.GetOrganization())
		}
		c.grantForm(path, g)
		if org == nil {
			continue
		}
		access := &grant{all: g.GetAllApplications(), applications: c.granted(path, org, g), at: c.at(path)}
		if api == nil {
			continue
		}
		if first := api.grants[org]; first != nil {
			c.find(duplicateGrant, path, "organization %q is already granted API %q%s", org.Name, api.Name, in(first.at))
			continue
		}
		api.grants[org] = access
	}
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

// granted resolves the applications of a grant, which are those of its organization.
func (c *compiler) granted(path string, org *Organization, g *durwardv1.Grant) map[*Application]bool {
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
	c.dangling(path, "application", org, name)
}
