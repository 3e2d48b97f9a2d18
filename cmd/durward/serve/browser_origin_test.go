package serve

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// strangers are the header lines of origins that nobody allowed, by what is wrong.
func (b *browsers) strangers() map[string][]string {
	return map[string][]string{
		"elsewhere":          {"Origin: " + b.elsewhere},
		"null":               {"Origin: null"},
		"any":                {"Origin: *"},
		"empty":              {"Origin:"},
		"longer host":        {"Origin: https://example.com.evil"},
		"host that ends so":  {"Origin: https://evilexample.com"},
		"hyphen":             {"Origin: https://evil-example.com"},
		"other dot":          {"Origin: https://aXexample.com"},
		"upper case":         {"Origin: HTTPS://EXAMPLE.COM"},
		"upper case below":   {"Origin: https://A.example.com"},
		"trailing dot":       {"Origin: https://example.com."},
		"trailing dot below": {"Origin: https://a.example.com."},
		"trailing slash":     {"Origin: https://example.com/"},
		"userinfo":           {"Origin: https://example.com@evil.com"},
		"userinfo below":     {"Origin: https://evil.com@a.example.com"},
		"fragment":           {"Origin: https://evil.com#.example.com"},
		"path":               {"Origin: https://evil.com/a.example.com"},
		"port":               {"Origin: https://example.com:8443"},
		"port below":         {"Origin: https://evil.com:80.example.com"},
		"scheme":             {"Origin: http://a.example.com"},
		"no scheme":          {"Origin: example.com"},
		"empty label":        {"Origin: https://.example.com"},
		"wildcard itself":    {"Origin: https://*.example.com"},
		"tab":                {"Origin: https://evil.com\thttps://a.example.com"},
		"list":               {"Origin: https://example.com, https://example.com"},
		"two":                {"Origin: https://example.com", "Origin: https://evil.com"},
		"two, other way":     {"Origin: https://evil.com", "Origin: https://a.example.com"},
		"the same twice":     {"Origin: https://example.com", "origin: https://example.com"},
	}
}

// What strangers ask, preflights included, is checked like anything else, and no answer
// is theirs to read: not a denial's, nor a backend's that would let everybody.
func TestHostileOrigins(t *testing.T) {
	t.Parallel()
	b := newBrowsers(t)
	good := "Authorization: Bearer " + b.good()
	for what, lines := range b.strangers() {
		b.counting(t, what, 4, func() {
			preflight := b.exchange(t, "OPTIONS", "/open/7", append(lines, "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization")...)
			denied := b.exchange(t, "GET", "/open/7", lines...)
			allowed := b.exchange(t, "GET", "/open/7", append(lines, good)...)
			public := b.exchange(t, "GET", "/open/public", lines...)
			for i, a := range []answer{preflight, denied, allowed, public} {
				if want := []int{401, 401, 200, 200}[i]; a.status != want || a.pagesMayRead() != nil {
					t.Errorf("%s: answer %d is %d, read by pages: %v", what, i, a.status, a.pagesMayRead())
				}
			}
			if n := len(b.backend.take()); n != 2 {
				t.Errorf("%s: the backend was asked %d times", what, n)
			}
		})
	}
}

// An API that names no origin tells no page anything of its own, whoever asks.
func TestNoOrigins(t *testing.T) {
	t.Parallel()
	b := newBrowsers(t)
	for _, origin := range []string{b.here, "https://example.com", "null"} {
		b.counting(t, origin, 2, func() {
			preflight := b.exchange(t, "OPTIONS", "/closed/7", "Origin: "+origin, "Access-Control-Request-Method: GET")
			denied := b.exchange(t, "GET", "/closed/7", "Origin: "+origin)
			for _, a := range []answer{preflight, denied} {
				if a.status != http.StatusUnauthorized || a.pagesMayRead() != nil || a.header.Get("Vary") != "" {
					t.Errorf("%s: %d %v", origin, a.status, a.header)
				}
			}
		})
	}
}

// Everything is checked but one thing, which this test is named after: the preflight of an
// origin that the API allows. Envoy answers it with what the catalogue says, a credential
// in it changes nothing, and the backend never sees it. An OPTIONS request that is not a
// preflight is checked, and so is what follows.
func TestPreflightsAloneAreNotChecked(t *testing.T) {
	t.Parallel()
	b := newBrowsers(t)
	const asks = "Access-Control-Request-Method: "
	for _, origin := range []string{b.here, "https://example.com", "https://a.example.com", "https://a.b.example.com"} {
		b.counting(t, origin, 0, func() {
			for _, lines := range [][]string{
				{asks + "GET"},
				{asks + "DELETE"},
				{asks + "GET", "Authorization: Bearer " + b.good()},
				{asks + "GET", "Access-Control-Request-Headers: x-evil"},
				{asks + "GET", "X-Auth-Subject: alice"},
			} {
				a := b.exchange(t, "OPTIONS", "/open/7", append(lines, "Origin: "+origin)...)
				got := a.pagesMayRead()
				slices.Sort(got)
				want := []string{
					"Access-Control-Allow-Headers: authorization,content-type,dpop,x-more", "Access-Control-Allow-Methods: GET,HEAD,PUT",
					"Access-Control-Allow-Origin: " + origin, "Access-Control-Max-Age: 600",
				}
				got = slices.DeleteFunc(got, func(h string) bool { return strings.HasPrefix(h, "Access-Control-Expose-Headers: ") })
				if a.status != http.StatusOK || a.body != "" || !slices.Equal(got, want) {
					t.Errorf("%s, %q: %d %q %s", origin, lines, a.status, got, a.body)
				}
			}
		})
	}
	for what, lines := range map[string][]string{
		"OPTIONS alone":    nil,
		"no method asked":  {"Origin: " + b.here},
		"no method's name": {"Origin: " + b.here, asks},
		"no origin":        {asks + "GET"},
		"override":         {"Origin: " + b.here, "X-HTTP-Method-Override: GET"},
	} {
		b.counting(t, what, 1, func() {
			if a := b.exchange(t, "OPTIONS", "/open/7", lines...); a.status != http.StatusUnauthorized {
				t.Errorf("%s: %d", what, a.status)
			}
		})
	}
	for _, path := range []string{"/nowhere", "/closed/7", "/openly", "/"} {
		b.counting(t, path, 1, func() {
			a := b.exchange(t, "OPTIONS", path, "Origin: "+b.here, asks+"GET")
			if a.status == http.StatusOK || a.pagesMayRead() != nil {
				t.Errorf("%s: %d %v", path, a.status, a.header)
			}
		})
	}
	if n := len(b.backend.take()); n != 0 {
		t.Errorf("the backend was asked %d times", n)
	}
}

// What a page may read of an answer is the catalogue's to say, not the backend's, and
// caches keep the answers of origins apart.
func TestAllowedOrigins(t *testing.T) {
	t.Parallel()
	b := newBrowsers(t)
	for _, lines := range [][]string{nil, {"Authorization: Bearer " + b.good()}} {
		a := b.exchange(t, "GET", "/open/7", append(lines, "Origin: https://a.example.com")...)
		want := []string{
			"Access-Control-Allow-Origin: https://a.example.com",
			"Access-Control-Expose-Headers: www-authenticate,retry-after,x-decision-id",
		}
		got := a.pagesMayRead()
		slices.Sort(got)
		varies := "origin"
		if a.status == http.StatusOK {
			varies = "Accept,origin" // the backend's own first
		}
		if got := strings.Join(a.header.Values("Vary"), ","); got != varies {
			t.Errorf("%d: varies by %q, want %q", a.status, got, varies)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d: %q, want %q", a.status, got, want)
		}
	}
}
