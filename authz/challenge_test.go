package authz_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// parseChallenge reads one challenge as RFC 9110 section 11.6.1 has it: parameters in
// quoted-strings.
func parseChallenge(t reporter, text string) (scheme string, params map[string]string) {
	t.Helper()
	scheme, rest, _ := strings.Cut(text, " ")
	params = map[string]string{}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimLeft(strings.TrimPrefix(rest, ","), " \n\t") {
		name, after, ok := strings.Cut(rest, "=")
		after = strings.TrimLeft(after, " \n\t")
		if _, twice := params[name]; !ok || twice || !strings.HasPrefix(after, `"`) {
			t.Fatalf("%q is no challenge at %q", text, rest)
		}
		var value []byte
		i := 1
		for ; i < len(after) && after[i] != '"'; i++ {
			if after[i] == '\\' {
				i++
			}
			if i < len(after) {
				value = append(value, after[i])
			}
		}
		if i >= len(after) {
			t.Fatalf("%q does not end its string", text)
		}
		params[name], rest = string(value), after[i+1:]
		if rest != "" && rest[0] != ',' {
			t.Fatalf("%q goes on with %q", text, rest)
		}
	}
	return scheme, params
}

// challengeOf is what a caller reads of a decision.
func challengeOf(d policy.Decision) string {
	res := authz.Respond(d, get().request(), nil)
	return headerOf(res, "www-authenticate")
}

func headerOf(res *authv3.CheckResponse, name string) string {
	for _, h := range res.GetDeniedResponse().GetHeaders() {
		if h.GetHeader().GetKey() == name {
			return h.GetHeader().GetValue()
		}
	}
	return ""
}

// TestPublishedChallenges has the examples of the RFCs: ours says the same, but for the
// realm, which some leave out, and for the words of error_description.
func TestPublishedChallenges(t *testing.T) {
	t.Parallel()
	resource := &catalog.API{ProtectedResource: true, BasePath: "/", External: []string{"https://resource.example.com"}}
	cases := []struct {
		source, published string
		d                 policy.Decision
	}{
		{"RFC 6750 section 3, no token", `Bearer realm="example"`, policy.Deny(contract.TokenMissing, "")},
		{"RFC 6750 section 3, expired token", `Bearer realm="example",
                       error="invalid_token",
                       error_description="The access token expired"`, policy.Deny(contract.TokenExpired, "")},
		{"RFC 9470 section 3, level", `Bearer error="insufficient_user_authentication",
  error_description="A different authentication level is required",
  acr_values="myACR"`, policy.Decision{Reason: contract.StepUpRequired, ACRValues: []string{"myACR"}}},
		{"RFC 9470 section 3, age", `Bearer error="insufficient_user_authentication",
  error_description="More recent authentication is required",
  max_age="5"`, policy.Decision{Reason: contract.StepUpRequired, MaxAuthAge: 5 * time.Second}},
		{"RFC 9728 section 5.1", `Bearer resource_metadata=
  "https://resource.example.com/.well-known/oauth-protected-resource"`, policy.Decision{Reason: contract.TokenMissing, API: resource}},
	}
	for _, c := range cases {
		scheme, want := parseChallenge(t, c.published)
		gotScheme, got := parseChallenge(t, challengeOf(c.d))
		for _, free := range []string{"realm", "error_description"} {
			delete(want, free)
			delete(got, free)
		}
		if diff := cmp.Diff(want, got); gotScheme != scheme || diff != "" {
			t.Errorf("%s: %s, %s", c.source, gotScheme, diff)
		}
	}
}

// TestProofChallenge: RFC 9449 section 7.1 publishes algs beside another error code.
func TestProofChallenge(t *testing.T) {
	t.Parallel()
	const want = `DPoP realm="durward", error="invalid_dpop_proof", error_description="The DPoP proof is not valid", algs="ES256 PS256 RS256"`
	if got := challengeOf(policy.Deny(contract.ProofInvalid, "")); got != want {
		t.Error(got)
	}
}

// TestStepUpChallenge names both needs; part of a second is not asked for.
func TestStepUpChallenge(t *testing.T) {
	t.Parallel()
	d := policy.Decision{Reason: contract.StepUpRequired, ACRValues: []string{"phr", "phrh"}, MaxAuthAge: 90*time.Second + 900*time.Millisecond}
	_, got := parseChallenge(t, challengeOf(d))
	if got["acr_values"] != "phr phrh" || got["max_age"] != "90" {
		t.Error(got)
	}
}

// TestChallengeReadsBack: whatever a value is, a reader of the header gets that value, and
// no parameter that is not ours. Bytes that no header may hold are encoded.
func TestChallengeReadsBack(t *testing.T) {
	t.Parallel()
	known := []string{"realm", "error", "error_description", "scope", "acr_values", "max_age", "algs", "resource_metadata"}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[ -~]{1,40}`), rapid.StringMatching(`["\\,= a]{1,12}`), rapid.String())
		value := rapid.SliceOfN(text, 1, 4).Draw(t, "values")
		d := policy.Deny(rapid.SampledFrom(contract.Reasons()).Draw(t, "reason"), "")
		d.Scopes, d.ACRValues, d.MaxAuthAge = value, value, time.Duration(rapid.IntRange(0, 1<<40).Draw(t, "age"))
		d.API = &catalog.API{ProtectedResource: true, BasePath: "/", External: []string{"https://" + value[0]}}
		res := authz.Respond(d, get().request(), nil)
		mustBeWellFormed(t, res)
		header := headerOf(res, "www-authenticate")
		if header == "" {
			return
		}
		_, got := parseChallenge(t, header)
		for name := range got {
			if !slices.Contains(known, name) {
				t.Fatalf("%s has %q", header, name)
			}
		}
		joined := strings.Join(value, " ")
		if !strings.ContainsFunc(joined, func(r rune) bool { return r < ' ' || r > '~' }) && joined != "" {
			if got["scope"] != joined || got["acr_values"] != joined || !strings.HasPrefix(got["resource_metadata"], "https://"+value[0]) {
				t.Fatalf("%q reads back as %v", value, got)
			}
		}
	})
}
