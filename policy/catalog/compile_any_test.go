package catalog

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// TestCompileNeverPanics compiles configurations of arbitrary shape. What compiles has
// every reference resolved.
func TestCompileNeverPanics(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		cat, findings := Compile(cfg, nil)
		if (cat == nil) != HasErrors(findings) {
			t.Fatalf("catalogue %v with findings %v", cat, findings)
		}
		if !slices.IsSortedFunc(findings, func(a, b Finding) int { return strings.Compare(a.Code, b.Code) }) {
			t.Fatalf("findings without positions are not sorted by code: %v", findings)
		}
		if cat == nil {
			return
		}
		for _, p := range cat.TokenPolicies {
			s := p.Server
			if len(s.Issuers) == 0 || s.Issuer != s.Issuers[0] || len(s.Algorithms) == 0 || s.Org && !s.Opaque || s.Opaque && p.Verify != "introspection" || p.MaxAge > s.LongestAge {
				t.Fatalf("policy %+v of server %+v compiled", p, s)
			}
		}
		for _, api := range cat.APIs {
			if len(api.Hosts) == 0 || len(api.Backends) == 0 || api.Backends[0].URL == nil || len(api.Operations) == 0 {
				t.Fatalf("API %+v compiled", api)
			}
			for _, op := range api.Operations {
				if op.Public == (op.Policy != nil) || !op.Public && len(op.AllScopes)+len(op.AnyScopes) == 0 {
					t.Fatalf("operation %+v compiled", op)
				}
			}
			checkAsked(t, api)
		}
	})
}

// TestAnyDemands asks anything in any place of a good configuration: it is refused, or
// asked of every operation that is not public.
func TestAnyDemands(t *testing.T) {
	t.Parallel()
	compiled := 0
	rapid.Check(t, func(rt *rapid.T) {
		cfg := exampleConfig(t)
		for _, p := range cfg.GetTokenPolicies() {
			o := drawDemands(rt)
			p.Claims, p.Rule, p.AcrValues, p.MaxAuthAge = o.Claims, o.Rule, o.AcrValues, o.MaxAuthAge
		}
		for _, a := range cfg.GetApis() {
			o := drawDemands(rt)
			a.Claims, a.Rule, a.AcrValues, a.MaxAuthAge = o.Claims, o.Rule, o.AcrValues, o.MaxAuthAge
			a.ProtectedResource = rapid.Bool().Draw(rt, "protected")
			for _, op := range a.GetOperations() {
				if o := drawDemands(rt); !op.GetPublic() {
					op.Claims, op.Rule, op.AcrValues, op.MaxAuthAge = o.Claims, o.Rule, o.AcrValues, o.MaxAuthAge
				}
			}
		}
		cat, findings := Compile(cfg, nil)
		if (cat == nil) != HasErrors(findings) {
			rt.Fatalf("catalogue %v with findings %v", cat, findings)
		}
		if cat == nil {
			return
		}
		compiled++
		for _, api := range cat.APIs {
			checkAsked(rt, api)
		}
	})
	if compiled == 0 {
		t.Error("none compiled")
	}
}

// checkAsked holds that each operation of what compiled asks all that its token policy
// asks, and that metadata and origins are in one place and of one form.
func checkAsked(t *rapid.T, api *API) {
	for _, op := range api.Operations {
		r := op.Requires
		if op.Public && (len(r.Claims)+len(r.Rules)+len(r.ACRValues) > 0 || r.MaxAuthAge != 0) {
			t.Fatalf("a public operation requires %+v", r)
		}
		if op.Public {
			continue
		}
		p := op.Policy.Requires
		if len(r.Claims) < len(p.Claims) || len(r.Rules) < len(p.Rules) || len(p.ACRValues) > 0 && len(r.ACRValues) == 0 || p.MaxAuthAge != 0 && (r.MaxAuthAge == 0 || r.MaxAuthAge > p.MaxAuthAge) {
			t.Fatalf("%+v is less than the policy's %+v", r, p)
		}
		for _, c := range r.Claims {
			forms := len(c.OneOf)
			if c.Equals != nil {
				forms++
			}
			if c.Contains != nil {
				forms++
			}
			if forms != 1 || slices.Contains(c.Path, "") {
				t.Fatalf("claim %+v compiled", c)
			}
		}
	}
	if path := api.MetadataPath(); path != "" && (api.Match("GET", path).Operation == nil || api.MetadataURL() == "") {
		t.Fatalf("API %q has no metadata at %s", api.Name, path)
	}
	if api.CORS != nil && (len(api.CORS.Origins) == 0 || slices.Contains(api.CORS.Origins, "*")) {
		t.Fatalf("cors %+v compiled", api.CORS)
	}
}

// drawDemands draws what may be asked of a token.
func drawDemands(t *rapid.T) *durwardv1.Operation {
	o := new(durwardv1.Operation)
	if rapid.IntRange(0, 2).Draw(t, "asked") > 0 {
		return o
	}
	value := rapid.SampledFrom([]*structpb.Value{nil, nil, nil, structpb.NewBoolValue(true), structpb.NewStringValue("s"), structpb.NewNullValue()})
	if rapid.Bool().Draw(t, "a claim") {
		c := &durwardv1.RequiredClaim{Claim: rapid.SampledFrom([]string{"a", "a.b", ".", ""}).Draw(t, "claim"), Equals: value.Draw(t, "equals"), Contains: value.Draw(t, "contains")}
		if v := value.Draw(t, "one of"); v != nil {
			c.OneOf = append(c.OneOf, v)
		}
		o.Claims = append(o.Claims, c)
	}
	o.Rule = rapid.SampledFrom([]string{"", "token.bound", "api.name != ''", "token.bound", "token.uid"}).Draw(t, "rule")
	o.AcrValues = rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y", "z"}), 0, 3).Draw(t, "acr")
	if seconds := rapid.Int64Range(-1, 9).Draw(t, "age"); seconds != 0 {
		o.MaxAuthAge = &durationpb.Duration{Seconds: seconds}
	}
	return o
}

func drawConfig(t *rapid.T) *durwardv1.Config {
	name := rapid.SampledFrom([]string{"a", "b", "-", "", "A"})
	text := func(label string, words ...string) string {
		return rapid.SampledFrom(append(words, "", "\xff", "x")).Draw(t, label)
	}
	cfg := &durwardv1.Config{Version: 1, CheckTimeout: rapid.Ptr(rapid.Just(durationpb.Duration{}), true).Draw(t, "timeout")}
	many := func(f func()) {
		for range rapid.IntRange(0, 2).Draw(t, "n") {
			f()
		}
	}
	some := func() bool { return rapid.IntRange(0, 9).Draw(t, "some") > 0 }
	many(func() {
		cfg.Gateways = append(cfg.Gateways, &durwardv1.Gateway{Name: name.Draw(t, "name"), Listen: text("listen", "0.0.0.0:1"), Url: text("url", "http://a")})
	})
	many(func() {
		s := &durwardv1.AuthorizationServer{Name: name.Draw(t, "name"), Issuer: text("issuer", "https://a/oauth2/b", "https://a"), Audience: text("audience", "u"), Tokens: text("tokens", "jwt", "opaque", "")}
		if !some() {
			s.Issuer, s.Issuers = "", rapid.SliceOfN(rapid.SampledFrom([]string{"https://a/oauth2/b", "https://c/oauth2/b", "https://a", ""}), 0, 5).Draw(t, "issuers")
			s.Algorithms = rapid.SliceOfN(rapid.SampledFrom([]string{"RS256", "ES256", ""}), 0, 2).Draw(t, "algorithms")
		}
		if some() {
			s.Introspection = &durwardv1.Introspection{ClientId: text("client", "c"), ClientSecretFile: text("secret", "f"), AuthMethod: text("method", "none")}
		}
		cfg.AuthorizationServers = append(cfg.AuthorizationServers, s)
	})
	many(func() {
		p := &durwardv1.TokenPolicy{Name: name.Draw(t, "name"), AuthorizationServer: name.Draw(t, "server"), Verify: text("verify", "introspection", "jwt", "both")}
		o := drawDemands(t)
		p.Claims, p.Rule, p.AcrValues, p.MaxAuthAge = o.Claims, o.Rule, o.AcrValues, o.MaxAuthAge
		cfg.TokenPolicies = append(cfg.TokenPolicies, p)
	})
	many(func() {
		o := &durwardv1.Organization{Name: name.Draw(t, "name")}
		many(func() {
			o.Applications = append(o.Applications, &durwardv1.Application{Name: name.Draw(t, "name"), ClientIds: []string{text("id", "i", "I")}})
		})
		cfg.Organizations = append(cfg.Organizations, o)
	})
	many(func() { cfg.Apis = append(cfg.Apis, drawAPI(t, name, text, many, some)) })
	if !some() {
		cfg.Denials = []*durwardv1.Denial{{UserId: text("user", "u")}, {UserId: text("user", "u"), ClientId: text("client", "i")}}
		cfg.Headers = &durwardv1.Headers{Prefix: text("prefix", "x-a-", "x-auth-"), Preset: text("preset", "istio"), Claims: map[string]string{text("header", "a"): text("claim", "a.b")}}
	}
	many(func() {
		cfg.Grants = append(cfg.Grants, &durwardv1.Grant{Api: name.Draw(t, "api"), Organization: name.Draw(t, "org"), Applications: rapid.SliceOfN(name, 0, 2).Draw(t, "apps"), AllApplications: rapid.Bool().Draw(t, "all")})
	})
	return cfg
}

func drawAPI(t *rapid.T, name *rapid.Generator[string], text func(string, ...string) string, many func(func()), some func() bool) *durwardv1.API {
	a := &durwardv1.API{Name: name.Draw(t, "name"), TokenPolicy: name.Draw(t, "policy")}
	if some() {
		a.Frontend = &durwardv1.Frontend{Hosts: []string{text("host", "*", "*.", "h")}, Path: text("path", "/", "/p")}
	}
	if some() {
		a.Backend = &durwardv1.Backend{Url: text("url", "http://a", "https://a/b")}
	} else {
		many(func() {
			a.Backends = append(a.Backends, &durwardv1.Backend{Url: text("url", "http://b", "http://c"), Protocol: text("protocol", "grpc"), Weight: rapid.Uint32Range(0, 2).Draw(t, "weight")})
		})
	}
	if !some() {
		a.ProtectedResource, a.Mode = true, text("mode", "shadow", "enforce")
		a.Cors = &durwardv1.CORS{AllowOrigins: []string{text("origin", "https://a.example.com", "*")}}
	}
	o := drawDemands(t)
	a.Claims, a.Rule, a.AcrValues, a.MaxAuthAge = o.Claims, o.Rule, o.AcrValues, o.MaxAuthAge
	many(func() {
		op := drawDemands(t)
		op.Methods, op.Path, op.Public = []string{"GET"}, text("path", "/", "/{id}", "/**"), rapid.Bool().Draw(t, "public")
		if some() && !op.Public {
			op.Scopes = &durwardv1.Scopes{All: rapid.SliceOfN(rapid.Just("s"), 0, 1).Draw(t, "all"), Any: rapid.SliceOfN(rapid.Just("s"), 0, 1).Draw(t, "any")}
		}
		a.Operations = append(a.Operations, op)
	})
	return a
}
