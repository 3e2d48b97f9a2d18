package oktatest_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

// The how-to's own PKCE pair, client, redirect URI and state.
const (
	seedVerifier  = "M25iVXpKU3puUjFaYWg3T1NDTDQtcW1ROUY5YXlwalNoc0hhakxifmZHag"
	seedChallenge = "qjrzSW9gMiUgpUvqgEPE4_-8swvyCtfOVvg55o5S_es"
	seedClient    = "0oaf2no1n6hPswFV10h7"
	seedRedirect  = "https://www.getpostman.com/oauth2/callback"
	seedState     = "state-8600b31f-52d1-4dca-987c-386e3d8967e9"
)

// browser keeps cookies and shows redirects instead of following them.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, c *http.Client, req *http.Request) answer {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func newRequest(t *testing.T, method, target, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req
}

func get(t *testing.T, c *http.Client, target string) answer {
	t.Helper()
	return do(t, c, newRequest(t, http.MethodGet, target, ""))
}

func post(t *testing.T, c *http.Client, target string, form url.Values) answer {
	t.Helper()
	return do(t, c, newRequest(t, http.MethodPost, target, form.Encode()))
}

// with returns a copy of form in which each pair of changes sets a parameter;
// the value "-" removes it.
func with(form url.Values, changes ...string) url.Values {
	out := url.Values{}
	for name, values := range form {
		out[name] = append([]string(nil), values...)
	}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "-" {
			out.Del(changes[i])
			continue
		}
		out.Set(changes[i], changes[i+1])
	}
	return out
}

func authorizeParams() url.Values {
	return url.Values{
		"client_id": {seedClient}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {seedRedirect},
		"state": {seedState}, "code_challenge_method": {"S256"}, "code_challenge": {seedChallenge},
	}
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// signIn fetches the sign-in page for params, submits its form and returns the answer.
func signIn(t *testing.T, c *http.Client, issuer string, params url.Values, username, password string) answer {
	t.Helper()
	page := get(t, c, issuer+"/v1/authorize?"+params.Encode())
	if page.status != http.StatusOK {
		t.Fatalf("sign-in page: status %d: %s", page.status, page.body)
	}
	form := url.Values{"username": {username}, "password": {password}}
	for _, m := range hiddenField.FindAllStringSubmatch(page.body, -1) {
		form.Set(m[1], strings.NewReplacer("&#43;", "+", "&amp;", "&").Replace(m[2]))
	}
	return post(t, c, issuer+"/v1/authorize", form)
}

// login returns the code of a fresh sign-in.
func login(t *testing.T, issuer string, params url.Values) string {
	t.Helper()
	done := signIn(t, browser(t), issuer, params, "alice@example.com", "x")
	location, err := url.Parse(done.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	code := location.Query().Get("code")
	if done.status != http.StatusFound || code == "" {
		t.Fatalf("sign-in: status %d, Location %q: %s", done.status, location, done.body)
	}
	return code
}

func codeForm(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {seedRedirect},
		"client_id": {seedClient}, "code_verifier": {seedVerifier},
	}
}

type tokens struct {
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	AccessToken  string `json:"access_token"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
}

func decodeTokens(t *testing.T, a answer) tokens {
	t.Helper()
	var out tokens
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != http.StatusOK {
		t.Fatalf("token reply: status %d, %v: %s", a.status, err, a.body)
	}
	return out
}

// redeem signs alice in with scope and returns her tokens.
func redeem(t *testing.T, issuer, scope string) tokens {
	t.Helper()
	code := login(t, issuer, with(authorizeParams(), "scope", scope))
	return decodeTokens(t, post(t, browser(t), issuer+"/v1/token", codeForm(code)))
}

func introspect(t *testing.T, s *oktatest.Server, as, token string) answer {
	t.Helper()
	req := newRequest(t, http.MethodPost, s.Issuer(as)+"/v1/introspect", url.Values{"token": {token}}.Encode())
	gateway := s.Client("gateway")
	req.SetBasicAuth(gateway.ID, gateway.Secret)
	return do(t, http.DefaultClient, req)
}

const inactive = `{"active":false}`

func isActive(t *testing.T, s *oktatest.Server, token string) bool {
	t.Helper()
	a := introspect(t, s, "default", token)
	if a.status != http.StatusOK {
		t.Fatalf("introspect: status %d: %s", a.status, a.body)
	}
	if a.body == inactive {
		return false
	}
	if !strings.HasPrefix(a.body, `{"active":true,`) {
		t.Fatalf("introspect: %s", a.body)
	}
	return true
}

// accessToken mints a token of alice and mobile.
func accessToken(t *testing.T, s *oktatest.Server, scopes ...string) string {
	t.Helper()
	token, err := s.Token(oktatest.TokenRequest{Client: "mobile", User: "alice@example.com", Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// payload returns the header and claims of a JWT as they were written.
func payload(t *testing.T, token string) (header, claims string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token has %d parts", len(parts))
	}
	for i, out := range []*string{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		*out = string(raw)
	}
	return header, claims
}

// errorID replaces the random part of an API error body.
var errorIDPattern = regexp.MustCompile(`"errorId":"oae[A-Za-z0-9_-]{22}"`)

func normalised(body string) string {
	return errorIDPattern.ReplaceAllString(body, `"errorId":"oae"`)
}

func apiError(code, summary string) string {
	return `{"errorCode":"` + code + `","errorSummary":"` + summary + `","errorLink":"` + code + `","errorId":"oae","errorCauses":[]}`
}

func oauthError(code, description string) string {
	return `{"error":"` + code + `","error_description":"` + description + `"}`
}
