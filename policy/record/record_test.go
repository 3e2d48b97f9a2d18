package record_test

import (
	"bytes"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/record"
	"github.com/durward/durward/policy/token"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

var update = flag.Bool("update", false, "write the golden files")

var now = time.Unix(1_800_000_000, 0)

const canary = "canary0123456789abcdef"

// compiled is a catalogue with one API.
func compiled(t *testing.T) *catalog.Catalogue {
	t.Helper()
	cat, findings := catalog.Compile(&durwardv1.Config{
		Version:  1,
		Gateways: []*durwardv1.Gateway{{Name: "edge", Listen: "127.0.0.1:10000", Url: "http://127.0.0.1:10000"}},
		AuthorizationServers: []*durwardv1.AuthorizationServer{{
			Name: "default", Issuer: "https://example.okta.com/oauth2/default", Audience: "api://default",
			Introspection: &durwardv1.Introspection{ClientId: "0oaGATEWAY", ClientSecretFile: "/run/secrets/okta"},
		}},
		TokenPolicies: []*durwardv1.TokenPolicy{{Name: "users", AuthorizationServer: "default", Verify: "introspection"}},
		Organizations: []*durwardv1.Organization{{Name: "retail", Applications: []*durwardv1.Application{{Name: "mobile", ClientIds: []string{"0oaMOBILE"}}}}},
		Apis: []*durwardv1.API{{
			Name: "orders", Frontend: &durwardv1.Frontend{Hosts: []string{"*"}, Path: "/orders"}, TokenPolicy: "users",
			Backend:    &durwardv1.Backend{Url: "http://127.0.0.1:8080"},
			Operations: []*durwardv1.Operation{{Methods: []string{"GET"}, Path: "/{id}", Scopes: &durwardv1.Scopes{All: []string{"orders.read"}}}},
		}},
		Grants: []*durwardv1.Grant{{Api: "orders", Organization: "retail", AllApplications: true}},
	}, nil)
	if cat == nil {
		t.Fatalf("catalogue does not compile: %v", findings)
	}
	return cat
}

// decide makes a decision about GET /orders/7 by the token canary.
func decide(t *testing.T, change func(*policy.Request), fail error) (policy.Decision, policy.Request) {
	t.Helper()
	return decideBy(compiled(t), change, fail)
}

// decideShadowed is decide for an API that blocks nothing.
func decideShadowed(t *testing.T, fail error) (policy.Decision, policy.Request) {
	t.Helper()
	cat := compiled(t)
	cat.API("orders").Shadow = true
	return decideBy(cat, nil, fail)
}

func decideBy(cat *catalog.Catalogue, change func(*policy.Request), fail error) (policy.Decision, policy.Request) {
	r := policy.Request{API: "orders", Method: "GET", Host: "api.example.com", Path: "/orders/7?q=secret", Authorization: []string{"Bearer " + canary}}
	if change != nil {
		change(&r)
	}
	verify := func(*catalog.TokenPolicy, token.Token) (token.Fact, error) {
		return token.Fact{
			Claims: token.Claims{
				Issuer: "https://example.okta.com/oauth2/default", Subject: "alice@example.com", UserID: "00uALICE", ClientID: "0oaMOBILE",
				Audience: []string{"api://default"}, Scopes: []string{"orders.read"}, TokenID: "AT.1", ExpiresAt: now.Add(time.Hour),
			},
			Mode: "introspection", Age: 250 * time.Millisecond, Took: 125 * time.Millisecond,
		}, fail
	}
	return policy.Decide(cat, r, policy.Witness{Verify: verify, Now: func() time.Time { return now }}, nil), r
}

func newRecord(d policy.Decision, r policy.Request) record.Record {
	return record.New(d, r, "0123456789abcdef", "req-1", "c0ffee", now.Add(-500*time.Millisecond), now)
}

// line logs the record as the server does, without slog's own time.
func line(t *testing.T, rec record.Record) string {
	t.Helper()
	var b bytes.Buffer
	rec.Log(t.Context(), slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	return b.String()
}

func TestGoldenLines(t *testing.T) {
	t.Parallel()
	cases := map[string]func() (policy.Decision, policy.Request){
		"allow": func() (policy.Decision, policy.Request) { return decide(t, nil, nil) },
		"deny":  func() (policy.Decision, policy.Request) { return decide(t, nil, &token.Error{Failure: token.Inactive}) },
		"failed": func() (policy.Decision, policy.Request) {
			return decide(t, nil, token.Unavailablef("introspect: %w", errors.New("connection refused")))
		},
		"unknown": func() (policy.Decision, policy.Request) {
			return decide(t, func(r *policy.Request) { r.API = contract.NoAPI }, nil)
		},
		"shadow-deny": func() (policy.Decision, policy.Request) {
			return decideShadowed(t, &token.Error{Failure: token.Inactive})
		},
		"shadow-failed": func() (policy.Decision, policy.Request) {
			return decideShadowed(t, token.Unavailablef("introspect: %w", errors.New("connection refused")))
		},
		"zero": func() (policy.Decision, policy.Request) { return policy.Decision{}, policy.Request{} },
	}
	for name, decision := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, path := line(t, newRecord(decision())), filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
			for _, secret := range []string{canary, "q=secret", "alice"} {
				if strings.Contains(got, secret) {
					t.Errorf("the line shows %q: %s", secret, got)
				}
			}
		})
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{0: "INFO", 401: "INFO", 503: "WARN"} {
		for _, outcome := range []record.Outcome{record.Deny, record.ShadowDeny} {
			if got := line(t, record.Record{Outcome: outcome, Status: status}); !strings.Contains(got, `"level":"`+want+`"`) {
				t.Errorf("%d: %s", status, got)
			}
		}
	}
	var b bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelWarn}))
	record.Record{Outcome: record.Allow}.Log(t.Context(), log)
	if b.Len() > 0 {
		t.Errorf("an allow below the log's level: %s", &b)
	}
}

func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	allowed, _ := decide(t, nil, nil)
	if got := record.OutcomeOf(allowed); got != record.Allow {
		t.Errorf("an allow is %q: %s", got, allowed.Reason)
	}
	for fail, want := range map[error]record.Outcome{
		nil:                                    record.Allow,
		&token.Error{Failure: token.Inactive}:  record.ShadowDeny,
		token.Unavailablef("no route to host"): record.ShadowDeny,
		errors.New("unexpected"):               record.ShadowDeny,
	} {
		if d, _ := decideShadowed(t, fail); record.OutcomeOf(d) != want {
			t.Errorf("in shadow mode, %v is %q", fail, record.OutcomeOf(d))
		}
	}
	for _, r := range append(contract.Reasons(), "", "new") {
		want := record.Deny
		if r.Denial().Status >= 500 {
			want = record.Failed
		}
		if got := record.OutcomeOf(policy.Deny(r, "")); got != want {
			t.Errorf("%q is %q", r, got)
		}
	}
}

// TestRecordNamesTheToken: wherever the token is repeated, its name stands instead.
func TestRecordNamesTheToken(t *testing.T) {
	t.Parallel()
	tok, err := token.Parse(canary)
	if err != nil {
		t.Fatal(err)
	}
	everywhere := func(r *policy.Request) {
		r.Path = "/orders/" + canary + "/x" + canary
		r.Host = canary + ".example.com"
	}
	judged, judgedRequest := decide(t, everywhere, fmtError("said "+canary))
	cases := map[string]struct {
		d policy.Decision
		r policy.Request
	}{
		"judged":   {judged, judgedRequest},
		"unjudged": {policy.Deny(contract.RequestMalformed, "x "+canary), policy.Request{Method: canary, Host: canary, Path: "/" + canary, Authorization: []string{"Bearer " + canary}}},
		"two":      {policy.Deny(contract.RequestMalformed, canary), policy.Request{Path: "/" + canary, Authorization: []string{"Bearer x", "Bearer " + canary}}},
		"joined":   {policy.Deny(contract.RequestMalformed, canary), policy.Request{Path: "/" + canary, Authorization: []string{"Bearer a,DPoP " + canary}}},
		"basic":    {policy.Deny(contract.TokenMissing, canary), policy.Request{Path: "/" + canary, Authorization: []string{"Basic " + canary}}},
	}
	if judged.Token == (token.Token{}) {
		t.Fatalf("not judged: %s", judged.Reason)
	}
	for name, c := range cases {
		rec := record.New(c.d, c.r, "id", "req "+canary, "rev", now, now)
		got := line(t, rec)
		if strings.Contains(got, canary) {
			t.Errorf("%s: the token shows: %s", name, got)
		}
		if !strings.Contains(rec.Path, tok.String()) || !strings.Contains(rec.Detail, tok.String()) || rec.RequestID != "req "+tok.String() {
			t.Errorf("%s: the token has no name: %s", name, got)
		}
	}
}

func fmtError(text string) error {
	return &token.Error{Failure: token.Inactive, Cause: errors.New(text)}
}

// TestMaskingIsBounded: a header of very many words does not cost by the square.
func TestMaskingIsBounded(t *testing.T) {
	t.Parallel()
	words := strings.Repeat("aaaaaaaaaaaaaaaab ", 100_000)
	start := time.Now()
	record.New(policy.Deny(contract.RequestMalformed, ""), policy.Request{Path: strings.Repeat("a", 1<<20), Authorization: []string{words}}, "id", "", "", now, now)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestLongFieldsAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1023) + "é" + strings.Repeat("x", 1<<20)
	rec := record.New(policy.Deny(contract.RequestMalformed, long), policy.Request{Method: long, Host: long, Path: "/" + long}, "id", long, "rev", now, now)
	for name, got := range map[string]string{"request id": rec.RequestID, "detail": rec.Detail, "method": rec.Method, "host": rec.Host, "path": rec.Path} {
		if len(got) > 1<<10 || len(got) < 1<<10-utf8.UTFMax || !utf8.ValidString(got) {
			t.Errorf("%s has %d bytes", name, len(got))
		}
	}
}

func TestRecordFields(t *testing.T) {
	t.Parallel()
	d, r := decide(t, nil, nil)
	tok, err := token.Parse(canary)
	if err != nil {
		t.Fatal(err)
	}
	want := record.Record{
		Time: now.UTC(), DecisionID: "0123456789abcdef", RequestID: "req-1", Outcome: record.Allow,
		Method: "GET", Host: "api.example.com", Path: "/orders/7", API: "orders", Operation: "/{id}",
		Organization: "retail", Application: "mobile", ClientID: "0oaMOBILE", UserID: "00uALICE", TokenID: "AT.1", Token: tok.Name(),
		Mode: "introspection", FactAge: 250 * time.Millisecond, OktaTime: 125 * time.Millisecond, Took: 500 * time.Millisecond, Revision: "c0ffee",
	}
	if diff := cmp.Diff(want, newRecord(d, r)); diff != "" {
		t.Error(diff)
	}
}
