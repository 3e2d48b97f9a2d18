package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/durward/durward/policy/catalog"
)

// listed is how many things a fix lists.
const listed = 8

func fixAPI(f failure) []string {
	host, err := catalog.CanonicalHost(f.request.Host)
	if err != nil {
		return []string{"ask for a host that an API has"}
	}
	path, _, _ := strings.Cut(f.request.Path, "?")
	if api := f.cat.RouteUnpublished(host, path); api != nil {
		return []string{"API " + api.Name + " would answer here and is not published: remove published: false" + at(api.At)}
	}
	lines := []string{"ask for a place that an API has:"}
	for _, api := range f.cat.APIs {
		if api.ServesHost(host) && len(lines) <= listed {
			lines = append(lines, fmt.Sprintf("  %s%s  %s%s", host, api.BasePath, api.Name, at(api.At)))
		}
	}
	if len(lines) == 1 {
		lines = []string{"no API answers at the host " + host}
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return append(lines, "or give an API this frontend:",
		fmt.Sprintf("  frontend: { hosts: [%q], path: %q }", host, "/"+first))
}

func fixClient(f failure) []string {
	id := f.d.Fact.Claims.ClientID
	for _, s := range f.cat.Servers {
		if s.Introspection.ClientID == id {
			return []string{"sign people in with an application: " + id + " is the client that Durward itself asks Okta with" + at(s.At)}
		}
	}
	lines := []string{"register the client with the organization that owns it, under applications:"}
	for _, o := range f.cat.Organizations[:min(listed, len(f.cat.Organizations))] {
		lines = append(lines, "  "+o.Name+at(o.At))
	}
	return append(lines, fmt.Sprintf("    - { name: NAME, client_ids: [%q] }", id))
}

func fixDisabled(f failure) []string {
	return []string{"remove enabled: false" + at(f.step.At) + ", if the application may call again"}
}

func fixGrant(f failure) []string {
	app, api := f.d.Application, f.d.API
	names := []string{app.Name}
	for _, a := range app.Organization.Applications {
		if api.ApplicationGranted(a) {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	entry := fmt.Sprintf("  - { api: %s, organization: %s, applications: [%s] }", api.Name, app.Organization.Name, strings.Join(names, ", "))
	if api.OrganizationGranted(app.Organization) {
		return []string{"let the grant" + at(api.GrantAt(app.Organization)) + " be:", entry}
	}
	last := lastGrant(f.cat)
	if last.Line == 0 {
		return []string{"write at the end of " + api.At.File + ":", "grants:", entry}
	}
	return []string{"add to grants, behind the one at " + where(last) + ":", entry}
}

// lastGrant is where the last of the grants stands; they are all in one file.
func lastGrant(cat *catalog.Catalogue) (last catalog.Position) {
	for _, api := range cat.APIs {
		for _, o := range cat.Organizations {
			if p := api.GrantAt(o); p.Line > last.Line {
				last = p
			}
		}
	}
	return last
}

func fixOperation(f failure) []string {
	api := f.d.API
	var lines []string
	if f.d.PathKnown {
		lines = append(lines, "use "+strings.Join(f.d.Methods, " or "))
	} else {
		lines = append(lines, "use an operation of "+api.Name+at(api.At)+":")
		for _, op := range api.Operations[:min(listed, len(api.Operations))] {
			lines = append(lines, fmt.Sprintf("  %s %s%s", strings.Join(op.Methods, ","), api.FullPath(op), at(op.At)))
		}
	}
	path, _, _ := strings.Cut(f.request.Path, "?")
	relative := strings.TrimPrefix(path, strings.TrimSuffix(api.BasePath, "/"))
	if relative == "" {
		relative = "/"
	}
	if f.d.PathKnown {
		relative = api.Match(f.d.Methods[0], path).Operation.Path.String()
	}
	return append(lines, "or add to its operations:",
		fmt.Sprintf("  - { methods: [%s], path: %q, scopes: { all: [SCOPE] } }", f.request.Method, relative))
}

func fixScope(f failure) []string {
	scopes := slices.Clone(f.d.Fact.Claims.Scopes)
	for _, s := range f.d.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	scopes = slices.DeleteFunc(scopes, func(s string) bool { return s == "openid" || s == "offline_access" })
	id := f.server().Issuer[strings.LastIndex(f.server().Issuer, "/")+1:]
	return []string{
		f.login(f.d.Application.Name, scopes),
		fmt.Sprintf("the scope must exist in Okta (Security > API > %s > Scopes), and a rule of the server's access policy allow it; the operation asks for it%s", id, at(f.d.Operation.At)),
	}
}
