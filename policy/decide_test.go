package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

var now = time.Unix(1_800_000_000, 0)

func clock() time.Time { return now }

// config is a small catalogue with every kind of access in it.
func config() *durwardv1.Config {
	app := func(name string, ids ...string) *durwardv1.Application {
		return &durwardv1.Application{Name: name, ClientIds: ids}
	}
	return &durwardv1.Config{
		Version:  1,
		Gateways: []*durwardv1.Gateway{{Name: "edge", Listen: "127.0.0.1:10000", Url: "http://127.0.0.1:10000"}},
		AuthorizationServers: []*durwardv1.AuthorizationServer{{
			Name: "default", Issuer: "https://example.okta.com/oauth2/default", Audience: "api://default",
			Introspection: &durwardv1.Introspection{ClientId: "0oaGATEWAY", ClientSecretFile: "/run/secrets/okta"},
		}},
		TokenPolicies: []*durwardv1.TokenPolicy{
			{Name: "users", AuthorizationServer: "default", Verify: "introspection", MaxAge: durationpb.New(0)},
			{Name: "fresh", AuthorizationServer: "default", Verify: "introspection", MaxAge: durationpb.New(0)},
		},
		Organizations: []*durwardv1.Organization{
			{Name: "retail", Applications: []*durwardv1.Application{app("mobile", "0oaMOBILE"), app("partner", "0oaPARTNER")}},
			{Name: "stranger", Applications: []*durwardv1.Application{app("tool", "0oaTOOL")}},
		},
		Apis: []*durwardv1.API{{
			Name:        "orders",
			Frontend:    &durwardv1.Frontend{Hosts: []string{"api.example.com"}, Path: "/orders"},
			Backend:     &durwardv1.Backend{Url: "http://127.0.0.1:8080"},
			TokenPolicy: "users",
			Operations: []*durwardv1.Operation{
				{Methods: []string{"GET"}, Path: "/{id}", Scopes: &durwardv1.Scopes{All: []string{"orders.read", "openid"}}},
				{Methods: []string{"POST"}, Path: "/", Scopes: &durwardv1.Scopes{Any: []string{"orders.write", "orders.admin"}}, TokenPolicy: "fresh"},
				{Methods: []string{"GET"}, Path: "/health", Public: true},
				{Methods: []string{"GET"}, Path: "/batch:purge", Scopes: &durwardv1.Scopes{All: []string{"orders.admin"}}},
				{Methods: []string{"GET"}, Path: "/caf%C3%A9", Scopes: &durwardv1.Scopes{All: []string{"orders.admin"}}},
			},
		}},
		Grants: []*durwardv1.Grant{{Api: "orders", Organization: "retail", Applications: []string{"mobile"}}},
	}
}

func compile(t interface{ Fatalf(string, ...any) }, cfg *durwardv1.Config) *catalog.Catalogue {
	cat, findings := catalog.Compile(cfg, nil)
	if cat == nil {
		t.Fatalf("catalogue does not compile: %v", findings)
	}
	return cat
}

// believed is what a verifier says of a good token of mobile.
func believed(change func(*token.Claims)) policy.Verify {
	c := token.Claims{
		Issuer: "https://example.okta.com/oauth2/default", Subject: "alice@example.com", UserID: "00uALICE",
		ClientID: "0oaMOBILE", Audience: []string{"api://default"}, Scopes: []string{"openid", "orders.read"},
		TokenID: "AT.1", ExpiresAt: now.Add(time.Hour),
	}
	if change != nil {
		change(&c)
	}
	return func(*catalog.TokenPolicy, token.Token) (token.Fact, error) {
		return token.Fact{Claims: c, Mode: token.ByIntrospection}, nil
	}
}

func refused(err error) policy.Verify {
	return func(*catalog.TokenPolicy, token.Token) (token.Fact, error) {
		// Claims beside an error must not count.
		fact, _ := believed(nil)(nil, token.Token{})
		return fact, err
	}
}

func unasked(t *testing.T) policy.Verify {
	return func(*catalog.TokenPolicy, token.Token) (token.Fact, error) {
		t.Error("the token was verified where it must not be")
		return token.Fact{}, errors.New("unasked")
	}
}

func get(change func(*policy.Request)) policy.Request {
	r := policy.Request{API: "orders", Method: "GET", Host: "api.example.com", Path: "/orders/7", Authorization: []string{"Bearer abc.def"}}
	if change != nil {
		change(&r)
	}
	return r
}

// An API inside another's paths that only some gateways serve: elsewhere the wider one
// answers, under every spelling.
func TestDecideBesideNarrowerAPI(t *testing.T) {
	t.Parallel()
	cfg := config()
	narrow := proto.Clone(cfg.Apis[0]).(*durwardv1.API)
	narrow.Name, narrow.Frontend.Path, narrow.Gateways = "inner", "/orders/by:", []string{"inner"}
	cfg.Apis = append(cfg.Apis, narrow)
	cfg.Apis[0].Operations[0].Path = "/**"
	cfg.Gateways = append(cfg.Gateways, &durwardv1.Gateway{Name: "inner", Listen: "127.0.0.1:10001", Url: "http://127.0.0.1:10001"})
	cat := compile(t, cfg)
	for path, want := range map[string]contract.Reason{
		"/orders/by:/a,b": "", "/orders/by:/a%2Cb": "", "/orders/by%3A/a": contract.OperationUnknown, "/orders/by%3A": contract.OperationUnknown,
	} {
		d := policy.Decide(cat, get(func(r *policy.Request) { r.Path = path }), policy.Witness{Verify: believed(nil), Now: clock}, nil)
		if d.Reason != want {
			t.Errorf("%s: %q, want %q", path, d.Reason, want)
		}
	}
}

func TestDecideReasons(t *testing.T) {
	t.Parallel()
	cat := compile(t, config())
	failure := func(f token.Failure) policy.Verify { return refused(&token.Error{Failure: f}) }
	post := func(r *policy.Request) { r.Method, r.Path = "POST", "/orders" }
	cases := []struct {
		name    string
		request policy.Request
		verify  policy.Verify // nil: must not be called
		want    contract.Reason
		status  int
	}{
		{"allowed", get(nil), believed(nil), "", 0},
		{"allowed by any scope", get(post), believed(func(c *token.Claims) { c.Scopes = []string{"orders.admin"} }), "", 0},
		{"public", get(func(r *policy.Request) { r.Path, r.Authorization = "/orders/health", nil }), nil, "", 0},
		{"scheme in any case, blanks", get(func(r *policy.Request) { r.Authorization = []string{"bEARER   abc"} }), believed(nil), "", 0},

		{"zero request", policy.Request{}, nil, contract.RequestMalformed, 400},
		{"defect", get(func(r *policy.Request) { r.Defect = "bad" }), nil, contract.RequestMalformed, 400},
		{"method", get(func(r *policy.Request) { r.Method = "get" }), nil, contract.RequestMalformed, 400},
		{"long method", get(func(r *policy.Request) { r.Method = strings.Repeat("A", 1024) }), nil, contract.RequestMalformed, 400},
		{"no host", get(func(r *policy.Request) { r.Host = "" }), nil, contract.RequestMalformed, 400},
		{"two hosts", get(func(r *policy.Request) { r.Host = "api.example.com,evil" }), nil, contract.RequestMalformed, 400},
		{"user in host", get(func(r *policy.Request) { r.Host = "u@api.example.com" }), nil, contract.RequestMalformed, 400},
		{"two credentials", get(func(r *policy.Request) { r.Authorization = []string{"Bearer a", "Bearer b"} }), nil, contract.RequestMalformed, 400},
		{"two joined credentials", get(func(r *policy.Request) { r.Authorization = []string{"Bearer a,Bearer b"} }), nil, contract.RequestMalformed, 400},
		{"not b64token", get(func(r *policy.Request) { r.Authorization = []string{"Bearer a\tb"} }), nil, contract.RequestMalformed, 400},
		{"bearer of nothing", get(func(r *policy.Request) { r.Authorization = []string{"Bearer "} }), nil, contract.RequestMalformed, 400},
		{"only padding", get(func(r *policy.Request) { r.Authorization = []string{"Bearer =="} }), nil, contract.RequestMalformed, 400},
		{"too long", get(func(r *policy.Request) {
			r.Authorization = []string{"Bearer " + strings.Repeat("a", token.MaxLength+1)}
		}), nil, contract.RequestMalformed, 400},
		{"header and query", get(func(r *policy.Request) { r.Path = "/orders/7?x=1&access%5Ftoken=abc" }), nil, contract.RequestMalformed, 400},

		{"no route's API", get(func(r *policy.Request) { r.API = "" }), nil, contract.APIUnknown, 404},
		{"catch-all", get(func(r *policy.Request) { r.API = contract.NoAPI }), nil, contract.APIUnknown, 404},
		{"API that is gone", get(func(r *policy.Request) { r.API = "old" }), nil, contract.APIUnknown, 404},
		{"host of an older route", get(func(r *policy.Request) { r.Host = "old.example.com" }), nil, contract.APIUnknown, 404},
		{"path beside the API", get(func(r *policy.Request) { r.Path = "/ordersX" }), nil, contract.APIUnknown, 404},

		{"no credential", get(func(r *policy.Request) { r.Authorization = nil }), nil, contract.TokenMissing, 401},
		{"empty credential", get(func(r *policy.Request) { r.Authorization = []string{""} }), nil, contract.TokenMissing, 401},
		{"basic", get(func(r *policy.Request) { r.Authorization = []string{"Basic YTpi"} }), nil, contract.TokenMissing, 401},
		{"query alone", get(func(r *policy.Request) { r.Authorization, r.Path = nil, "/orders/7?access_token=abc" }), nil, contract.TokenMissing, 401},
		{"unknown operation, nobody", get(func(r *policy.Request) { r.Authorization, r.Path = nil, "/orders/7/x" }), nil, contract.TokenMissing, 401},

		{"malformed", get(nil), failure(token.Malformed), contract.TokenMalformed, 401},
		{"not yet valid", get(nil), failure(token.NotYetValid), contract.TokenNotYetValid, 401},
		{"issuer", get(nil), failure(token.IssuerMismatch), contract.IssuerMismatch, 401},
		{"audience", get(nil), failure(token.AudienceMismatch), contract.AudienceMismatch, 401},
		{"type", get(nil), failure(token.WrongType), contract.TokenTypeWrong, 401},
		{"expired", get(nil), failure(token.Expired), contract.TokenExpired, 401},
		{"inactive", get(nil), failure(token.Inactive), contract.TokenInactive, 401},
		{"signature", get(nil), failure(token.SignatureInvalid), contract.SignatureInvalid, 401},
		{"okta down", get(nil), failure(token.Unavailable), contract.OktaUnavailable, 503},
		{"okta limits", get(nil), failure(token.RateLimited), contract.OktaRateLimited, 503},
		{"overloaded", get(nil), failure(token.Overloaded), contract.Overloaded, 503},
		{"unlisted failure", get(nil), failure("new"), contract.Internal, 503},
		{"foreign error", get(nil), refused(errors.New("x")), contract.Internal, 503},
		{"expired on the way", get(nil), believed(func(c *token.Claims) { c.ExpiresAt = now }), contract.TokenExpired, 401},
		{"zero claims", get(nil), believed(func(c *token.Claims) { *c = token.Claims{} }), contract.TokenExpired, 401},
		{"machine", get(nil), believed(func(c *token.Claims) { c.UserID = "" }), contract.TokenTypeWrong, 401},
		{"bound", get(nil), believed(func(c *token.Claims) { c.Bound = true }), contract.BindingMismatch, 401},

		{"unregistered client", get(nil), believed(func(c *token.Claims) { c.ClientID = "0oaOTHER" }), contract.ClientUnknown, 403},
		{"client in other case", get(nil), believed(func(c *token.Claims) { c.ClientID = "0oamobile" }), contract.ClientUnknown, 403},
		{"organization without access", get(nil), believed(func(c *token.Claims) { c.ClientID = "0oaTOOL" }), contract.GrantMissing, 403},
		{"application without grant", get(nil), believed(func(c *token.Claims) { c.ClientID = "0oaPARTNER" }), contract.GrantMissing, 403},
		{"unknown operation, not granted", get(func(r *policy.Request) { r.Path = "/orders/7/x" }), believed(func(c *token.Claims) { c.ClientID = "0oaPARTNER" }), contract.GrantMissing, 403},
		{"unknown path", get(func(r *policy.Request) { r.Path = "/orders/7/x" }), believed(nil), contract.OperationUnknown, 404},
		{"literal, encoded", get(func(r *policy.Request) { r.Path = "/orders/batch%3Apurge" }), believed(nil), contract.OperationUnknown, 404},
		{"literal, encoded in lower case", get(func(r *policy.Request) { r.Path = "/orders/batch%3apurge" }), believed(nil), contract.OperationUnknown, 404},
		{"literal with lower-case digits", get(func(r *policy.Request) { r.Path = "/orders/caf%c3%a9" }), believed(nil), contract.OperationUnknown, 404},
		{"literal, encoded, for its holder", get(func(r *policy.Request) { r.Path = "/orders/batch%3Apurge" }), believed(func(c *token.Claims) { c.Scopes = []string{"orders.admin"} }), contract.OperationUnknown, 404},
		{"literal as it is", get(func(r *policy.Request) { r.Path = "/orders/batch:purge" }), believed(nil), contract.ScopeMissing, 403},
		{"name with encodings", get(func(r *policy.Request) { r.Path = "/orders/alice%40example.com%20%c3%a9" }), believed(nil), "", 0},
		{"unknown method", get(func(r *policy.Request) { r.Method = "DELETE" }), believed(nil), contract.OperationUnknown, 405},
		{"head is not get", get(func(r *policy.Request) { r.Method = "HEAD" }), believed(nil), contract.OperationUnknown, 405},
		{"one scope of two", get(nil), believed(func(c *token.Claims) { c.Scopes = []string{"orders.read"} }), contract.ScopeMissing, 403},
		{"scope by prefix", get(nil), believed(func(c *token.Claims) { c.Scopes = []string{"openid", "orders.read:all", "ORDERS.READ"} }), contract.ScopeMissing, 403},
		{"no scopes", get(post), believed(func(c *token.Claims) { c.Scopes = nil }), contract.ScopeMissing, 403},
		{"huge identity", get(nil), believed(func(c *token.Claims) { c.Groups = []string{strings.Repeat("g", 9000)} }), contract.ClaimMismatch, 403},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			verify := c.verify
			if verify == nil {
				verify = unasked(t)
			}
			var trace policy.Trace
			d := policy.Decide(cat, c.request, policy.Witness{Verify: verify, Now: clock}, &trace)
			if d.Reason != c.want || d.Allowed() != (c.want == "") || d.Status() != c.status {
				t.Errorf("got %q, allowed %t, status %d (%s)", d.Reason, d.Allowed(), d.Status(), d.Detail)
			}
			if !d.Allowed() && d.Identity != nil {
				t.Error("a denied request has an identity")
			}
			mustFollowChecks(t, d, trace)
			if len(trace.Steps) == 0 || trace.Steps[len(trace.Steps)-1].OK != d.Allowed() {
				t.Errorf("the trace does not end as the decision does: %+v", trace.Steps)
			}
			if bare := policy.Decide(cat, c.request, policy.Witness{Verify: verify, Now: clock}, nil); bare.Reason != d.Reason {
				t.Errorf("without a trace: %q", bare.Reason)
			}
		})
	}
}

func TestZeroValuesDeny(t *testing.T) {
	t.Parallel()
	if d := (policy.Decision{}); d.Allowed() || d.Status() != 503 {
		t.Errorf("the zero Decision: allowed %t, status %d", d.Allowed(), d.Status())
	}
	if d := policy.Deny("", ""); d.Allowed() {
		t.Error("a denial without reason allows")
	}
	for name, cat := range map[string]*catalog.Catalogue{"nil": nil, "zero": {}} {
		if d := policy.Decide(cat, get(nil), policy.Witness{Verify: believed(nil), Now: clock}, nil); d.Allowed() {
			t.Errorf("the %s catalogue allows", name)
		}
	}
	var api catalog.API
	if api.ApplicationGranted(nil) || api.ApplicationGranted(&catalog.Application{}) || api.OrganizationGranted(nil) {
		t.Error("the zero API is granted")
	}
	if api.ServesHost("api.example.com") || api.Covers("/") || api.Match("GET", "/").Operation != nil {
		t.Error("the zero API answers")
	}
	if _, err := (*token.Verifier)(nil).Verify(t.Context(), token.Token{}, token.Demand{}); err == nil {
		t.Error("the nil Verifier believes")
	}
	if !(token.Claims{}).ExpiredAt(now) {
		t.Error("the zero Claims are in force")
	}
	for _, r := range append(contract.Reasons(), "", "new") {
		if d := r.Denial(); d.Status < 400 || d.Told == "" || d.Title == "" || d.GRPC == 0 {
			t.Errorf("reason %q tells %+v", r, d)
		}
	}
}

func TestDeadTokensReadAlike(t *testing.T) {
	t.Parallel()
	want := contract.TokenInactive.Denial()
	for _, r := range []contract.Reason{contract.TokenExpired, contract.TokenRevoked} {
		if diff := cmp.Diff(want, r.Denial()); diff != "" {
			t.Errorf("%s can be told from token_inactive: %s", r, diff)
		}
	}
}

func TestAmbiguousPathsAreMalformed(t *testing.T) {
	t.Parallel()
	cat := compile(t, config())
	for _, path := range []string{
		"", "orders/7", "*", "http://evil/orders/7", "//orders/7", "/orders//7", "/orders/../admin", "/orders/./7",
		"/orders/..", "/orders/.", "/orders/%2e%2e/x", "/orders/.%2E/x", "/orders/a%2fb", "/orders/a%5Cb", `/orders/a\b`,
		"/orders/%00", "/orders/%0a", "/orders/a;b=1", "/orders/..;/x", "/orders/7#x", "/orders/%zz", "/orders/%", "/orders/%2",
		"/orders/%c0%2e", "/orders/%252e", "/orders/%252f", "/orders/caf\xc3\xa9", "/orders/a b", "/orders/\x00", "/orders/%61",
		"/orders/" + strings.Repeat("a", 20000),
	} {
		d := policy.Decide(cat, get(func(r *policy.Request) { r.Path = path }), policy.Witness{Verify: unasked(t), Now: clock}, nil)
		if d.Reason != contract.RequestMalformed {
			t.Errorf("%.60q: %q", path, d.Reason)
		}
	}
	for _, path := range []string{"/orders/7?/../admin", "/orders/7?x=//", "/orders/th%C3%A9", "/orders/100%25", "/orders/a.b_c~d-e", "/orders/a,b=c@d"} {
		if d := policy.Decide(cat, get(func(r *policy.Request) { r.Path = path }), policy.Witness{Verify: believed(nil), Now: clock}, nil); !d.Allowed() {
			t.Errorf("%q: %q %s", path, d.Reason, d.Detail)
		}
	}
}

func TestIdentityIsSafeInHeaders(t *testing.T) {
	t.Parallel()
	cat := compile(t, config())
	d := policy.Decide(cat, get(nil), policy.Witness{Verify: believed(func(c *token.Claims) {
		c.Subject = "al\r\nice\x00 é%"
		c.Groups = []string{"a,b", "", "Domain Users", "\x7f"}
	}), Now: clock},

		nil)

	got := map[string]string{}
	for _, h := range d.Identity {
		got[h.Name] = h.Value
	}
	want := map[string]string{
		contract.HeaderAPI: "orders", contract.HeaderApplication: "mobile", contract.HeaderOrganization: "retail",
		contract.HeaderClientID: "0oaMOBILE", contract.HeaderUserID: "00uALICE", contract.HeaderTokenID: "AT.1",
		contract.HeaderIssuer: "https://example.okta.com/oauth2/default", contract.HeaderScopes: "openid orders.read",
		contract.HeaderSubject: "al%0D%0Aice%00 %C3%A9%25", contract.HeaderGroups: "a%2Cb,Domain Users,%7F",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNothingWithoutBothGrants: whatever else holds, an application passes only where
// its organization has access and it is granted itself.
func TestNothingWithoutBothGrants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cfg := &durwardv1.Config{
			Version: 1, Gateways: config().Gateways, AuthorizationServers: config().AuthorizationServers,
			TokenPolicies: config().TokenPolicies, Apis: config().Apis,
		}
		granted := map[string]bool{}
		var clients []string
		for o := range rapid.IntRange(1, 3).Draw(t, "organizations") {
			org := &durwardv1.Organization{Name: fmt.Sprintf("org%d", o)}
			grant := &durwardv1.Grant{Api: "orders", Organization: org.Name}
			access := rapid.Bool().Draw(t, "access")
			grant.AllApplications = rapid.Bool().Draw(t, "all")
			for a := range rapid.IntRange(1, 3).Draw(t, "applications") {
				id := fmt.Sprintf("0oa%d%d", o, a)
				name := fmt.Sprintf("app%d", a)
				org.Applications = append(org.Applications, &durwardv1.Application{Name: name, ClientIds: []string{id}})
				listed := !grant.AllApplications && rapid.Bool().Draw(t, "listed")
				if listed {
					grant.Applications = append(grant.Applications, name)
				}
				granted[id] = access && (listed || grant.AllApplications)
				clients = append(clients, id)
			}
			cfg.Organizations = append(cfg.Organizations, org)
			if access {
				cfg.Grants = append(cfg.Grants, grant)
			}
		}
		client := rapid.SampledFrom(append(clients, "0oaNOBODY")).Draw(t, "client")
		r := get(func(r *policy.Request) {
			r.Method = rapid.SampledFrom([]string{"GET", "POST", "PUT"}).Draw(t, "method")
			r.Path = rapid.SampledFrom([]string{"/orders", "/orders/7", "/orders/7/x"}).Draw(t, "path")
		})
		d := policy.Decide(compile(t, cfg), r, policy.Witness{Verify: believed(func(c *token.Claims) {
			c.ClientID = client
			c.Scopes = rapid.SliceOf(rapid.SampledFrom([]string{"openid", "orders.read", "orders.write", "orders.admin"})).Draw(t, "scopes")
		}), Now: clock},

			nil)

		if d.Allowed() && !granted[client] {
			t.Fatalf("%s passed without both grants", client)
		}
		if !granted[client] && client != "0oaNOBODY" && d.Reason != contract.GrantMissing {
			t.Fatalf("%s was told %q", client, d.Reason)
		}
	})
}

func FuzzDecide(f *testing.F) {
	cat := compile(f, config())
	f.Add("orders", "GET", "api.example.com", "/orders/7", "Bearer abc")
	f.Add("-", "POST", "API.example.com.:443", "/orders/%2e?access_token=x", "Bearer a,b")
	f.Fuzz(func(t *testing.T, api, method, host, path, authorization string) {
		r := policy.Request{API: api, Method: method, Host: host, Path: path, Authorization: []string{authorization}}
		d := policy.Decide(cat, r, policy.Witness{Verify: refused(&token.Error{Failure: token.Inactive}), Now: clock}, &policy.Trace{})
		if d.Allowed() && (d.Operation == nil || !d.Operation.Public) {
			t.Fatalf("allowed an inactive token: %+v", r)
		}
	})
}

func BenchmarkDecideAllow(b *testing.B) {
	cat, r, verify := compile(b, config()), get(nil), believed(nil)
	b.ReportAllocs()
	for b.Loop() {
		if d := policy.Decide(cat, r, policy.Witness{Verify: verify, Now: clock}, nil); !d.Allowed() {
			b.Fatal(d.Reason)
		}
	}
}
