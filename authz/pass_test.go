package authz_test

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// set and removed are the request headers that a pass changes.
func set(res *authv3.CheckResponse) map[string]string {
	all := map[string]string{}
	for _, h := range res.GetOkResponse().GetHeaders() {
		all[h.Header.Key] = h.Header.Value
	}
	return all
}

func removed(res *authv3.CheckResponse, name string) bool {
	return slices.Contains(res.GetOkResponse().GetHeadersToRemove(), name)
}

// TestPassIsWellFormed (P10): for any configuration of headers, mode and claims, every
// owned header is in exactly one list, and a pass by shadow mode names nobody.
func TestPassIsWellFormed(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		cfg := vault()
		cfg.Headers = drawHeaders(t)
		api := cfg.Apis[1]
		api.ForwardAuthorization = rapid.Bool().Draw(t, "forward")
		if rapid.Bool().Draw(t, "shadow") {
			api.Mode = "shadow"
		}
		cat, findings := catalog.Compile(cfg, nil)
		if cat == nil {
			t.Fatalf("catalogue does not compile: %v", findings)
		}
		c := terms{forward: api.ForwardAuthorization}
		for _, h := range cat.Headers.Claims {
			c.mapped = append(c.mapped, h.Header)
		}
		fact, err := token.Fact{Claims: drawClaims(t)}, error(nil)
		if rapid.IntRange(0, 4).Draw(t, "trouble") == 0 {
			failure := rapid.SampledFrom([]token.Failure{token.Inactive, token.Unavailable, token.Overloaded, "unlisted"}).Draw(t, "failure")
			fact, err = token.Fact{}, &token.Error{Failure: failure}
		}
		d := policy.Decide(cat, policy.Request{
			API: "vault", Method: rapid.SampledFrom([]string{"GET", "GET", "GET", "PUT", "get"}).Draw(t, "method"), Host: "api.example.com",
			Path:          rapid.SampledFrom([]string{"/vault/items", "/vault/items", "/vault/staff", "/vault/either", "/vault/nowhere", "/vault//"}).Draw(t, "path"),
			Authorization: []string{"Bearer abc"},
		}, policy.Witness{
			Verify: func(*catalog.TokenPolicy, token.Token) (token.Fact, error) { return fact, err }, Now: time.Now,
		}, nil)
		if d.Shadowed() { // policy leaves it empty; here it would not matter
			d.Identity = []policy.Header{{Name: contract.HeaderSubject, Value: "root"}}
		}
		res := authz.Respond(d, get().request(), cat)
		c.forward = c.forward && d.API != nil
		passes := c.mustBeWellFormed(t, res)
		if passes != (d.Allowed() || api.Mode == "shadow") {
			t.Fatalf("%s in mode %q: passes is %t", d.Reason, api.Mode, passes)
		}
		switch {
		case d.Allowed():
			seen["allow"]++
			if len(set(res)) != len(d.Identity)+1 {
				t.Fatalf("the backend is told %v of %v", set(res), d.Identity)
			}
		case passes:
			seen["shadow "+string(d.Reason)]++
			mustBeAnonymous(t, res)
		}
	})
	if t.Logf("passes: %v", seen); seen["allow"] == 0 || len(seen) < 6 {
		t.Error("too little passed")
	}
}

func drawHeaders(t *rapid.T) *durwardv1.Headers {
	h := &durwardv1.Headers{
		Prefix: rapid.SampledFrom([]string{"", "x-claim-", "x-who-"}).Draw(t, "prefix"),
		Preset: rapid.SampledFrom([]string{"", "istio", "oauth2-proxy"}).Draw(t, "preset"),
		Claims: map[string]string{},
	}
	for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"email", "department", "list", "nested", "sub", "absent"}), rapid.ID).Draw(t, "mapped") {
		h.Claims[name] = map[string]string{"nested": "address.city"}[name]
		if h.Claims[name] == "" {
			h.Claims[name] = name
		}
	}
	return h
}

// drawClaims are alice's, and further ones of any value.
func drawClaims(t *rapid.T) token.Claims {
	hostile := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", " ", "a\r\nx-auth-subject: root", "\x00", "a,b", "\u202eroot", "%0d%0a", strings.Repeat("é", 3000)}))
	all := map[string]any{
		"iss": issuer, "sub": "alice@example.com", "uid": "00uALICE", "cid": "0oaMOBILE", "aud": "api://default", "jti": "AT.1",
		"scp": []string{"orders.read"}, "exp": time.Now().Add(time.Hour).Unix(), "email": hostile.Draw(t, "email"),
		"department": rapid.SampledFrom([]any{"finance", 1, nil, true, []any{}, map[string]any{}}).Draw(t, "department"),
		"list":       []any{hostile.Draw(t, "item"), 1.5, false, nil}, "address": map[string]any{"city": hostile.Draw(t, "city")},
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	object, err := token.ParseObject(text)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := token.ParseClaims(object)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestForwardAuthorization leaves the credential where the API says so: for callers, for
// the public and in shadow mode, and nowhere else.
func TestForwardAuthorization(t *testing.T) {
	t.Parallel()
	cfg := vault()
	for i, api := range cfg.Apis {
		api.ForwardAuthorization = i == 1
	}
	cfg.Apis[1].Mode = "shadow"
	cfg.Apis[1].Operations = append(cfg.Apis[1].Operations, &durwardv1.Operation{Methods: []string{"GET"}, Path: "/open", Public: true})
	srv := newServer(t, io.Discard, prometheus.NewRegistry(), vaultOkta)
	srv.Swap(generation(t, cfg, answers(vaultOkta)))
	inVault := func(c *call) { c.api, c.path = "vault", "/vault/items" }
	for name, c := range map[string]struct {
		call    call
		forward bool
	}{
		"caller":         {get(inVault), true},
		"public":         {get(inVault, at("/vault/open")), true},
		"shadowed":       {get(inVault, bearer("revoked")), true},
		"other API":      {get(), false},
		"other's public": {get(at("/orders/health")), false},
	} {
		res := check(t, srv, c.call.request())
		if !(terms{forward: c.forward}).mustBeWellFormed(t, res) {
			t.Errorf("%s: %v", name, res)
		}
		for _, h := range []string{contract.HeaderAuthorization, contract.HeaderDPoP} {
			if _, changed := set(res)[h]; changed || removed(res, h) == c.forward {
				t.Errorf("%s: %s is removed: %t", name, h, removed(res, h))
			}
		}
	}
}

// TestPresets: the headers of a preset are ours where it is used, and others' where not.
func TestPresets(t *testing.T) {
	t.Parallel()
	for _, used := range append(contract.Presets(), "") {
		cfg := config()
		cfg.Headers = &durwardv1.Headers{Preset: used}
		srv := newServer(t, io.Discard, prometheus.NewRegistry(), okta)
		srv.Swap(generation(t, cfg, answers(okta)))
		res := check(t, srv, get().request())
		for _, preset := range contract.Presets() {
			for _, h := range contract.PresetHeaders(preset) {
				_, isSet := set(res)[h.Header]
				if ours := isSet || removed(res, h.Header); ours != (preset == used) {
					t.Errorf("preset %q: %s is changed: %t", used, h.Header, ours)
				}
			}
		}
	}
}
