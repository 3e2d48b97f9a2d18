package login

import (
	"fmt"
	"slices"
	"strings"

	"github.com/durward/durward/policy/catalog"
)

// NameError is a name, typed by a person, that the configuration does not have or has
// more than once.
type NameError struct{ text string }

// Error says which name, and what there is instead.
func (e *NameError) Error() string { return e.text }

// Target is what a login is for.
type Target struct {
	Application *catalog.Application
	Server      *catalog.AuthorizationServer
	// ClientID is one of the application's.
	ClientID string
	// Scopes are what the operations granted to the application need of Server's
	// tokens: all of `all`, the first of `any`. They are sorted, each once.
	Scopes []string
}

// Application returns the application that name means: its own name, or
// organization/application where several organizations have one of that name. The
// error is a *NameError.
func Application(cat *catalog.Catalogue, name string) (*catalog.Application, error) {
	var found []*catalog.Application
	var short, full []string
	for _, org := range cat.Organizations {
		for _, app := range org.Applications {
			short, full = append(short, app.Name), append(full, fullName(app))
			if name == app.Name || name == fullName(app) {
				found = append(found, app)
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if strings.Contains(name, "/") {
			short = full
		}
		return nil, unknown("application", name, slices.Compact(slices.Sorted(slices.Values(short))))
	}
	names := make([]string, len(found))
	for i, app := range found {
		names[i] = fullName(app)
	}
	return nil, &NameError{fmt.Sprintf("several organizations have an application %q; say %s", name, strings.Join(names, " or "))}
}

func fullName(app *catalog.Application) string { return app.Organization.Name + "/" + app.Name }

func unknown(kind, name string, existing []string) error {
	return &NameError{fmt.Sprintf("the configuration has no %s %q; %s", kind, name, catalog.Suggest(name, existing))}
}

// Choose returns the target of a login of app. The server is the one whose tokens open
// the APIs granted to the application, or any where it is granted none; clientID is
// the application's first. Either may be named instead, and the server must be where
// there are several. The error is a *NameError.
func Choose(cat *catalog.Catalogue, app *catalog.Application, server, clientID string) (Target, error) {
	t := Target{Application: app, ClientID: clientID}
	if clientID == "" {
		t.ClientID = app.ClientIDs[0]
	}
	if !slices.Contains(app.ClientIDs, t.ClientID) {
		return Target{}, unknown("client id of "+app.Name, clientID, app.ClientIDs)
	}
	needed := needs(cat, app)
	candidates := slices.DeleteFunc(slices.Clone(cat.Servers), func(s *catalog.AuthorizationServer) bool {
		return len(needed) > 0 && needed[s] == nil
	})
	names := make([]string, len(candidates))
	for i, s := range candidates {
		names[i] = s.Name
		if s.Name == server || server == "" && len(candidates) == 1 {
			t.Server = s
		}
	}
	switch {
	case t.Server == nil && server == "":
		return Target{}, &NameError{fmt.Sprintf("%s can use tokens of several authorization servers; name one with --server: %s",
			app.Name, strings.Join(names, ", "))}
	case t.Server == nil:
		return Target{}, unknown("authorization server for "+app.Name, server, names)
	}
	t.Scopes = slices.Compact(slices.Sorted(slices.Values(needed[t.Server])))
	return t, nil
}

// needs returns, by authorization server, the scopes of all operations granted to app.
// A server whose operations it may call has an entry.
func needs(cat *catalog.Catalogue, app *catalog.Application) map[*catalog.AuthorizationServer][]string {
	needed := map[*catalog.AuthorizationServer][]string{}
	for _, api := range cat.APIs {
		if !api.ApplicationGranted(app) {
			continue
		}
		for _, op := range api.Operations {
			if op.Public {
				continue
			}
			s := op.Policy.Server
			needed[s] = slices.Concat(needed[s], op.AllScopes, op.AnyScopes[:min(1, len(op.AnyScopes))])
		}
	}
	return needed
}
