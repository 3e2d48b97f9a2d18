package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// belief is what a verifier says of the token under one token policy: a failure, or
// claims; and whether the proof that comes with a bound token is good.
type belief struct {
	failure token.Failure
	claims  token.Claims
	proof   bool
	// department is the claim of that name.
	department string
}

// oracleFailures are the reasons of a verifier's failures.
var oracleFailures = map[token.Failure]contract.Reason{
	token.Malformed: "token_malformed", token.NotYetValid: "token_not_yet_valid", token.SignatureInvalid: "signature_invalid",
	token.IssuerMismatch: "issuer_mismatch", token.AudienceMismatch: "audience_mismatch", token.WrongType: "token_type_wrong",
	token.Expired: "token_expired", token.Inactive: "token_inactive", token.Unavailable: "okta_unavailable",
	token.RateLimited: "okta_rate_limited", token.Overloaded: "overloaded",
}

var worldScopes = []string{"read", "write", "admin"}

// one draws one of the words.
func one[T any](t *rapid.T, label string, words ...T) T {
	return rapid.SampledFrom(words).Draw(t, label)
}

// rarely is true in one of n draws.
func rarely(t *rapid.T, label string, n int) bool {
	return rapid.IntRange(1, n).Draw(t, label) == n
}

func some(t *rapid.T, label string, least int, words ...string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(words), least, len(words), rapid.ID).Draw(t, label)
}

// drawWorld draws a configuration that compiles: three organizations of two applications,
// up to three APIs at nested base paths, operations that overlap, any grants.
func drawWorld(t *rapid.T) *durwardv1.Config {
	cfg := config()
	cfg.Organizations, cfg.Apis, cfg.Grants = nil, nil, nil
	drawPolicies(t, cfg)
	for o := range 3 {
		org := &durwardv1.Organization{Name: fmt.Sprintf("org%d", o), Enabled: one(t, "enabled", nil, nil, nil, proto.Bool(true), proto.Bool(false))}
		for a := range 2 {
			org.Applications = append(org.Applications, &durwardv1.Application{
				Name: fmt.Sprintf("app%d", a), ClientIds: []string{fmt.Sprintf("0oa%d%d", o, a), fmt.Sprintf("0oa%d%dSECOND", o, a)},
				Enabled: one(t, "enabled", nil, nil, nil, proto.Bool(true), proto.Bool(false)),
			})
		}
		cfg.Organizations = append(cfg.Organizations, org)
	}
	for i, base := range some(t, "bases", 1, "/", "/a", "/a/b") {
		cfg.Apis = append(cfg.Apis, drawAPI(t, fmt.Sprintf("api%d", i), base))
	}
	for _, api := range cfg.Apis {
		for _, org := range cfg.Organizations {
			if one(t, "granted", true, true, false) {
				g := &durwardv1.Grant{Api: api.Name, Organization: org.Name, AllApplications: one(t, "all", true, false)}
				if !g.AllApplications {
					g.Applications = some(t, "applications", 0, "app0", "app1")
				}
				cfg.Grants = append(cfg.Grants, g)
			}
		}
	}
	return cfg
}

// drawPolicies draws what the token policies ask, and who is denied.
func drawPolicies(t *rapid.T, cfg *durwardv1.Config) {
	for _, p := range cfg.TokenPolicies {
		p.MachineTokens = one(t, "machines", true, false)
		p.Claims, p.Rule, p.AcrValues = drawNeeds(t)
	}
	for _, d := range []*durwardv1.Denial{{UserId: "00uALICE"}, {ClientId: "0oa00"}, {ClientId: "0oa10SECOND"}, {TokenId: "AT.1"}} {
		if rarely(t, "denial", 8) {
			d.Reason, d.Until = "drawn", one(t, "until", nil, timestamppb.New(now.Add(time.Second)), timestamppb.New(now))
			cfg.Denials = append(cfg.Denials, d)
		}
	}
}

// drawNeeds draws what a policy, an API or an operation requires.
func drawNeeds(t *rapid.T) (claims []*durwardv1.RequiredClaim, rule string, acr []string) {
	if rarely(t, "claim", 8) {
		finance := structpb.NewStringValue("finance")
		claims = []*durwardv1.RequiredClaim{one(t, "form",
			&durwardv1.RequiredClaim{Claim: "department", Equals: finance},
			&durwardv1.RequiredClaim{Claim: "department", OneOf: []*structpb.Value{structpb.NewNumberValue(1), finance}},
			&durwardv1.RequiredClaim{Claim: "of.departments", Contains: finance})}
	}
	if rarely(t, "rule", 8) {
		rule = one(t, "rule", `token.claims.department == "finance"`, `"finance" in token.claims.of.departments && request.method != ""`)
	}
	if rarely(t, "sign-in", 8) {
		acr = one(t, "acr", []string{"phr"}, []string{"phrh", "phr"})
	}
	return claims, rule, acr
}

func drawAPI(t *rapid.T, name, base string) *durwardv1.API {
	api := &durwardv1.API{
		Name:        name,
		Frontend:    &durwardv1.Frontend{Hosts: some(t, "hosts", 1, "api.example.com", "*.example.com", "other.test"), Path: base},
		Backend:     &durwardv1.Backend{Url: "http://127.0.0.1:8080"},
		TokenPolicy: one(t, "api policy", "users", "users", "fresh", ""),
		Mode:        one(t, "mode", "", "", "", "enforce", "shadow"),
	}
	api.Claims, api.Rule, api.AcrValues = drawNeeds(t)
	templates := []string{"/", "/a", "/b/", "/{x}", "/{x}/", "/{x}/b", "/b/{y}", "/{x}/{y}", "/**", "/b/**", "/{x}/**", "/a%20b"}
	for _, path := range some(t, "templates", 1, templates...) {
		for _, method := range some(t, "methods", 1, "GET", "POST") {
			op := &durwardv1.Operation{Methods: []string{method}, Path: path}
			api.Operations = append(api.Operations, op)
			if rarely(t, "public", 6) {
				op.Public = true
				continue
			}
			op.TokenPolicy = one(t, "policy", "", "fresh", "users")
			op.Claims, op.Rule, op.AcrValues = drawNeeds(t)
			if api.TokenPolicy == "" && op.TokenPolicy == "" {
				op.TokenPolicy = "users"
			}
			op.Scopes = &durwardv1.Scopes{All: some(t, "scopes", 1, worldScopes[:2]...)}
			if one(t, "any", true, false) {
				op.Scopes = &durwardv1.Scopes{Any: op.Scopes.All}
			}
		}
	}
	return api
}

// drawRequest draws a request that mostly meets an operation of the world.
func drawRequest(t *rapid.T, cfg *durwardv1.Config) policy.Request {
	api := one(t, "api", cfg.Apis...)
	op := one(t, "operation", api.Operations...)
	path := strings.TrimSuffix(api.Frontend.Path, "/") + op.Path
	for _, name := range []string{"{x}", "{y}", "**"} {
		path = strings.ReplaceAll(path, name, one(t, name, "7", "7", "a", "b", "b/a", "caf%C3%A9", ""))
	}
	if op.Path == "/" && one(t, "exactly", true, false) {
		path = api.Frontend.Path
	}
	r := policy.Request{
		API: api.Name, Method: op.Methods[0], Path: path,
		Host:          one(t, "host", strings.Replace(api.Frontend.Hosts[0], "*", "www", 1), "api.example.com", "API.Example.com.:443"),
		Authorization: []string{one(t, "scheme", "Bearer", "Bearer", "Bearer", "Bearer", "DPoP", "dpop") + " abc.def"},
	}
	switch rapid.IntRange(0, 24).Draw(t, "change") {
	case 20:
		r.API = one(t, "other api", "", "-", "gone", "api0", "api1", "api2")
	case 21:
		r.Method = one(t, "other method", "POST", "GET", "HEAD", "get", "", strings.Repeat("G", 33))
	case 22:
		r.Host = one(t, "other host", "other.test", "example.com", "a.b.example.com", "evil.test", "", "a,b", "x..y", "u@other.test", ".example.com")
	case 23:
		r.Path += one(t, "more", "/", "/x", "x", "//", "/..", "/.", "%2e", "%2F", "%41", "%2541", "%25", "%zz", ";a", "#", "%3b", "\x00", "é",
			"?x=1", "?access_token=x", "?y;access%5Ftoken", "?x=//&%zz=1", "%c3%a9", "%7F", `\`, "{", strings.Repeat("/a", 9000))
	case 24:
		r.Authorization = one(t, "credential", nil, []string{""}, []string{"Basic YQ"}, []string{"Bearer"}, []string{"Bearer "}, []string{"bEARER   a=="},
			[]string{"Bearer a", "Bearer a"}, []string{"Bearer a,Bearer b"}, []string{"Bearer =a"}, []string{"Bearerx a"}, []string{"DPoP"}, []string{"DPoP a,b"}, []string{" Bearer a"}, []string{"Bearer a "})
		r.Defect = one(t, "defect", "", "", "", "", "", "defect")
	}
	return r
}

// drawBeliefs draws what a verifier says under each of the token policies.
func drawBeliefs(t *rapid.T) map[string]belief {
	beliefs := make(map[string]belief)
	for _, name := range []string{"users", "fresh"} {
		b := belief{claims: token.Claims{
			Issuer: "https://example.okta.com/oauth2/default", Subject: "alice@example.com", UserID: one(t, "uid", "00uALICE", "00uALICE", "00uALICE", ""), TokenID: "AT.1",
			ClientID:  fmt.Sprintf("0oa%d%d%s", rapid.IntRange(0, 2).Draw(t, "org"), rapid.IntRange(0, 1).Draw(t, "app"), one(t, "id", "", "SECOND")),
			Scopes:    one(t, "held", worldScopes, worldScopes[:2], worldScopes[:1], worldScopes[1:], []string{"READ", "readwrite", "rea"}, nil),
			ExpiresAt: now.Add(time.Hour),
			ACR:       one(t, "acr", "phr", "phr", "phrh", ""),
		}, proof: one(t, "proof", true, true, false), department: one(t, "department", "finance", "finance", "sales", "")}
		if one(t, "bound", false, false, false, true) {
			b.claims.Bound, b.claims.KeyThumbprint = true, one(t, "key", "THUMBPRINT", "THUMBPRINT", "")
		}
		b.claims.Other = departmentClaim(b.department)
		switch rapid.IntRange(0, 24).Draw(t, "doubt") {
		case 19, 20:
			b = belief{failure: one(t, "failure", token.Malformed, token.NotYetValid, token.SignatureInvalid, token.IssuerMismatch, token.AudienceMismatch,
				token.WrongType, token.Expired, token.Inactive, token.Unavailable, token.RateLimited, token.Overloaded)}
		case 21:
			b.claims.ExpiresAt = now.Add(one(t, "left", -time.Hour, 0, 1))
		case 22:
			b.claims.ClientID = one(t, "stranger", "", "0OA00", "0oa0", "0oa99", "app0")
		case 23:
			b.claims.UserID = one(t, "user", "", "00u")
		case 24:
			b.claims.Groups = []string{strings.Repeat("g", one(t, "groups", 1, 9000))}
		}
		beliefs[name] = b
	}
	return beliefs
}

// departmentClaim is the department as a claim, and in a list within another.
func departmentClaim(name string) *token.Other {
	if name == "" {
		return nil
	}
	object, err := token.ParseObject(fmt.Appendf(nil, `{"department":%q,"of":{"departments":["x",%q]}}`, name, name))
	if err != nil {
		panic(err)
	}
	c, err := token.ParseClaims(object)
	if err != nil {
		panic(err)
	}
	return c.Other
}

// witness believes and proves by beliefs.
func witness(beliefs map[string]belief) policy.Witness {
	asked := ""
	return policy.Witness{
		Verify: func(p *catalog.TokenPolicy, t token.Token) (token.Fact, error) {
			asked = p.Name
			return verifier(beliefs)(p, t)
		},
		Prove: func(token.Proof) error {
			if !beliefs[asked].proof {
				return &token.Error{Failure: token.ProofInvalid}
			}
			return nil
		},
		Now: clock,
	}
}

// verifier answers by the name of the token policy that it is asked about.
func verifier(beliefs map[string]belief) policy.Verify {
	return func(p *catalog.TokenPolicy, _ token.Token) (token.Fact, error) {
		b, ok := beliefs[p.Name]
		if !ok || b.failure != "" {
			return token.Fact{}, &token.Error{Failure: b.failure}
		}
		b.claims.Scopes = slices.Clone(b.claims.Scopes)
		return token.Fact{Claims: b.claims, Mode: token.ByIntrospection}, nil
	}
}
