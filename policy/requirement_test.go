package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// with is config with a change.
func with(change func(*durwardv1.Config)) *durwardv1.Config {
	cfg := config()
	change(cfg)
	return cfg
}

// operation changes the operation that get asks for.
func operation(change func(*durwardv1.Operation)) *durwardv1.Config {
	return with(func(cfg *durwardv1.Config) { change(cfg.Apis[0].Operations[0]) })
}

// saying makes the further claims of a token.
func saying(object string) func(*token.Claims) {
	return func(c *token.Claims) {
		o, err := token.ParseObject([]byte(object))
		if err != nil {
			panic(err)
		}
		further, err := token.ParseClaims(o)
		if err != nil {
			panic(err)
		}
		c.ACR, c.AuthTime, c.Groups, c.Other = further.ACR, further.AuthTime, further.Groups, further.Other
		c.Bound, c.KeyThumbprint = further.Bound, further.KeyThumbprint
	}
}

func requires(claim string, set func(*durwardv1.RequiredClaim)) *durwardv1.Config {
	r := &durwardv1.RequiredClaim{Claim: claim}
	set(r)
	return operation(func(op *durwardv1.Operation) { op.Claims = []*durwardv1.RequiredClaim{r} })
}

func equals(claim string, value any) *durwardv1.Config {
	return requires(claim, func(r *durwardv1.RequiredClaim) { r.Equals = mustValue(value) })
}

func contains(claim string, value any) *durwardv1.Config {
	return requires(claim, func(r *durwardv1.RequiredClaim) { r.Contains = mustValue(value) })
}

func ruled(rule string) *durwardv1.Config {
	return operation(func(op *durwardv1.Operation) { op.Rule = rule })
}

func mustValue(value any) *structpb.Value {
	v, err := structpb.NewValue(value)
	if err != nil {
		panic(err)
	}
	return v
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	fresh := operation(func(op *durwardv1.Operation) { op.MaxAuthAge = durationpb.New(10 * time.Minute) })
	strong := with(func(cfg *durwardv1.Config) {
		cfg.TokenPolicies[0].AcrValues = []string{"phr", "phrh", "pwd"}
		cfg.Apis[0].AcrValues = []string{"phrh", "phr"}
		cfg.Apis[0].Operations[0].AcrValues = []string{"phrh", "pwd"}
	})
	signedIn := func(ago time.Duration) func(*token.Claims) {
		return func(c *token.Claims) { c.AuthTime = now.Add(-ago) }
	}
	denial := func(d *durwardv1.Denial) *durwardv1.Config {
		d.Reason = "laptop lost"
		return with(func(cfg *durwardv1.Config) { cfg.Denials = []*durwardv1.Denial{d} })
	}
	cases := []struct {
		name   string
		config *durwardv1.Config
		claims func(*token.Claims)
		want   contract.Reason
	}{
		{"application disabled", with(func(cfg *durwardv1.Config) { cfg.Organizations[0].Applications[0].Enabled = proto.Bool(false) }), nil, contract.ApplicationDisabled},
		{"organization disabled", with(func(cfg *durwardv1.Config) { cfg.Organizations[0].Enabled = proto.Bool(false) }), nil, contract.ApplicationDisabled},
		{"both enabled", with(func(cfg *durwardv1.Config) {
			cfg.Organizations[0].Enabled, cfg.Organizations[0].Applications[0].Enabled = proto.Bool(true), proto.Bool(true)
		}), nil, ""},
		{"another disabled", with(func(cfg *durwardv1.Config) { cfg.Organizations[0].Applications[1].Enabled = proto.Bool(false) }), nil, ""},

		{"user denied", denial(&durwardv1.Denial{UserId: "00uALICE"}), nil, contract.TokenRevoked},
		{"client denied", denial(&durwardv1.Denial{ClientId: "0oaMOBILE"}), nil, contract.TokenRevoked},
		{"token denied", denial(&durwardv1.Denial{TokenId: "AT.1"}), nil, contract.TokenRevoked},
		{"denied until later", denial(&durwardv1.Denial{UserId: "00uALICE", Until: timestamppb.New(now.Add(time.Nanosecond))}), nil, contract.TokenRevoked},
		{"denied until now", denial(&durwardv1.Denial{UserId: "00uALICE", Until: timestamppb.New(now)}), nil, ""},
		{"another user denied", denial(&durwardv1.Denial{UserId: "00ualice"}), nil, ""},
		{"a user by the name of a denied client", denial(&durwardv1.Denial{ClientId: "00uALICE"}), nil, ""},

		{"machine", config(), func(c *token.Claims) { c.UserID = "" }, contract.TokenTypeWrong},
		{"machine, accepted", with(func(cfg *durwardv1.Config) { cfg.TokenPolicies[0].MachineTokens = true }), func(c *token.Claims) { c.UserID = "" }, ""},
		{"machine, accepted elsewhere", with(func(cfg *durwardv1.Config) { cfg.TokenPolicies[1].MachineTokens = true }), func(c *token.Claims) { c.UserID = "" }, contract.TokenTypeWrong},

		{"sign-in without a time", fresh, nil, contract.StepUpRequired},
		{"sign-in at the bound", fresh, signedIn(10 * time.Minute), ""},
		{"sign-in behind the bound", fresh, signedIn(10*time.Minute + time.Second), contract.StepUpRequired},
		{"sign-in within the leeway", fresh, signedIn(-30 * time.Second), ""},
		{"sign-in to come", fresh, signedIn(-31 * time.Second), contract.StepUpRequired},
		{"no acr", strong, nil, contract.StepUpRequired},
		{"acr that one level does not accept", strong, func(c *token.Claims) { c.ACR = "phr" }, contract.StepUpRequired},
		{"acr in other case", strong, func(c *token.Claims) { c.ACR = "PHRH" }, contract.StepUpRequired},
		{"acr that all accept", strong, func(c *token.Claims) { c.ACR = "phrh" }, ""},

		{"equal", equals("department", "finance"), saying(`{"department":"finance"}`), ""},
		{"absent", equals("department", "finance"), nil, contract.ClaimMismatch},
		{"null", equals("department", "finance"), saying(`{"department":null}`), contract.ClaimMismatch},
		{"other case", equals("department", "finance"), saying(`{"department":"Finance"}`), contract.ClaimMismatch},
		{"list for a text", equals("department", "finance"), saying(`{"department":["finance"]}`), contract.ClaimMismatch},
		{"empty text for an absent one", equals("department", ""), nil, contract.ClaimMismatch},
		{"true", equals("verified", true), saying(`{"verified":true}`), ""},
		{"text for true", equals("verified", true), saying(`{"verified":"true"}`), contract.ClaimMismatch},
		{"number", equals("level", 3), saying(`{"level":3.0}`), ""},
		{"text for a number", equals("level", 3), saying(`{"level":"3"}`), contract.ClaimMismatch},
		{"nested", equals("address.country", "CH"), saying(`{"address":{"country":"CH"}}`), ""},
		{"dotted name is no path", equals("address.country", "CH"), saying(`{"address.country":"CH"}`), contract.ClaimMismatch},
		{"own claim", equals("sub", "alice@example.com"), nil, ""},
		{"own claim that is absent", equals("acr", ""), nil, contract.ClaimMismatch},
		{"contained", contains("groups", "sales"), saying(`{"groups":["it","sales"]}`), ""},
		{"part of an item", contains("groups", "sales"), saying(`{"groups":["sales-emea"]}`), contract.ClaimMismatch},
		{"text for a list", contains("teams", "sales"), saying(`{"teams":"sales"}`), contract.ClaimMismatch},
		{"number contained", contains("sites", 7), saying(`{"sites":[1,7]}`), ""},
		{"one of", requires("tier", func(r *durwardv1.RequiredClaim) { r.OneOf = []*structpb.Value{mustValue("gold"), mustValue(1)} }), saying(`{"tier":1}`), ""},
		{"none of", requires("tier", func(r *durwardv1.RequiredClaim) { r.OneOf = []*structpb.Value{mustValue("gold"), mustValue(1)} }), saying(`{"tier":"1"}`), contract.ClaimMismatch},

		{"rule holds", ruled(`request.params.id == "7" && token.sub.startsWith("alice") && application.organization == "retail" && api.name == "orders"`), nil, ""},
		{"rule is false", ruled(`request.method == "POST"`), nil, contract.ClaimMismatch},
		{"rule misses a claim", ruled(`token.claims.department != "sales"`), nil, contract.ClaimMismatch},
		{"rule misses a parameter", ruled(`request.params.other != "x"`), nil, contract.ClaimMismatch},
		{"rule has a claim", ruled(`token.claims.level > 2.0 && "sales" in token.groups`), saying(`{"level":3,"groups":["sales"]}`), ""},
		{"rule about time", ruled(`request.time < token.exp && request.host == "api.example.com"`), nil, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cat := compile(t, c.config)
			var trace policy.Trace
			d := policy.Decide(cat, get(nil), policy.Witness{Verify: believed(c.claims), Now: clock}, &trace)
			if d.Reason != c.want || d.Allowed() != (c.want == "") {
				t.Errorf("%q (%s), want %q", d.Reason, d.Detail, c.want)
			}
			mustFollowChecks(t, d, trace)
			if bare := policy.Decide(cat, get(nil), policy.Witness{Verify: believed(c.claims), Now: clock}, nil); bare.Reason != d.Reason {
				t.Errorf("without a trace: %q", bare.Reason)
			}
		})
	}
}

// mustFollowChecks holds a decision to the table of what is checked: steps in its order,
// and a reason of the step that failed.
func mustFollowChecks(t *testing.T, d policy.Decision, trace policy.Trace) {
	t.Helper()
	checks, last := contract.Checks(), -1
	for _, s := range trace.Steps {
		i := slices.IndexFunc(checks, func(c contract.Check) bool { return c.Step == s.Name })
		if i < 0 || i < last {
			t.Errorf("step %q is not at its place in the table of checks", s.Name)
			continue
		}
		last = i
	}
	if !d.Allowed() && (last < 0 || !slices.Contains(checks[last].Reasons, d.Reason)) {
		t.Errorf("%q is no reason of the last step in %+v", d.Reason, trace.Steps)
	}
}

// TestChecksAreComplete: every reason belongs to a step.
func TestChecksAreComplete(t *testing.T) {
	t.Parallel()
	for _, r := range contract.Reasons() {
		if !slices.ContainsFunc(contract.Checks(), func(c contract.Check) bool { return slices.Contains(c.Reasons, r) }) {
			t.Errorf("no check denies with %q", r)
		}
	}
}

func TestStepUpTellsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	cat := compile(t, operation(func(op *durwardv1.Operation) {
		op.AcrValues, op.MaxAuthAge = []string{"phr"}, durationpb.New(time.Minute)
	}))
	d := policy.Decide(cat, get(nil), policy.Witness{Verify: believed(nil), Now: clock}, nil)
	if !slices.Equal(d.ACRValues, []string{"phr"}) || d.MaxAuthAge != time.Minute {
		t.Errorf("%q tells %v and %s", d.Reason, d.ACRValues, d.MaxAuthAge)
	}
}

// TestProof: a bound token needs the scheme, the key and a proof that holds; an unbound
// one has none.
func TestProof(t *testing.T) {
	t.Parallel()
	cat := compile(t, with(func(cfg *durwardv1.Config) {
		cfg.Apis[0].Frontend.External = []string{"https://api.example.com", "https://api.example.org:8443"}
	}))
	bound, twice := saying(`{"cnf":{"jkt":"THUMB"}}`), saying(`{"cnf":{"jkt":"THUMB","x5t#S256":"C"}}`)
	for _, c := range []struct {
		name, scheme string
		claims       func(*token.Claims)
		says         error
		want         contract.Reason
		asked        bool
	}{
		{"bearer", "Bearer", nil, nil, "", false},
		{"bound under bearer", "Bearer", bound, nil, contract.BindingMismatch, false},
		{"free under DPoP", "DPoP", nil, nil, contract.BindingMismatch, false},
		{"bound to a certificate", "DPoP", saying(`{"cnf":{"x5t#S256":"C"}}`), nil, contract.BindingMismatch, false},
		{"bound to a certificate, under bearer", "Bearer", saying(`{"cnf":{"x5t#S256":"C"}}`), nil, contract.BindingMismatch, false},
		{"bound to both", "DPoP", twice, nil, contract.BindingMismatch, false},
		{"bound, with a proof", "dPoP", bound, nil, "", true},
		{"bound, with a bad proof", "DPoP", bound, &token.Error{Failure: token.ProofInvalid}, contract.ProofInvalid, true},
		{"bound, with another key", "DPoP", bound, &token.Error{Failure: token.BindingMismatch}, contract.BindingMismatch, true},
		{"bound, nothing to remember proofs in", "DPoP", bound, &token.Error{Failure: token.Overloaded}, contract.Overloaded, true},
		{"bound, unknown error", "DPoP", bound, errors.New("x"), contract.Internal, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			prove := func(p token.Proof) error {
				asked++
				want := token.Proof{
					Headers: []string{"PROOF"}, Method: "GET", KeyThumbprint: "THUMB", Token: p.Token,
					URLs: []string{"https://api.example.com/orders/7", "https://api.example.org:8443/orders/7"},
				}
				if diff := cmp.Diff(want, p, cmp.Comparer(func(a, b token.Token) bool { return a == b })); diff != "" || p.Token.Reveal() != "abc.def" {
					t.Error(diff)
				}
				return c.says
			}
			request := get(func(r *policy.Request) {
				r.Path += "?q=1"
				r.Authorization, r.Proofs = []string{c.scheme + " abc.def"}, []string{"PROOF"}
			})
			var trace policy.Trace
			d := policy.Decide(cat, request, policy.Witness{Verify: believed(c.claims), Prove: prove, Now: clock}, &trace)
			if d.Reason != c.want || asked > 1 || (asked == 1) != c.asked {
				t.Errorf("%q (%s), proof looked at %d times", d.Reason, d.Detail, asked)
			}
			mustFollowChecks(t, d, trace)
			if d := policy.Decide(cat, request, policy.Witness{Verify: believed(c.claims), Now: clock}, nil); c.asked && d.Reason != contract.Internal {
				t.Errorf("without a witness for proofs: %q", d.Reason)
			}
		})
	}
}

// TestShadow: what an API in shadow mode denies passes, without a word about the caller.
func TestShadow(t *testing.T) {
	t.Parallel()
	cat := compile(t, with(func(cfg *durwardv1.Config) { cfg.Apis[0].Mode = "shadow" }))
	for name, c := range map[string]struct {
		request policy.Request
		verify  policy.Verify
		passes  bool
	}{
		"scope missing":   {get(nil), believed(func(c *token.Claims) { c.Scopes = nil }), true},
		"Okta down":       {get(nil), refused(&token.Error{Failure: token.Unavailable}), true},
		"no token":        {get(func(r *policy.Request) { r.Authorization = nil }), unasked(t), true},
		"no operation":    {get(func(r *policy.Request) { r.Path = "/orders/7/x" }), believed(nil), true},
		"malformed":       {get(func(r *policy.Request) { r.Path = "/orders/../7" }), unasked(t), true},
		"not of this API": {get(func(r *policy.Request) { r.Path = "/other" }), unasked(t), false},
		"of no API":       {get(func(r *policy.Request) { r.API = "-" }), unasked(t), false},
	} {
		d := policy.Decide(cat, c.request, policy.Witness{Verify: c.verify, Now: clock}, nil)
		if d.Allowed() || d.Shadowed() != c.passes || d.Identity != nil || d.Status() == 0 {
			t.Errorf("%s: allowed %t, shadowed %t, identity %v, status %d", name, d.Allowed(), d.Shadowed(), d.Identity, d.Status())
		}
	}
	if d := policy.Decide(cat, get(nil), policy.Witness{Verify: believed(nil), Now: clock}, nil); !d.Allowed() || d.Shadowed() || len(d.Identity) == 0 {
		t.Errorf("a good request: allowed %t, shadowed %t, identity %v", d.Allowed(), d.Shadowed(), d.Identity)
	}
	if (policy.Decision{}).Shadowed() || policy.Deny(contract.Internal, "").Shadowed() {
		t.Error("a decision that nobody made is shadowed")
	}
}

func TestMappedClaims(t *testing.T) {
	t.Parallel()
	cat := compile(t, with(func(cfg *durwardv1.Config) {
		cfg.Headers = &durwardv1.Headers{Preset: "oauth2-proxy", Claims: map[string]string{
			"email": "email", "level": "level", "verified": "verified", "teams": "teams", "country": "address.country",
			"address": "address", "id": "id", "empty": "empty", "absent": "absent", "signed-in": "auth_time", "mixed": "mixed",
		}}
	}))
	d := policy.Decide(cat, get(nil), policy.Witness{Verify: believed(saying(`{
		"email":"al\r\nice@x@y,z","level":12345678901234567890,"verified":false,"teams":["a,b","",3,true],
		"address":{"country":"Zürich"},"id":1e3,"empty":"","auth_time":1700000000,"mixed":[{"a":1},"b",null]}`)), Now: clock}, nil)
	got := map[string]string{}
	for _, h := range d.Identity {
		if !strings.HasPrefix(h.Name, "x-auth-") || strings.HasPrefix(h.Name, "x-auth-request") {
			got[h.Name] = h.Value
		}
	}
	want := map[string]string{
		"x-claim-email": "al%0D%0Aice@x@y,z", "x-claim-level": "12345678901234567890", "x-claim-verified": "false",
		"x-claim-teams": "a%2Cb,3,true", "x-claim-country": "Z%C3%BCrich", "x-claim-id": "1e3",
		"x-claim-signed-in": "1700000000", "x-claim-mixed": "b",
		"x-auth-request-email": "al%0D%0Aice@x@y,z", "x-auth-request-user": "alice@example.com",
		"x-forwarded-email": "al%0D%0Aice@x@y,z", "x-forwarded-user": "alice@example.com",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
