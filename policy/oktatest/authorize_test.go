package oktatest_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/durward/durward/policy/oktatest"
)

func TestAuthorizeRefusals(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t, func(c *oktatest.Config) {
		c.Clients = append(c.Clients,
			oktatest.Client{ID: "0oaNoRefresh", Type: "native", RedirectURIs: []string{seedRedirect}, GrantTypes: []string{"authorization_code"}},
			oktatest.Client{ID: "0oaNoCode", Type: "web", Secret: "s", RedirectURIs: []string{seedRedirect}, GrantTypes: []string{"client_credentials"}})
	})
	ok := authorizeParams()
	for name, test := range map[string]struct {
		params url.Values
		want   string // error: description, as the client gets it
	}{
		"response_type absent":   {with(ok, "response_type", "-"), "unsupported_response_type: The response type is not supported by the authorization server. Configured response types: [code]."},
		"response_type implicit": {with(ok, "response_type", "token"), "unsupported_response_type: The response type is not supported by the authorization server. Configured response types: [code]."},
		"response_mode":          {with(ok, "response_mode", "form_post"), "unsupported_response_mode: The response mode is not supported by the authorization server. Valid response modes: [query]."},
		"state absent":           {with(ok, "state", "-"), "invalid_request: The authentication request has an invalid 'state' parameter."},
		"state characters":       {with(ok, "state", "a b"), "invalid_request: The authentication request has an invalid 'state' parameter."},
		"challenge absent":       {with(ok, "code_challenge", "-"), "invalid_request: PKCE code challenge is required by the application."},
		"challenge characters":   {with(ok, "code_challenge", strings.Repeat("=", 43)), "invalid_request: PKCE code challenge contains illegal characters."},
		"challenge length":       {with(ok, "code_challenge", "short"), "invalid_request: PKCE code challenge contains illegal characters."},
		"method plain":           {with(ok, "code_challenge_method", "plain"), "invalid_request: PKCE code challenge method is not supported. Valid values: [S256]"},
		"method absent":          {with(ok, "code_challenge_method", "-"), "invalid_request: PKCE code challenge method is not supported. Valid values: [S256]"},
		"scope absent":           {with(ok, "scope", "-"), "invalid_scope: The authorization server resource does not have any configured default scopes, 'scope' must be provided."},
		"scope unknown":          {with(ok, "scope", "openid orders"), "invalid_scope: One or more scopes are not configured for the authorization server resource."},
		"openid missing":         {with(ok, "scope", "profile"), "access_denied: Requests for ID tokens or access tokens with OpenID scopes require the 'openid' scope."},
		"offline_access":         {with(ok, "client_id", "0oaNoRefresh", "scope", "offline_access"), "invalid_scope: The following scopes are not allowed for this request: [offline_access]."},
		"grant type":             {with(ok, "client_id", "0oaNoCode"), "unauthorized_client: The client is not authorized to use the provided grant type. Configured grant types: [client_credentials]."},
		"prompt":                 {with(ok, "prompt", "create"), "invalid_request: Invalid value for 'prompt' parameter. Supported values: [none, login, consent, login consent]"},
		"max_age":                {with(ok, "max_age", "-5"), "invalid_request: Invalid value for 'max_age' parameter. It should be within range 0 - 2^31-1."},
		"max_age with none":      {with(ok, "max_age", "0", "prompt", "none"), "invalid_request: 'prompt' parameter must not have the value 'none' for request with 'zero' as max_age."},
		"no session":             {with(ok, "prompt", "none"), "login_required: The client specified not to prompt, but the user is not logged in."},
		"request object":         {with(ok, "request", "e.e.e"), "request_not_supported: The authorize request object is not supported by this client."},
		"request_uri":            {with(ok, "request_uri", "urn:x"), "request_uri_not_supported: The authorize request uri is not supported by this client."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := s.Issuer("default") + "/v1/authorize"
			for _, got := range []answer{get(t, browser(t), target+"?"+test.params.Encode()), post(t, browser(t), target, test.params)} {
				if e := errorOf(t, got); e != test.want {
					t.Errorf("got  %s\nwant %s", e, test.want)
				}
				location, err := url.Parse(got.header.Get("Location"))
				if err != nil || !strings.HasPrefix(location.String(), seedRedirect+"?") {
					t.Errorf("Location %q, %v", location, err)
				}
				if state := location.Query().Get("state"); state != seedState && !strings.HasPrefix(name, "state") {
					t.Errorf("state %q", state)
				}
				if policy := got.header.Get("Referrer-Policy"); policy != "no-referrer" {
					t.Errorf("Referrer-Policy %q", policy)
				}
			}
		})
	}
}

// TestAuthorizeNeverRedirectsUnregistered holds that a client or redirect URI
// that is not known exactly gets a page, not a redirect.
func TestAuthorizeNeverRedirectsUnregistered(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	ok := authorizeParams()
	duplicate := with(ok)
	duplicate.Add("redirect_uri", "https://evil.example/")
	for name, test := range map[string]struct {
		params url.Values
		want   string
	}{
		"client absent":    {with(ok, "client_id", "-"), "Invalid value for 'client_id' parameter."},
		"client unknown":   {with(ok, "client_id", "0oaUnknown"), "Invalid value for 'client_id' parameter."},
		"client by name":   {with(ok, "client_id", "mobile"), "Invalid value for 'client_id' parameter."},
		"redirect absent":  {with(ok, "redirect_uri", "-"), "must be a Login redirect URI in the client app settings."},
		"redirect foreign": {with(ok, "redirect_uri", "https://evil.example/"), "must be a Login redirect URI in the client app settings."},
		"trailing slash":   {with(ok, "redirect_uri", seedRedirect+"/"), "must be a Login redirect URI in the client app settings."},
		"other port":       {with(ok, "redirect_uri", "http://127.0.0.1:8766/callback"), "must be a Login redirect URI in the client app settings."},
		"letter case":      {with(ok, "redirect_uri", strings.ToUpper(seedRedirect)), "must be a Login redirect URI in the client app settings."},
		"query added":      {with(ok, "redirect_uri", seedRedirect+"?x=1"), "must be a Login redirect URI in the client app settings."},
		"two redirects":    {duplicate, "The request contained multiple parameters with the same name."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := get(t, browser(t), s.Issuer("default")+"/v1/authorize?"+test.params.Encode())
			if got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
				t.Errorf("status %d, Location %q", got.status, got.header.Get("Location"))
			}
			if !strings.Contains(html.UnescapeString(got.body), test.want) {
				t.Errorf("page lacks %q: %s", test.want, got.body)
			}
		})
	}
}

func TestSignInPage(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	target := s.Issuer("default") + "/v1/authorize"
	page := get(t, browser(t), target+"?"+with(authorizeParams(), "login_hint", `"><script>alert(1)</script>`).Encode())
	for _, want := range []string{
		`<html lang="en">`, "<title>Sign in – local test server, not Okta</title>", "<strong>This is not Okta.</strong>",
		`<label for="username">`, `<label for="password">`, " autofocus", `<button type="submit">`, "<strong>mobile</strong>",
	} {
		if !strings.Contains(page.body, want) {
			t.Errorf("page lacks %s", want)
		}
	}
	for _, never := range []string{"<script", "http://", "https://evil", " src=", "<link", "@import"} {
		body := strings.ReplaceAll(page.body, seedRedirect, "")
		if strings.Contains(body, never) {
			t.Errorf("page has %s", never)
		}
	}
	csp := regexp.MustCompile(`^default-src 'none'; style-src 'nonce-[A-Za-z0-9_-]{22}'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' https://www.getpostman.com$`)
	if got := page.header.Get("Content-Security-Policy"); !csp.MatchString(got) {
		t.Errorf("Content-Security-Policy %q", got)
	}
	private := get(t, browser(t), target+"?"+with(authorizeParams(), "redirect_uri", "com.example.orders:/callback").Encode())
	if got := private.header.Get("Content-Security-Policy"); !strings.HasSuffix(got, "form-action 'self' com.example.orders:") {
		t.Errorf("Content-Security-Policy %q", got)
	}
}

func TestSignInErrors(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	if err := s.Deactivate("bob@example.com"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ username, password, want string }{
		"unknown user":     {"carol", "x", "There is no active user with this username. Users here: alice@example.com."},
		"empty password":   {"alice@example.com", "", "Enter a password. Any will do."},
		"deactivated user": {"bob@example.com", "x", "There is no active user with this username."},
	} {
		got := signIn(t, browser(t), s.Issuer("default"), authorizeParams(), test.username, test.password)
		alert := regexp.MustCompile(`role="alert">([^<]*)<`).FindStringSubmatch(got.body)
		if got.status != 400 || got.header.Get("Location") != "" || len(got.header.Values("Set-Cookie")) > 0 ||
			len(alert) != 2 || !strings.HasPrefix(alert[1], test.want) {
			t.Errorf("%s: status %d, alert %q", name, got.status, alert)
		}
		if len(hiddenField.FindAllString(got.body, -1)) != len(authorizeParams()) {
			t.Errorf("%s: the page lost the authorization request", name)
		}
	}
}

func TestSignInFormRefusesOtherSites(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	form := with(authorizeParams(), "username", "alice@example.com", "password", "x")
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		req := newRequest(t, http.MethodPost, s.Issuer("default")+"/v1/authorize", form.Encode())
		req.Header.Set(header[0], header[1])
		if got := do(t, browser(t), req); got.status != http.StatusForbidden || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%v: status %d, cookies %v", header, got.status, got.header.Values("Set-Cookie"))
		}
	}
}
