package serve

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
)

func parsed(t *testing.T, text string) *catalog.Catalogue {
	t.Helper()
	cat, findings := source.Parse("durward.yaml", []byte(text))
	if cat == nil {
		t.Fatal(findings)
	}
	return cat
}

// TestCatalogueChanged: the record of a change says what it opened and what it closed.
func TestCatalogueChanged(t *testing.T) {
	t.Parallel()
	c := config{issuer: "https://example.okta.com/oauth2/default", client: "0oaGATEWAY", secretFile: "secret", apis: []string{"orders"}}
	c.check, c.xds, c.ops, c.admin = "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"
	first := c.text()
	second := strings.NewReplacer(
		`scopes: { all: [orders.read] } } ]`, `scopes: { any: [orders.read, orders.admin] } }, { methods: [GET, HEAD], path: "/", public: true } ]`,
		`applications: [mobile] }`, `all_applications: true }`).Replace(first)
	third := strings.Replace(first, "retail, applications: [mobile]", "retail, applications: []", 1)
	none := "[]"
	type lists struct{ grantsAdded, grantsRemoved, scopesAdded, scopesRemoved, publicAdded, publicRemoved string }
	for name, tt := range map[string]struct {
		old, now string
		want     lists
	}{
		"start":   {"", first, lists{"[orders retail/mobile]", none, "[orders GET /{id} all: orders.read]", none, none, none}},
		"wider":   {first, second, lists{"[orders retail/*]", "[orders retail/mobile]", "[orders GET /{id} any: orders.read,orders.admin]", "[orders GET /{id} all: orders.read]", "[orders GET,HEAD /]", none}},
		"back":    {second, first, lists{"[orders retail/mobile]", "[orders retail/*]", "[orders GET /{id} all: orders.read]", "[orders GET /{id} any: orders.read,orders.admin]", none, "[orders GET,HEAD /]"}},
		"nobody":  {first, third, lists{"[orders retail]", "[orders retail/mobile]", none, none, none, none}},
		"nothing": {first, first, lists{none, none, none, none, none, none}},
	} {
		log := new(journal)
		var old *catalog.Catalogue
		before := ""
		if tt.old != "" {
			old = parsed(t, tt.old)
			before = old.Revision
		}
		now := parsed(t, tt.now)
		logChange(slog.New(slog.NewJSONHandler(log, nil)), old, now)
		lines := log.lines(t, "catalogue_changed")
		if len(lines) != 1 || lines[0]["old_hash"] != before || lines[0]["new_hash"] != now.Revision {
			t.Fatalf("%s: %v", name, lines)
		}
		said := func(key string) string { return fmt.Sprint(lines[0][key]) }
		got := lists{said("grants_added"), said("grants_removed"), said("scopes_added"), said("scopes_removed"), said("public_added"), said("public_removed")}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(lists{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestCatalogueChangedIsBounded: a line for ten thousand APIs stays a line.
func TestCatalogueChangedIsBounded(t *testing.T) {
	t.Parallel()
	c := config{issuer: "https://example.okta.com/oauth2/default", client: "0oaGATEWAY", secretFile: "secret"}
	c.check, c.xds, c.ops, c.admin = "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"
	for i := range 500 {
		c.apis = append(c.apis, fmt.Sprintf("api%03d", i))
	}
	log := new(journal)
	logChange(slog.New(slog.NewJSONHandler(log, nil)), nil, parsed(t, c.text()))
	added, _ := log.lines(t, "catalogue_changed")[0]["grants_added"].([]any)
	if len(added) != maxListed+1 || added[0] != "api000 retail/mobile" || added[maxListed] != "and more" {
		t.Errorf("%d lines, %v", len(added), added)
	}
}
