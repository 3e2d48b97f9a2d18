package serve

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/envoy"
	"github.com/durward/durward/policy/catalog"
)

// TestP15PrefixIsNeverLive (P15): wherever a writer pauses within a new text, the old one
// serves, also where the prefix would be a configuration itself.
func TestP15PrefixIsNeverLive(t *testing.T) {
	t.Parallel()
	l := newWatched(t)
	old := l.Catalogue().Revision
	l.apis = []string{"orders", "a", "b", "c"}
	f, err := os.OpenFile(l.file(), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	// First the shortest good one, then further parts of it, line by line.
	good := 0
	for line := range strings.SplitAfterSeq(l.text()+"denials:\n  - { client_id: 0oaMOBILE, reason: lost }\n", "\n") {
		if _, err := f.WriteString(line); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * (10 + 30) * time.Millisecond)
		if _, _, err := Load(l.file()); err == nil {
			good++
		}
		if got := l.Catalogue().Revision; got != old {
			t.Fatalf("after %q revision %s serves", line, got)
		}
	}
	if good < 5 {
		t.Errorf("only %d prefixes could be taken for configurations", good)
	}
	l.becomes(t, "allow")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l.becomes(t, "401 token_inactive")
	eventually(t, "the change is on record", func() bool { return len(l.log.lines(t, "catalogue_changed")) > 1 })
	if n := len(l.log.lines(t, "catalogue_changed")); n != 2 {
		t.Errorf("%d revisions were accepted, want the first and the last", n)
	}
}

// TestP15ThereAndBack (P15): a change and its undoing leave what was before, in decisions
// and for Envoy.
func TestP15ThereAndBack(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	s, _ := begin(t, c)
	conn, token := dial(t, s.Catalogue().Listeners.Check.Address), mint(t, okta)
	seen := func() []string {
		t.Helper()
		facts := []string{s.Catalogue().Revision, translated(t, s.Catalogue())}
		for _, api := range []string{"orders", "returns", "-"} {
			facts = append(facts, ask(t, conn, api, "/"+api+"/7", token), ask(t, conn, api, "/"+api+"/7", ""))
		}
		return facts
	}
	first, old := seen(), c.text()
	c.apis = []string{"returns"}
	for _, text := range []string{c.text(), old, "version: 1\n", c.text() + "denials: [ { client_id: 0oaMOBILE, reason: lost } ]\n", old} {
		writeFile(t, c.file(), text, 0o600)
		_ = s.Reload(t.Context())
		if diff := cmp.Diff(first, seen()); text == old && diff != "" || text == c.text() && diff == "" {
			t.Errorf("after the text %.60q (-first +now):\n%s", text, diff)
		}
	}
}

// translated is a hash of all that Envoy is given.
func translated(t *testing.T, cat *catalog.Catalogue) string {
	t.Helper()
	resources, err := envoy.Translate(cat, "edge")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	add := func(m proto.Message) {
		bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(sum, "%d ", len(bytes))
		_, _ = sum.Write(bytes)
	}
	for _, r := range resources.Listeners {
		add(r)
	}
	for _, r := range resources.Routes {
		add(r)
	}
	for _, r := range resources.Clusters {
		add(r)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// TestP16OneGeneration (P16): while revisions change under load, each decision is the one
// that the revision in its record makes, and no connection sees an older one after a newer.
func TestP16OneGeneration(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	s, log := begin(t, c)
	token := mint(t, okta)
	const reloads, connections = 60, 4
	// What each revision says of orders, and its place in time.
	model := map[string]string{s.Catalogue().Revision: ""}
	place := map[string]int{s.Catalogue().Revision: 0}
	done := make(chan struct{})
	var askers sync.WaitGroup
	for i := range connections {
		conn := dial(t, s.Catalogue().Listeners.Check.Address)
		askers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					ask(t, conn, "orders", fmt.Sprintf("/orders/%d", i), token)
				}
			}
		})
	}
	for i := 1; i <= reloads; i++ {
		c.apis = []string{"orders", fmt.Sprintf("r%d", i)}
		text, reason := c.text(), ""
		switch i % 3 {
		case 1:
			text, reason = strings.Replace(text, "api: orders, organization: retail, applications: [mobile]", "api: orders, organization: retail, applications: []", 1), "grant_missing"
		case 2:
			text, reason = strings.Replace(text, "[orders.read]", "[orders.write]", 1), "scope_missing"
		}
		writeFile(t, c.file(), text, 0o600)
		if err := s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		model[s.Catalogue().Revision], place[s.Catalogue().Revision] = reason, i
		time.Sleep(5 * time.Millisecond)
	}
	close(done)
	askers.Wait()
	last, revisions := map[any]int{}, map[any]bool{}
	for _, d := range log.lines(t, "decision") {
		revision, _ := d["revision"].(string)
		reason, known := model[revision]
		if got, _ := d["reason"].(string); !known || got != reason {
			t.Errorf("revision %q says %q: %v", revision, reason, d)
		}
		if place[revision] < last[d["path"]] {
			t.Errorf("%s was judged by an older revision: %v", d["path"], d)
		}
		last[d["path"]], revisions[revision] = place[revision], true
	}
	if len(revisions) < reloads/2 || len(last) != connections {
		t.Errorf("%d revisions judged %d connections", len(revisions), len(last))
	}
}
