package serve

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/durward/durward/policy/catalog"
)

// maxListed bounds each list of a change in the log.
const maxListed = 100

// access is what a catalogue opens, one line each.
type access struct {
	// grants are API and organization/application, organization/* for all of them, or the
	// organization alone where nobody may call yet.
	grants map[string]bool
	// scopes are API, methods, path and the scopes that are asked for.
	scopes map[string]bool
	// public are API, methods and path of what anybody may call.
	public map[string]bool
}

func accessIn(cat *catalog.Catalogue) access {
	a := access{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	if cat == nil {
		return a
	}
	for _, api := range cat.APIs {
		a.grant(api)
		for _, op := range api.Operations {
			line := api.Name + " " + strings.Join(op.Methods, ",") + " " + op.Path.String()
			switch {
			case op.Public:
				a.public[line] = true
			case len(op.AllScopes) > 0:
				a.scopes[line+" all: "+strings.Join(op.AllScopes, ",")] = true
			default:
				a.scopes[line+" any: "+strings.Join(op.AnyScopes, ",")] = true
			}
		}
	}
	return a
}

func (a access) grant(api *catalog.API) {
	for org, all := range api.Grants() {
		line := api.Name + " " + org.Name
		nobody := true
		for _, app := range org.Applications {
			if !all && api.ApplicationGranted(app) {
				a.grants[line+"/"+app.Name] = true
				nobody = false
			}
		}
		switch {
		case all:
			a.grants[line+"/*"] = true
		case nobody:
			a.grants[line] = true
		}
	}
}

// logChange writes the record of an accepted revision. old is nil at the start. Each list
// has at most 100 lines, and one more that says so.
func logChange(log *slog.Logger, old, now *catalog.Catalogue) {
	was, is := accessIn(old), accessIn(now)
	before := ""
	if old != nil {
		before = old.Revision
	}
	log.LogAttrs(context.Background(), slog.LevelInfo, "catalogue_changed",
		slog.String("old_hash", before), slog.String("new_hash", now.Revision),
		slog.Any("grants_added", without(is.grants, was.grants)), slog.Any("grants_removed", without(was.grants, is.grants)),
		slog.Any("scopes_added", without(is.scopes, was.scopes)), slog.Any("scopes_removed", without(was.scopes, is.scopes)),
		slog.Any("public_added", without(is.public, was.public)), slog.Any("public_removed", without(was.public, is.public)))
}

// without lists what is in all and not in some, sorted.
func without(all, some map[string]bool) []string {
	lines := []string{}
	for line := range all {
		if !some[line] {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	if len(lines) > maxListed {
		lines = append(lines[:maxListed], "and more")
	}
	return lines
}
