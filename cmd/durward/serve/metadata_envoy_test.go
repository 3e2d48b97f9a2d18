package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/contract"
)

const openMetadata = "/.well-known/oauth-protected-resource/open"

// The document of RFC 9728 comes from Envoy after a check, to anybody, by GET alone.
func TestMetadataThroughEnvoy(t *testing.T) {
	t.Parallel()
	b := newBrowsers(t)

	t.Run("GET", func(t *testing.T) {
		for _, api := range []string{"open", "closed"} {
			b.counting(t, api, 1, func() {
				a := b.exchange(t, "GET", "/.well-known/oauth-protected-resource/"+api)
				if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("X-Decision-Id") == "" {
					t.Fatalf("%s: %d %v %s", api, a.status, a.header, a.body)
				}
				var got map[string]any
				if err := json.Unmarshal([]byte(a.body), &got); err != nil {
					t.Fatal(err)
				}
				scopes := []any{"orders.admin", "orders.read", "orders.write"}
				if api == "closed" {
					for i, scope := range bulk() {
						scopes = slices.Insert(scopes, i, any(scope))
					}
				}
				want := map[string]any{
					"resource":                 "https://api.example.com/" + api,
					"resource_name":            api,
					"authorization_servers":    []any{b.is.name("default")},
					"scopes_supported":         scopes,
					"bearer_methods_supported": []any{"header"},

					"dpop_signing_alg_values_supported": []any{"ES256", "PS256", "RS256"},
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", api, diff)
				}
			})
		}
	})
	t.Run("query", func(t *testing.T) {
		if a := b.exchange(t, "GET", openMetadata+"?a=b"); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("other methods", func(t *testing.T) {
		for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			b.counting(t, method, 2, func() {
				if a := b.exchange(t, method, openMetadata); a.status != http.StatusUnauthorized || strings.Contains(a.body, "scopes_supported") {
					t.Errorf("%s: %d %s", method, a.status, a.body)
				}
				a := b.exchange(t, method, openMetadata, "Authorization: Bearer "+b.good())
				if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET" || strings.Contains(a.body, "scopes_supported") {
					t.Errorf("%s with a token: %d %v %s", method, a.status, a.header, a.body)
				}
			})
		}
	})
	t.Run("near", func(t *testing.T) {
		for _, path := range []string{
			"/.well-known/oauth-protected-resource", openMetadata + "/", openMetadata + "/7", openMetadata + "er",
			"/.well-known/oauth-protected-resource/OPEN", "/.Well-Known/oauth-protected-resource/open", "/open" + openMetadata,
		} {
			if a := b.exchange(t, "GET", path); a.status == http.StatusOK || strings.Contains(a.body, "scopes_supported") {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
	})
	t.Run("told by the challenge", func(t *testing.T) {
		want := `resource_metadata="https://api.example.com` + openMetadata + `"`
		if got := b.exchange(t, "GET", "/open/7").header.Get("Www-Authenticate"); !strings.Contains(got, want) {
			t.Errorf("challenge %s has no %s", got, want)
		}
	})
	t.Run("pages", func(t *testing.T) { metadataForPages(t, b) })
	if n := len(b.backend.take()); n != 0 {
		t.Errorf("the backend was asked %d times", n)
	}
	t.Run("spoofed", func(t *testing.T) { spoofed(t, b) })
}

// Pages of allowed origins read the document without a preflight, which nobody answers.
func metadataForPages(t *testing.T, b *browsers) {
	for _, origin := range []string{b.here, "https://example.com", "https://a.b.example.com"} {
		a := b.exchange(t, "GET", openMetadata, "Origin: "+origin)
		if got := a.header.Values("Access-Control-Allow-Origin"); a.status != http.StatusOK || !slices.Equal(got, []string{origin}) || a.header.Get("Vary") != "origin" {
			t.Errorf("%s: %d %v", origin, a.status, a.header)
		}
		if a := b.exchange(t, "GET", "/.well-known/oauth-protected-resource/closed", "Origin: "+origin); a.status != http.StatusOK || a.pagesMayRead() != nil {
			t.Errorf("%s reads of an API that names no origin: %v", origin, a.header)
		}
		b.counting(t, origin, 1, func() {
			a := b.exchange(t, "OPTIONS", openMetadata, "Origin: "+origin, "Access-Control-Request-Method: GET")
			if a.status != http.StatusUnauthorized || a.pagesMayRead() != nil {
				t.Errorf("%s: preflight: %d %v", origin, a.status, a.header)
			}
		})
	}
	for what, lines := range b.strangers() {
		if a := b.exchange(t, "GET", openMetadata, lines...); a.status == http.StatusOK && a.pagesMayRead() != nil {
			t.Errorf("%s reads: %v", what, a.header)
		}
	}
}

// What a caller says in our names reaches nobody: not the backend, nor an answer.
func spoofed(t *testing.T, b *browsers) {
	names := append(contract.MutableHeaders(), "x-claim-email", "X-CLAIM-Anything", "X-Auth-Evil", "x-jwt-claim-evil", "X-Envoy-Retry-On")
	names = slices.DeleteFunc(names, func(name string) bool { return name == contract.HeaderAuthorization || name == contract.HeaderDPoP })
	lines := []string{"Authorization: nonsense"}
	for _, name := range names {
		lines = append(lines, name+": spoofed")
	}
	plain := b.exchange(t, "GET", openMetadata)
	a := b.exchange(t, "GET", openMetadata, lines...)
	if a.status != http.StatusOK || a.body != plain.body || strings.Contains(fmt.Sprint(a.header), "spoofed") {
		t.Errorf("document: %d %v %s", a.status, a.header, a.body)
	}
	lines[0] = "Authorization: Bearer " + b.good()
	for _, path := range []string{"/open/7", "/open/public", "/closed/public"} {
		a := b.exchange(t, "GET", path, lines...)
		seen := b.backend.take()
		if a.status != http.StatusOK || len(seen) != 1 {
			t.Fatalf("%s: %d %s, backend asked %d times", path, a.status, a.body, len(seen))
		}
		for name, values := range seen[0].Header {
			if slices.Contains(values, "spoofed") {
				t.Errorf("%s: the backend sees %s", path, name)
			}
		}
	}
	for _, line := range []string{"x_claim_email: spoofed", "x-claim_email: spoofed"} {
		if a := b.exchange(t, "GET", openMetadata, line); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d", line, a.status)
		}
	}
}
