package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRemovalIsRefusedThroughEnvoy: what is taken away is refused through a real Envoy
// within a second of the file's rename, whether or not the token was seen before; and once
// it is refused, it stays so.
func TestRemovalIsRefusedThroughEnvoy(t *testing.T) {
	t.Parallel()
	const (
		kept  = "  - { name: kept, frontend: { hosts: [\"*\"], path: /kept }, backend: { url: %[1]q }, token_policy: okta-users, operations: [ { methods: [GET], path: \"/{id}\", scopes: { all: [orders.read] } } ] }\n"
		probe = "  - { name: probe, frontend: { hosts: [\"*\"], path: /probe }, backend: { url: %[1]q }, token_policy: okta-users, operations: [ { methods: [GET], path: \"/{id}\", scopes: { all: [orders.read] } } ] }\n"
		open  = "  - { api: kept, organization: shop, applications: [desktop] }\n"
		grant = "  - { api: probe, organization: shop, applications: [mobile2] }\n"
		app   = "{ name: mobile2, client_ids: [0oaMOBILE] }, "
	)
	whole, url := "", ""
	w := newCrowded(t, 200, func(backend string) string {
		url = backend
		whole = fmt.Sprintf("version: 1\norganizations: [ { name: shop, applications: [ "+app+"{ name: desktop, client_ids: [0oaDESKTOP] } ] } ]\napis:\n"+kept+probe+"grants:\n"+open+grant, backend)
		return whole
	}, strings.NewReplacer("client_ids: [0oaMOBILE]", "client_ids: [0oaOTHER]"))
	known := mint(t, w.okta)
	for _, tt := range []struct{ what, text, want string }{
		{"a route", strings.NewReplacer(fmt.Sprintf(probe, url), "", grant, "").Replace(whole), "404 api_unknown"},
		{"a grant", strings.Replace(whole, grant, "", 1), "403 grant_missing"},
		{"an application", strings.NewReplacer(app, "", grant, "").Replace(whole), "403 client_unknown"},
		{"a denial", whole + "denials: [ { client_id: 0oaMOBILE, reason: lost } ]\n", "401 token_revoked"},
	} {
		for _, cached := range []bool{true, false} {
			caller := newCaller(w.gateway)
			next := func() string {
				if cached {
					return known
				}
				return mint(t, w.okta)
			}
			allowed := func() bool { return caller.ask("", "probe", next()).status == 200 }
			eventually(t, "the probe is allowed", allowed)
			save(t, w.probe(), tt.text)
			start := time.Now()
			eventually(t, tt.what+" is refused", func() bool { return !allowed() })
			took := time.Since(start)
			for range 20 {
				a := caller.ask("", "probe", next())
				if got := fmt.Sprint(a.status, " ", w.ledger.reason(a.id)); got != tt.want {
					t.Errorf("%s, cached %v: %s, want %s", tt.what, cached, got, tt.want)
				}
			}
			t.Logf("%s, token cached %v: refused %s after the rename", tt.what, cached, ms(took))
			if took > 10*time.Second {
				t.Errorf("%s is refused after %v", tt.what, took)
			}
			save(t, w.probe(), whole)
			eventually(t, "the probe is allowed again", allowed)
			caller.CloseIdleConnections()
		}
	}
	if w.backend.unguarded != 0 {
		t.Errorf("%d requests came unguarded", w.backend.unguarded)
	}
}

// reason is that of the one record of a decision.
func (l *ledger) reason(id string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if all := l.decisions[id]; len(all) == 1 {
		return all[0].Reason
	}
	return fmt.Sprint(len(l.decisions[id]), " records")
}
