package serve

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/durward/durward/policy/contract"
)

// TestShadowThroughEnvoy: in shadow mode every request of the API reaches the backend,
// whatever the verdict. The backend is told of callers who are allowed alone, and the
// caller cannot tell the difference; the log and the metric can.
func TestShadowThroughEnvoy(t *testing.T) {
	t.Parallel()
	s := newStrict(t, "shadow")
	gateway := s.gateway(t)
	rows := s.denyRows()
	want := map[string]string{}
	for _, caller := range denyCallers {
		answer := bearing("/vault/items", s.good()).send(t, gateway, caller.method, caller.contentType)
		seen := s.backend.take()
		if !strings.HasPrefix(answer, "200\n") || len(seen) != 1 || seen[0].Header.Get(contract.HeaderSubject) != "alice@example.com" {
			t.Fatalf("a good token, %s: %s; the backend saw %v", caller.name, answer, seen)
		}
		want[caller.name] = untimed(answer)
	}
	shadowed := 0
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		row := rows[name]
		inVault := strings.HasPrefix(row.path, "/vault/")
		row.headers = forged(row.headers)
		for _, caller := range denyCallers {
			before := len(s.log.lines(t, "decision"))
			got := untimed(row.send(t, gateway, caller.method, caller.contentType))
			seen := s.backend.take()
			logged := s.log.lines(t, "decision")[before:]
			if !inVault { // its neighbours enforce
				if strings.HasPrefix(got, "200\n") && caller.name != "gRPC" || len(seen) != 0 {
					t.Errorf("%s, %s: %s", name, caller.name, got)
				}
				continue
			}
			shadowed++
			if got != want[caller.name] || len(seen) != 1 {
				t.Errorf("%s, %s: %s; the backend was asked %d times", name, caller.name, got, len(seen))
				continue
			}
			reason, _, _ := strings.Cut(name, " ")
			if len(logged) != 1 || logged[0]["outcome"] != "shadow_deny" || logged[0]["reason"] != reason || logged[0]["status"] == nil {
				t.Errorf("%s, %s is logged as %v", name, caller.name, logged)
			}
			for _, name := range append(contract.IdentityHeaders(), "x-claim-email", contract.HeaderAuthorization, contract.HeaderDPoP) {
				if values := seen[0].Header.Values(name); len(values) > 0 && name != contract.HeaderDecisionID {
					t.Errorf("the backend got %v", seen[0].Header)
				}
			}
		}
	}
	_, metrics := get(t, s.Server, "/metrics")
	for _, part := range []string{`outcome="shadow_deny",reason="token_inactive"} 4`, `outcome="shadow_deny",reason="scope_missing"} 8`} {
		if !strings.Contains(metrics, part) {
			t.Errorf("the metrics lack %s", part)
		}
	}
	if shadowed < 80 {
		t.Errorf("%d requests passed", shadowed)
	}
}

// TestShadowOutage: an outage is none for an API in shadow mode.
func TestShadowOutage(t *testing.T) {
	t.Parallel()
	s := newStrict(t, "shadow")
	s.is.respond("introspect", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	before := len(s.log.lines(t, "decision"))
	if got := ask(t, s.conn, "vault", "/vault/items", s.good()); got != "allow" {
		t.Errorf("with Okta dead: %s", got)
	}
	logged := s.log.lines(t, "decision")[before:]
	if len(logged) != 1 || logged[0]["outcome"] != "shadow_deny" || logged[0]["reason"] != string(contract.OktaUnavailable) || logged[0]["status"] != 503.0 {
		t.Errorf("logged as %v", logged)
	}
}

// forged are the row's headers and some that only we may set.
func forged(headers http.Header) http.Header {
	all := headers.Clone()
	if all == nil {
		all = http.Header{}
	}
	all.Set(contract.HeaderSubject, "root")
	all.Set("x-auth-unheard-of", "root")
	all.Set("x-claim-email", "root")
	return all
}

// untimed is an answer without what Envoy measured.
func untimed(answer string) string {
	lines := slices.DeleteFunc(strings.Split(answer, "\n"), func(line string) bool {
		return strings.HasPrefix(line, "x-envoy-upstream-service-time:")
	})
	return strings.Join(lines, "\n")
}
