package serve

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/durward/durward/policy/oktatest"
)

// The rows of reloads.
var reloadRows = map[string]func(*testing.T){
	"C12": secretGoneAtReload, "C13": everyWayToWrite, "C14": olderVersions, "C15": cachedTokens, "C16": otherGeneration,
}

// secretGoneAtReload (C12): a new configuration whose secret cannot be used changes
// nothing, and applies once the secret can, untouched itself.
func secretGoneAtReload(t *testing.T) {
	l := newWatched(t)
	before := l.Catalogue().Revision
	secret := filepath.Join(l.dir, "later")
	l.secretFile, l.apis = "later", append(l.apis, "returns")
	save(t, l.file(), l.text())
	l.alarmed(t, "durward.yaml:8:")
	for what, spoil := range map[string]func(){
		"absent":                func() {},
		"writable by everybody": func() { writeFile(t, secret, "guess", 0o666) },
		"empty":                 func() { writeFile(t, secret, "", 0o600) },
	} {
		spoil()
		time.Sleep(failedAgain + 100*time.Millisecond)
		if got := ask(t, l.conn, "orders", "/orders/7", ""); got != "401 token_missing" {
			t.Errorf("%s: nobody's request: %s", what, got)
		}
		if got := ask(t, l.conn, "returns", "/returns/7", l.token); got != "404 api_unknown" || l.Catalogue().Revision != before {
			t.Errorf("%s: %s by revision %s", what, got, l.Catalogue().Revision)
		}
		l.becomes(t, "allow")
	}
	if n := len(l.log.lines(t, "configuration rejected; the old one goes on serving")); n > 4 {
		t.Errorf("the log tells of it %d times", n)
	}
	writeFile(t, secret, l.okta.Client("gateway").Secret, 0o600)
	l.serves(t, "returns")
	l.quiet(t)
}

// everyWayToWrite (C13): only whole versions serve, a configuration that is gone leaves the
// last one and an alarm, and of a storm of edits the last one wins.
func everyWayToWrite(t *testing.T) {
	l := newWatched(t)
	before := l.Catalogue().Revision
	if err := os.Remove(l.file()); err != nil {
		t.Fatal(err)
	}
	l.alarmed(t, "no such file")
	if l.Catalogue().Revision != before {
		t.Error("a configuration that is gone changed what serves")
	}
	l.becomes(t, "allow")
	save(t, l.file(), l.text())
	l.quiet(t)

	save(t, l.file(), l.text()+"apis: {\n")
	l.alarmed(t, "durward.yaml:19:7: error DW001")
	save(t, l.file(), l.text())
	l.quiet(t)

	const edits = 100
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range edits {
		<-tick.C
		c := l.config
		c.apis = append(c.apis, fmt.Sprintf("edit%d", i))
		if i%2 == 0 {
			c.write(t) // truncates
		} else {
			save(t, c.file(), c.text())
		}
		if got := ask(t, l.conn, "orders", "/orders/7", l.token); got != "allow" {
			t.Errorf("edit %d: %s", i, got)
		}
	}
	l.serves(t, fmt.Sprintf("edit%d", edits-1))
	l.quiet(t)
	for _, entry := range l.log.lines(t, "catalogue_changed")[1:] {
		if added := fmt.Sprint(entry["grants_added"]); !strings.HasPrefix(added, "[edit") {
			t.Errorf("a part of a version was served: %v", entry)
		}
	}
}

// olderVersions (C14): a revert is applied like any change, and revisions tell replicas
// apart, and versions, wherever one may look.
func olderVersions(t *testing.T) {
	l := newWatched(t)
	old, oldText, oldHash := l.Catalogue().Revision, l.text(), l.Catalogue().Hash
	l.apis = append(l.apis, "returns")
	save(t, l.file(), l.text())
	l.serves(t, "returns")
	replica, _ := begin(t, l.config)
	now, nowHash := l.Catalogue().Revision, l.Catalogue().Hash
	if replica.Catalogue().Revision != now || now == old {
		t.Errorf("revisions %s and %s of one configuration, %s before", now, replica.Catalogue().Revision, old)
	}
	save(t, l.file(), oldText)
	eventually(t, "the old version serves again", func() bool { return l.Catalogue().Revision == old })
	if got := ask(t, l.conn, "returns", "/returns/7", l.token); got != "404 api_unknown" {
		t.Errorf("an API of the newer version: %s", got)
	}
	for s, revision := range map[*Server]string{l.Server: old, replica: now} {
		_, verbose := get(t, s, "/readyz?verbose")
		if !strings.Contains(verbose, fmt.Sprintf("serving %q", revision)) || testutil.ToFloat64(s.state.info.WithLabelValues(revision)) != 1 {
			t.Errorf("of revision %s: %s", revision, verbose)
		}
	}
	decisions := l.log.lines(t, "decision")
	if last := decisions[len(decisions)-1]; last["revision"] != old {
		t.Errorf("the decision names another revision: %v", last)
	}
	changes := l.log.lines(t, "catalogue_changed")
	for i, want := range []string{" " + oldHash, oldHash + " " + nowHash, nowHash + " " + oldHash} {
		if i >= len(changes) || fmt.Sprint(changes[i]["old_hash"])+" "+fmt.Sprint(changes[i]["new_hash"]) != want {
			t.Fatalf("change %d of %v is not %s", i, changes, want)
		}
	}
}

// cachedTokens (C15): what is taken away is refused within a second, although the token is
// known and Okta is not asked again.
func cachedTokens(t *testing.T) {
	l := newWatched(t)
	asked := l.okta.Calls(oktatest.Introspect)
	const app = "{ name: mobile, client_ids: [0oaMOBILE] }"
	elsewhere := l.config
	elsewhere.apis = []string{"returns"}
	for what, tt := range map[string]struct{ text, want string }{
		"a route":           {elsewhere.text(), "404 api_unknown"},
		"a grant":           {l.edited(t, "retail, applications: [mobile]", "retail, applications: []"), "403 grant_missing"},
		"all grants":        {l.edited(t, "grants:\n  - { api: orders, organization: retail, applications: [mobile] }\n", ""), "403 grant_missing"},
		"an application":    {strings.Replace(l.edited(t, app, ""), "retail, applications: [mobile]", "retail, applications: []", 1), "403 client_unknown"},
		"its being enabled": {l.edited(t, app, strings.Replace(app, " }", ", enabled: false }", 1)), "403 application_disabled"},
		"its organization":  {l.edited(t, "{ name: retail,", "{ name: retail, enabled: false,"), "403 application_disabled"},
		"a client":          {l.text() + "denials: [ { client_id: 0oaMOBILE, reason: lost } ]\n", "401 token_inactive"},
		"a scope":           {l.edited(t, "[orders.read]", "[orders.write]"), "403 scope_missing"},
	} {
		save(t, l.file(), tt.text)
		took := l.becomes(t, tt.want)
		t.Logf("%s is refused after %v", what, took)
		if took > time.Second {
			t.Errorf("%s is refused after %v", what, took)
		}
		save(t, l.file(), l.text())
		l.becomes(t, "allow")
	}
	if n := l.okta.Calls(oktatest.Introspect) - asked; n != 0 {
		t.Errorf("Okta was asked about the token %d times", n)
	}
}

// otherGeneration (C16): an Envoy that has routes of another configuration, older or newer,
// gets nothing by them that this one does not have. (That Envoys are told in an order in
// which no route is ahead of its cluster is the C16 of the control plane.)
func otherGeneration(t *testing.T) {
	l := newWatched(t)
	l.apis = append(l.apis, "returns")
	save(t, l.file(), l.text())
	l.serves(t, "returns")
	swapped := strings.NewReplacer("path: /orders ", "path: /returns ", "path: /returns ", "path: /orders ").Replace(l.text())
	narrow := strings.Replace(l.text(), `hosts: ["*"], path: /orders `, `hosts: [internal.example.com], path: /orders `, 1)
	gone := l.config
	gone.apis = []string{"orders"}
	for _, c := range []struct{ what, text, api, path, want string }{
		{"as published", l.text(), "returns", "/returns/7", "allow"},
		{"Envoy has no route yet", l.text(), "-", "/returns/7", "404 api_unknown"},
		{"Envoy has an API that is not here yet", l.text(), "refunds", "/refunds/7", "404 api_unknown"},
		{"Envoy has the route of an API that is gone", gone.text(), "returns", "/returns/7", "404 api_unknown"},
		{"its path became another API's", swapped, "orders", "/orders/7", "404 api_unknown"},
		{"which has not come to Envoy", swapped, "returns", "/returns/7", "404 api_unknown"},
		{"and then has", swapped, "returns", "/orders/7", "allow"},
		{"its host is another", narrow, "orders", "/orders/7", "404 api_unknown"},
		{"other APIs are as they were", narrow, "returns", "/returns/7", "allow"},
	} {
		save(t, l.file(), c.text)
		if err := l.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, l.conn, c.api, c.path, l.token); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}
