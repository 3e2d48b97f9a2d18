package serve

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

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
	// shadow are APIs that let every request pass.
	shadow map[string]bool
	// disabled are organizations and organization/application that are turned off, denied
	// whoever is turned away from every API, and until when.
	disabled, denied map[string]bool
}

// accessIn leaves out the APIs that are the same in other, which may be nil as cat may.
func accessIn(cat, other *catalog.Catalogue) access {
	a := access{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	if cat == nil {
		return a
	}
	a.refuse(cat)
	for _, api := range cat.APIs {
		if other != nil && other.API(api.Name) == api {
			continue
		}
		a.grant(api)
		if api.Shadow {
			a.shadow[api.Name] = true
		}
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

// refuse adds who is turned away whatever an API grants.
func (a access) refuse(cat *catalog.Catalogue) {
	for _, org := range cat.Organizations {
		if org.Disabled {
			a.disabled[org.Name] = true
		}
		for _, app := range org.Applications {
			if app.Disabled {
				a.disabled[org.Name+"/"+app.Name] = true
			}
		}
	}
	for _, d := range cat.Denials {
		line := d.Whom()
		if !d.Until.IsZero() {
			line += " until " + d.Until.UTC().Format(time.RFC3339)
		}
		a.denied[line] = true
	}
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
// has at most 100 lines, and one more that says how many are left out.
func logChange(log *slog.Logger, old, now *catalog.Catalogue) {
	was, is := accessIn(old, now), accessIn(now, old)
	before := ""
	if old != nil {
		before = old.Hash
	}
	record := []slog.Attr{slog.String("old_hash", before), slog.String("new_hash", now.Hash)}
	for _, list := range []struct {
		name    string
		was, is map[string]bool
	}{
		{"grants", was.grants, is.grants},
		{"scopes", was.scopes, is.scopes},
		{"public", was.public, is.public},
		{"shadow", was.shadow, is.shadow},
		{"disabled", was.disabled, is.disabled},
		{"denials", was.denied, is.denied},
	} {
		record = append(record, slog.Any(list.name+"_added", without(list.is, list.was)), slog.Any(list.name+"_removed", without(list.was, list.is)))
	}
	log.LogAttrs(context.Background(), slog.LevelInfo, "catalogue_changed", record...)
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
		lines = append(lines[:maxListed], fmt.Sprintf("and %d more", len(lines)-maxListed))
	}
	return lines
}
