package authz_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/policy/contract"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// foreignServer serves the tests' configuration, an API in shadow mode under the same host,
// and one above another under a second host, to Envoys of our own or of others.
func foreignServer(t *testing.T, foreign bool) *authz.Server {
	t.Helper()
	cfg := config()
	cfg.Listeners = &durwardv1.Listeners{Check: &durwardv1.Listener{ForeignEnvoy: foreign}}
	watched := config().Apis[0]
	watched.Name, watched.Mode, watched.Frontend.Path = "watched", "shadow", "/watched"
	wide, narrow := config().Apis[0], config().Apis[0]
	wide.Name, wide.Mode, wide.Frontend = "wide", "shadow", &durwardv1.Frontend{Hosts: []string{"shop.example.com"}, Path: "/"}
	narrow.Name, narrow.Frontend = "narrow", &durwardv1.Frontend{Hosts: []string{"shop.example.com"}, Path: "/x,y"}
	cfg.Apis = append(cfg.Apis, watched, wide, narrow)
	srv := newServer(t, io.Discard, prometheus.NewRegistry(), okta)
	srv.Swap(generation(t, cfg, answers(okta)))
	return srv
}

// unseen is removed of every request of a foreign Envoy, which keeps it from us.
var unseen = terms{mapped: []string{"x-envoy-auth-partial-body"}}

// unrouted is get's request as an Envoy sends it whose routes name no API.
func unrouted(encoding string, change ...func(*call)) *authv3.CheckRequest {
	req := get(change...).encodings()[encoding]
	req.Attributes.ContextExtensions = nil
	return req
}

func place(host, path string) func(*call) {
	return func(c *call) { c.host, c.path = host, path }
}

// TestForeignEnvoyFindsTheAPI by host and path, in every encoding of headers, where the
// configuration says so and Envoy names none.
func TestForeignEnvoyFindsTheAPI(t *testing.T) {
	t.Parallel()
	srv := foreignServer(t, true)
	unknown, malformed := "404 "+string(contract.APIUnknown), "400 "+string(contract.RequestMalformed)
	for where, want := range map[[2]string]string{
		{"api.example.com", "/orders/7?q=1"}:         "",
		{"API.example.com.:8443", "/orders/7"}:       "",
		{"api.example.com", "/orders/7%2c"}:          "",
		{"other.example.com", "/orders/7"}:           unknown,
		{"api.example.com", "/ordersx/7"}:            unknown,
		{"api.example.com", "/x?/orders/7"}:          unknown,
		{"api.example.com", "/orders/../orders/7"}:   malformed,
		{"api.example.com", "/watched/../admin"}:     malformed, // shadow mode has no say in whose it is
		{"api.example.com", "/watched/%2e%2e/admin"}: malformed,
		{"api.example.com", "//orders/7"}:            malformed,
		{"api@api.example.com", "/orders/7"}:         malformed,
		{"api.example.com,x", "/watched/7"}:          malformed,
		{"", "/watched/7"}:                           malformed,
		{"shop.example.com", "/x/7"}:                 "",      // shadow mode
		{"shop.example.com", "/x%2Cy/7"}:             unknown, // who decodes it finds another API
	} {
		for encoding := range get().encodings() {
			res := check(t, srv, unrouted(encoding, place(where[0], where[1])))
			if want == "" && !unseen.mustBeWellFormed(t, res) || want != "" && denial(res) != want {
				t.Errorf("%s%s, %s: %v, want %q", where[0], where[1], encoding, res, want)
			}
		}
	}
}

// denial is how an answer denies, "" if it does not.
func denial(res *authv3.CheckResponse) string {
	if res.GetDeniedResponse() == nil {
		return ""
	}
	return fmt.Sprintf("%d %s", res.GetDeniedResponse().GetStatus().GetCode(), res.GetStatus().GetMessage())
}

// TestForeignEnvoyMayNameTheAPI: what its route says counts, if the API is one of that
// place; a route that names none of ours is not made to.
func TestForeignEnvoyMayNameTheAPI(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		foreign bool
		api     string
		named   bool
		want    string
	}{
		"its own":               {true, "orders", true, ""},
		"another's":             {true, "watched", true, "404 api_unknown"},
		"nobody's":              {true, "nothing", true, "404 api_unknown"},
		"the catch-all":         {true, contract.NoAPI, true, "404 api_unknown"},
		"empty":                 {true, "", true, "404 api_unknown"},
		"none":                  {true, "", false, ""},
		"none, and not foreign": {false, "", false, "404 api_unknown"},
	} {
		req := get().encodings()["map"]
		req.Attributes.ContextExtensions = map[string]string{"other": "orders"}
		if c.named {
			req.Attributes.ContextExtensions[contract.ContextExtensionAPI] = c.api
		}
		res := check(t, foreignServer(t, c.foreign), req)
		if got := denial(res); got != c.want || (c.want == "") != unseen.mustBeWellFormed(t, res) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestForeignRouteMayNameAWiderAPI: of two APIs that cover a place the one that the route
// names judges, for its gateway may not serve the other; where none is named the narrower.
func TestForeignRouteMayNameAWiderAPI(t *testing.T) {
	t.Parallel()
	srv := foreignServer(t, true)
	for api, want := range map[string]string{
		"":             "401 token_missing",
		"narrow":       "401 token_missing",
		"wide":         "", // shadow mode
		contract.NoAPI: "404 api_unknown",
	} {
		for encoding := range get().encodings() {
			req := unrouted(encoding, place("shop.example.com", "/x,y/7"), func(c *call) { c.headers = nil })
			if api != "" {
				req.Attributes.ContextExtensions = map[string]string{contract.ContextExtensionAPI: api}
			}
			if got := denial(check(t, srv, req)); got != want {
				t.Errorf("%q, %s: %q, want %q", api, encoding, got, want)
			}
		}
	}
}

// TestForeignPathIsExact: where Envoy writes "!" for bytes that are no UTF-8, a "!" is
// taken for itself only if the bytes came beside it.
func TestForeignPathIsExact(t *testing.T) {
	t.Parallel()
	srv := foreignServer(t, true)
	const malformed = "400 request_malformed"
	for encoding, want := range map[string]string{"map": malformed, "text": malformed, "raw": ""} {
		if got := denial(check(t, srv, unrouted(encoding, place("api.example.com", "/orders/a!"), header(":path", "/orders/a!")))); got != want {
			t.Errorf("%s: %q, want %q", encoding, got, want)
		}
	}
	for what, change := range map[string]func(*call){
		"no :path":       func(*call) {},
		"another byte":   header(":path", "/orders/a\xff"),
		"named, exactly": header(":path", "/orders/a\x80"),
	} {
		req := unrouted("raw", place("api.example.com", "/orders/a!"), change)
		if what == "named, exactly" {
			req.Attributes.ContextExtensions = map[string]string{contract.ContextExtensionAPI: "orders"}
		}
		if got := denial(check(t, srv, req)); got != malformed {
			t.Errorf("%s: %q", what, got)
		}
	}
	if got := denial(check(t, foreignServer(t, false), get(place("api.example.com", "/orders/a!")).request())); got != "" {
		t.Errorf("not foreign: %s", got)
	}
}

// TestForeignStraysAreRemoved: what a backend could take for a gateway's header is removed
// by the name under which it came, and nothing else is; our own Envoys did it at the door.
func TestForeignStraysAreRemoved(t *testing.T) {
	t.Parallel()
	strays := []string{
		"x_auth_subject", "x-auth_subject", "x.auth.subject", "x-auth-role", "x_auth_role", "x_decision_id", "x-decision.id",
		"x-claim-email", "x_claim_email", "x-jwt-claim-sub", "x_http_method_override", "x.original.url",
		"x-envoy-original-path", "x_envoy_retry_on", "x-ext-authz-check-result", "x-forwarded-host", "x-forwarded-prefix", "x_forwarded_for",
	}
	others := []string{"x-forwarded-for", "x-forwarded-proto", "x-forwarded-client-cert", "accept", "cookie", "x_request_name", "x-authx", "xauth-subject", "traceparent", "content-type"}
	var changes []func(*call)
	for _, name := range append(append(contract.IdentityHeaders(), strays...), others...) {
		changes = append(changes, header(strings.ToUpper(name), "root"))
	}
	for _, foreign := range []bool{true, false} {
		srv := foreignServer(t, foreign)
		for encoding, req := range get(changes...).encodings() {
			res := check(t, srv, req)
			want := terms{}
			if foreign {
				want.mapped = append(strays, unseen.mapped...)
			}
			if !want.mustBeWellFormed(t, res) {
				t.Errorf("%s: %v", encoding, res)
			}
		}
	}
}
