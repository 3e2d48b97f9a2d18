package serve

import (
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var identityRows = map[string]func(*testing.T){"T28": wrongClients, "T35": weakSignIns, "T36": hostileClaims}

// vaultSays is the outcome of a GET with this token.
func (s *strict) vaultSays(t *testing.T, path, text string) string {
	t.Helper()
	return ask(t, s.conn, "vault", path, text)
}

func wrongClients(t *testing.T) {
	s := newStrict(t, "")
	for what, c := range map[string]struct{ text, want string }{
		"no grant":          {s.with("cid", `"0oaTOOL"`), "403 grant_missing"},
		"disabled":          {s.with("cid", `"0oaPARKED"`), "403 application_disabled"},
		"of a disabled org": {s.with("cid", `"0oaTILL"`), "403 application_disabled"},
		"unknown":           {s.with("cid", `"0oaNOBODY"`), "403 client_unknown"},
		"lower case":        {s.with("cid", strconv.Quote(strings.ToLower(mobile))), "403 client_unknown"},
		"blank behind":      {s.with("cid", strconv.Quote(mobile+" ")), "403 client_unknown"},
		"blank before":      {s.with("cid", strconv.Quote("\t"+mobile)), "403 client_unknown"},
		"NUL behind":        {s.with("cid", `"`+mobile+`\u0000"`), "403 client_unknown"},
		"by its name":       {s.with("cid", `"mobile"`), "403 client_unknown"},
		"conflict":          {s.with("client_id", `"0oaTOOL"`), "401 token_malformed"},
		"conflict by case":  {s.with("client_id", strconv.Quote(strings.ToLower(mobile))), "401 token_malformed"},
		"other conflict":    {s.with("cid", `"0oaTOOL"`, "client_id", strconv.Quote(mobile)), "401 token_malformed"},
		"empty client_id":   {s.with("client_id", `""`), "401 token_malformed"},
		"null":              {s.with("cid", "null"), "401 token_malformed"},
		"list":              {s.with("cid", `["`+mobile+`"]`), "401 token_malformed"},
		"none":              {s.with("cid", ""), "401 token_type_wrong"},
		"client_id alone":   {s.with("cid", "", "client_id", strconv.Quote(mobile)), "allow"},
		"both":              {s.with("client_id", strconv.Quote(mobile)), "allow"},
	} {
		if got := s.vaultSays(t, "/vault/items", c.text); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
	s.switchOff(t)
}

// switchOff turns the application, its organization and its user off and on again: each
// counts from the reload on, and for a token whose claims are known.
func (s *strict) switchOff(t *testing.T) {
	t.Helper()
	good := s.good()
	text := string(must(os.ReadFile(s.path)))
	for _, c := range []struct{ old, changed, want string }{
		{"client_ids: [" + mobile + "]", "client_ids: [" + mobile + "], enabled: false", "403 application_disabled"},
		{"  - name: retail\n", "  - name: retail\n    enabled: false\n", "403 application_disabled"},
		{"denials:\n", "denials:\n  - { user_id: 00uALICE, reason: x }\n", "401 token_inactive"},
		{"denials:\n", "denials:\n  - { client_id: " + mobile + ", reason: x }\n", "401 token_inactive"},
		{"denials:\n", "denials:\n  - { user_id: 00uALICE, until: 2020-01-01T00:00:00Z, reason: x }\n", "allow"},
	} {
		for _, step := range []struct{ text, want string }{{strings.Replace(text, c.old, c.changed, 1), c.want}, {text, "allow"}} {
			writeFile(t, s.path, step.text, 0o600)
			if err := s.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := s.vaultSays(t, "/vault/items", good); got != step.want {
				t.Errorf("%q: %s, want %s", c.changed, got, step.want)
			}
		}
	}
}

func weakSignIns(t *testing.T) {
	s := newStrict(t, "")
	now := time.Now().Unix()
	at := func(d int64) string { return strconv.FormatInt(now+d, 10) }
	const stepUp = "401 step_up_required"
	for what, c := range map[string]struct {
		changes []string
		want    string
	}{
		"fresh":             {[]string{"acr", `"phr"`, "auth_time", at(-10)}, "allow"},
		"the other level":   {[]string{"acr", `"phrh"`, "auth_time", at(0)}, "allow"},
		"neither":           {nil, stepUp},
		"no acr":            {[]string{"auth_time", at(-10)}, stepUp},
		"weak acr":          {[]string{"acr", `"urn:okta:loa:1fa:any"`, "auth_time", at(-10)}, stepUp},
		"acr by case":       {[]string{"acr", `"PHR"`, "auth_time", at(-10)}, stepUp},
		"two acr in one":    {[]string{"acr", `"phr phrh"`, "auth_time", at(-10)}, stepUp},
		"empty acr":         {[]string{"acr", `""`, "auth_time", at(-10)}, stepUp},
		"no auth_time":      {[]string{"acr", `"phr"`}, stepUp},
		"auth_time 0":       {[]string{"acr", `"phr"`, "auth_time", "0"}, stepUp},
		"old":               {[]string{"acr", `"phr"`, "auth_time", at(-302)}, stepUp},
		"in the future":     {[]string{"acr", `"phr"`, "auth_time", at(3600)}, stepUp},
		"iat is no sign-in": {[]string{"acr", `"phr"`, "iat", at(0)}, stepUp},
	} {
		res := s.send(t, "vault", "/vault/signed", nil, "Bearer "+s.with(c.changes...))
		if got := outcome(res); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
		const want = `Bearer realm="durward", error="insufficient_user_authentication", error_description="A stronger or newer sign-in is required", acr_values="phr phrh", max_age="300", `
		if challenge := told(res, "www-authenticate"); c.want == stepUp && !strings.HasPrefix(challenge, want) {
			t.Errorf("%s: challenge %s", what, challenge)
		}
	}
	for what, changes := range map[string][]string{"acr of a wrong type": {"acr", "1"}, "auth_time of a wrong type": {"auth_time", strconv.Quote(at(0))}} {
		if got := s.vaultSays(t, "/vault/signed", s.with(changes...)); got != "401 token_malformed" {
			t.Errorf("%s: %s", what, got)
		}
	}
	// The demand is that of one operation: elsewhere the same token is good.
	if got := s.vaultSays(t, "/vault/items", s.good()); got != "allow" {
		t.Error(got)
	}
}

// hostile are JSON texts of a claim, and the header that a backend gets: "" for none.
var hostile = map[string]string{
	`"alice@example.com"`:            "alice@example.com",
	`"a\r\nx-auth-subject: root"`:    "a%0D%0Ax-auth-subject: root",
	`"a\nx"`:                         "a%0Ax",
	`"\u0000root"`:                   "%00root",
	`"a,b"`:                          "a,b",
	`"\u202eroot\u202c"`:             "%E2%80%AEroot%E2%80%AC",
	`"a@x@y"`:                        "a@x@y",
	`" root "`:                       "%20root%20",
	`"%0d%0a"`:                       "%250d%250a",
	`"caf\u00e9"`:                    "caf%C3%A9",
	`"a\u007f\t"`:                    "a%7F%09",
	`"\"; DROP"`:                     `"; DROP`,
	`""`:                             "",
	`null`:                           "",
	`{"a":"b"}`:                      "",
	`[]`:                             "",
	`[{"a":"b"},["c"],null]`:         "",
	`true`:                           "true",
	`12345678901234567890.5`:         "12345678901234567890.5",
	`["a,b","c\r\n","d e","%2C",""]`: "a%2Cb,c%0D%0A,d e,%252C",
}

func hostileClaims(t *testing.T) {
	s := newStrict(t, "")
	for value, want := range hostile {
		res := s.send(t, "vault", "/vault/items", nil, "Bearer "+s.with("email", value))
		if got := outcome(res); got != "allow" {
			t.Errorf("%s: %s", value, got)
			continue
		}
		var found []string
		for _, h := range res.GetOkResponse().GetHeaders() {
			if h.Header.Key == "x-claim-email" {
				found = append(found, h.Header.Value)
			}
		}
		gone := slices.Contains(res.GetOkResponse().GetHeadersToRemove(), "x-claim-email")
		if want == "" && (len(found) != 0 || !gone) || want != "" && (gone || !slices.Equal(found, []string{want})) {
			t.Errorf("%s: set to %q, removed %t, want %q", value, found, gone, want)
		}
	}
	for _, claim := range []string{"email", "sub", "names"} {
		for _, value := range []string{strconv.Quote(strings.Repeat("x", 8<<10)), strconv.Quote(strings.Repeat("é", 1400))} {
			if claim == "names" {
				value = "[" + value + "]"
			}
			if got := s.vaultSays(t, "/vault/items", s.with(claim, value)); got != "403 claim_mismatch" {
				t.Errorf("a %s of %d bytes: %s", claim, len(value), got)
			}
		}
	}
	// What is refused is logged, on a line of its own.
	const forged = `x\r\n{\"msg\":\"decision\",\"outcome\":\"allow\",\"user\":\"root\"}`
	before := len(s.log.lines(t, "decision"))
	for _, change := range [][]string{{"department", `"` + forged + `"`}, {"cid", `"` + forged + `"`}, {"uid", `"` + forged + `"`}} {
		_ = s.vaultSays(t, "/vault/staff", s.with(change...))
	}
	lines := s.log.lines(t, "decision")[before:]
	if len(lines) != 3 {
		t.Errorf("%d lines for 3 requests", len(lines))
	}
	for _, line := range lines {
		if line["outcome"] != "deny" || line["user"] == "root" {
			t.Errorf("forged: %v", line)
		}
	}
}

// TestIdentityThroughEnvoy has the rows of identity in which a real Envoy takes part: what
// a backend gets, whatever the caller writes itself.
func TestIdentityThroughEnvoy(t *testing.T) {
	t.Parallel()
	s := newStrict(t, "")
	gateway := s.gateway(t)
	forge := http.Header{
		"X-Claim-Email": {"root", "admin"}, "X-Claim-City": {"root"}, "X-Auth-Subject": {"root"}, "X-Auth-Groups": {"root"}, "X-Forwarded-Client-Cert": {"Hash=abc;Subject=root"},
		"X-Original-Url": {"/vault/put"},
	}
	send := func(t *testing.T, path, text string, more ...string) (int, []*http.Request) {
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+gateway+path, nil))
		req.Header = forge.Clone()
		req.Header.Set("Authorization", "Bearer "+text)
		for i := 0; i < len(more); i += 2 {
			req.Header.Set(more[i], more[i+1])
		}
		status, _ := fetch(req)
		return status, s.backend.take()
	}
	t.Run("T36", func(t *testing.T) {
		for value, want := range hostile {
			status, seen := send(t, "/vault/items", s.with("email", value, "address", `{"city":"K\u00f6ln"}`))
			if status != http.StatusOK || len(seen) != 1 {
				t.Errorf("%s: %d, and the backend was asked %d times", value, status, len(seen))
				continue
			}
			got := seen[0].Header
			if email := got.Values("X-Claim-Email"); want == "" && len(email) > 0 || want != "" && !slices.Equal(email, []string{want}) {
				t.Errorf("%s: the backend got %q, want %q", value, email, want)
			}
			if city, err := url.PathUnescape(got.Get("X-Claim-City")); err != nil || city != "Köln" {
				t.Errorf("%s: city %q, %v", value, city, err)
			}
			for name, values := range got {
				if slices.Contains(values, "root") || strings.Contains(strings.Join(values, ","), "Hash=abc") || name == "X-Original-Url" {
					t.Errorf("%s: the backend got the caller's %s: %q", value, name, values)
				}
			}
		}
	})
	t.Run("T34", func(t *testing.T) {
		status, seen := send(t, "/vault/items", s.with("cnf", `{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`))
		if status != http.StatusUnauthorized || len(seen) != 0 {
			t.Errorf("%d, and the backend was asked %d times", status, len(seen))
		}
	})
	t.Run("source address", func(t *testing.T) {
		for path, want := range map[string]int{"/vault/near": http.StatusOK, "/vault/far": http.StatusForbidden} {
			if status, _ := send(t, path, s.good(), "X-Forwarded-For", "192.0.2.7", "X-Real-Ip", "192.0.2.7", "Forwarded", "for=192.0.2.7"); status != want {
				t.Errorf("%s: %d, want %d", path, status, want)
			}
		}
	})
	t.Run("credentials", func(t *testing.T) {
		good := s.good()
		for path, want := range map[string][]string{"/vault/items": nil, "/forwarding/items": {"Bearer " + good}, "/forwarding/open": {"Bearer " + good}} {
			status, seen := send(t, path, good, "DPoP", "proof")
			if status != http.StatusOK || len(seen) != 1 {
				t.Fatalf("%s: %d, and the backend was asked %d times", path, status, len(seen))
			}
			got := seen[0].Header
			if !slices.Equal(got.Values("Authorization"), want) || (got.Get("Dpop") == "proof") != (want != nil) {
				t.Errorf("%s: the backend got %v", path, got)
			}
		}
	})
}
