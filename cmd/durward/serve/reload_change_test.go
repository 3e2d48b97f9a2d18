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
			before = old.Hash
		}
		now := parsed(t, tt.now)
		logChange(slog.New(slog.NewJSONHandler(log, nil)), old, now)
		lines := log.lines(t, "catalogue_changed")
		if len(lines) != 1 || lines[0]["old_hash"] != before || lines[0]["new_hash"] != now.Hash {
			t.Fatalf("%s: %v", name, lines)
		}
		said := func(key string) string { return fmt.Sprint(lines[0][key]) }
		got := lists{said("grants_added"), said("grants_removed"), said("scopes_added"), said("scopes_removed"), said("public_added"), said("public_removed")}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(lists{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestCatalogueChangedTellsOfRefusals: what opens without a grant or a scope is in the record
// too: shadow mode, and the end of whatever turned somebody away.
func TestCatalogueChangedTellsOfRefusals(t *testing.T) {
	t.Parallel()
	c := config{issuer: "https://example.okta.com/oauth2/default", client: "0oaGATEWAY", secretFile: "secret", apis: []string{"orders", "returns"}}
	c.check, c.xds, c.ops, c.admin = "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"
	strict := strings.NewReplacer("{ name: retail,", "{ name: retail, enabled: false,", "{ name: mobile,", "{ name: mobile, enabled: false,").Replace(c.text()) +
		"denials: [ { user_id: 00uEVE, reason: gone }, { token_id: AT.1, until: 2030-01-01T00:00:00Z, reason: lost } ]\n"
	open := strings.Replace(c.text(), "    token_policy: okta-users\n", "    token_policy: okta-users\n    mode: shadow\n", 1) +
		"denials: [ { token_id: AT.1, until: 2029-01-01T00:00:00Z, reason: lost } ]\n"
	log := new(journal)
	logger, was, is := slog.New(slog.NewJSONHandler(log, nil)), parsed(t, strict), parsed(t, open)
	logChange(logger, was, is)
	logChange(logger, is, was)
	type lists struct{ Shadow, Disabled, Denials []any }
	ending := func(line map[string]any, end string) lists {
		of := func(name string) []any { list, _ := line[name+end].([]any); return list }
		return lists{of("shadow"), of("disabled"), of("denials")}
	}
	opened := lists{Shadow: []any{"orders"}, Disabled: []any{}, Denials: []any{`token "AT.1" until 2029-01-01T00:00:00Z`}}
	closed := lists{Shadow: []any{}, Disabled: []any{"retail", "retail/mobile"}, Denials: []any{`token "AT.1" until 2030-01-01T00:00:00Z`, `user "00uEVE"`}}
	lines := log.lines(t, "catalogue_changed")
	for i, want := range [][2]lists{{opened, closed}, {closed, opened}} {
		got := [2]lists{ending(lines[i], "_added"), ending(lines[i], "_removed")}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("record %d, added and removed (-want +got):\n%s", i, diff)
		}
	}
}

// TestCatalogueChangedByHash: two catalogues whose revisions agree by chance are a change
// that is written down; the same catalogue again is none.
func TestCatalogueChangedByHash(t *testing.T) {
	t.Parallel()
	log := new(journal)
	s := &Server{log: slog.New(slog.NewJSONHandler(log, nil)), cat: &catalog.Catalogue{Hash: "aabbccddeeff01", Revision: "aabbccddeeff"}}
	s.accepted(&catalog.Catalogue{Hash: "aabbccddeeff00", Revision: "aabbccddeeff"}, nil)
	s.accepted(s.cat, nil)
	lines := log.lines(t, "catalogue_changed")
	if len(lines) != 1 || lines[0]["old_hash"] != "aabbccddeeff00" || lines[0]["new_hash"] != "aabbccddeeff01" {
		t.Errorf("the log has %v", lines)
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
	if len(added) != maxListed+1 || added[0] != "api000 retail/mobile" || added[maxListed] != "and 400 more" {
		t.Errorf("%d lines, %v", len(added), added)
	}
}
