package oktatest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/oktatest"
)

// authentication is what tokens say about a sign-in.
type authentication struct {
	ACR  string   `json:"acr"`
	Time int64    `json:"auth_time"`
	AMR  []string `json:"amr"`
}

func authenticationOf(t *testing.T, token string) (got authentication) {
	t.Helper()
	_, claims := payload(t, token)
	if err := json.Unmarshal([]byte(claims), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// tokensOf redeems the code of a redirect.
func tokensOf(t *testing.T, issuer string, done answer) tokens {
	t.Helper()
	location, err := url.Parse(done.header.Get("Location"))
	if err != nil || done.status != http.StatusFound {
		t.Fatalf("status %d, Location %q, %v: %s", done.status, location, err, done.body)
	}
	return decodeTokens(t, post(t, browser(t), issuer+"/v1/token", codeForm(location.Query().Get("code"))))
}

func TestACR(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t, func(c *oktatest.Config) { c.Users[1].LacksACR = []string{"phr", "phrh"} })
	issuer := s.Issuer("default")
	const one, pwd, two = "urn:okta:loa:1fa:any", "urn:okta:loa:1fa:pwd", "urn:okta:loa:2fa:any"
	for _, test := range []struct {
		user, asked, acr string
		amr              []string
	}{
		{"alice", "", "", []string{"pwd"}},
		{"alice", one, one, []string{"pwd"}},
		{"alice", pwd, pwd, []string{"pwd"}},
		{"alice", two, two, []string{"mfa", "otp", "pwd"}},
		{"alice", "phr", "phr", []string{"mfa", "pwd", "swk"}},
		{"alice", "phrh " + two, "phrh", []string{"hwk", "mfa", "pwd"}},
		{"alice", "urn:example:gold " + two, two, []string{"mfa", "otp", "pwd"}},
		{"alice", "urn:example:gold", "", []string{"pwd"}},
		{"bob", "phr " + two, two, []string{"mfa", "otp", "pwd"}},
	} {
		done := signIn(t, browser(t), issuer, with(authorizeParams(), "acr_values", test.asked), test.user, "x")
		got := tokensOf(t, issuer, done)
		access, id := authenticationOf(t, got.AccessToken), authenticationOf(t, got.IDToken)
		if access.ACR != test.acr || id.ACR != test.acr || access.Time != id.Time || access.Time == 0 {
			t.Errorf("%s asked %q: access token %+v, ID token %+v", test.user, test.asked, access, id)
		}
		if diff := cmp.Diff(test.amr, id.AMR); diff != "" {
			t.Errorf("%s asked %q: %s", test.user, test.asked, diff)
		}
	}
	if page := get(t, browser(t), issuer+"/v1/authorize?"+with(authorizeParams(), "acr_values", "phr <b>").Encode()); !strings.Contains(page.body, "It asks for phr.") {
		t.Errorf("the page does not say what is asked: %s", page.body)
	}
	done := signIn(t, browser(t), issuer, with(authorizeParams(), "acr_values", "phr phrh"), "bob", "x")
	const unmet = "unmet_authentication_requirements: Unable to meet the authentication requirements imposed by 'acr_values' parameter."
	if got := errorOf(t, done); got != unmet || !strings.Contains(done.header.Get("Location"), "state="+seedState) {
		t.Errorf("bob asked phr: %s", got)
	}
}

// A session that is too weak or too old needs a new sign-in; one that is strong enough
// keeps its time, and refreshing changes neither time nor acr.
func TestStepUp(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	issuer, c := s.Issuer("default"), browser(t)
	params := with(authorizeParams(), "scope", "openid offline_access")
	begun := authenticationOf(t, tokensOf(t, issuer, signIn(t, c, issuer, params, "alice", "x")).AccessToken)
	s.Advance(10 * time.Minute)

	for asked, want := range map[string]string{
		"urn:okta:loa:1fa:pwd": "urn:okta:loa:1fa:pwd", "phr urn:okta:loa:1fa:any": "urn:okta:loa:1fa:any", "urn:example:gold": "",
	} {
		at := authenticationOf(t, tokensOf(t, issuer, get(t, c, issuer+"/v1/authorize?"+with(params, "acr_values", asked).Encode())).AccessToken)
		if at.ACR != want || at.Time != begun.Time {
			t.Errorf("asked %q: %+v, the sign-in was at %d", asked, at, begun.Time)
		}
	}
	strong := with(params, "acr_values", "phr")
	if got := errorOf(t, get(t, c, issuer+"/v1/authorize?"+with(strong, "prompt", "none").Encode())); !strings.HasPrefix(got, "login_required:") {
		t.Errorf("phr without a prompt: %s", got)
	}
	got := tokensOf(t, issuer, signIn(t, c, issuer, strong, "alice", "x")) // the page is shown
	stepped := authenticationOf(t, got.AccessToken)
	if stepped.ACR != "phr" || stepped.Time < begun.Time+600 {
		t.Errorf("stepped up: %+v, first %+v", stepped, begun)
	}
	s.Advance(20 * time.Minute)
	if at := authenticationOf(t, tokensOf(t, issuer, get(t, c, issuer+"/v1/authorize?"+strong.Encode())).AccessToken); at.ACR != "phr" || at.Time != stepped.Time {
		t.Errorf("with the session of %+v: %+v", stepped, at)
	}
	fresh := decodeTokens(t, refreshWith(t, issuer, seedClient, got.RefreshToken))
	for _, token := range []string{fresh.AccessToken, fresh.IDToken} {
		if at := authenticationOf(t, token); at.ACR != "phr" || at.Time != stepped.Time {
			t.Errorf("after a refresh: %+v", at)
		}
	}
	for name, value := range map[string]string{"max_age": "900", "prompt": "login"} {
		s.Advance(16 * time.Minute)
		again := authenticationOf(t, tokensOf(t, issuer, signIn(t, c, issuer, with(params, name, value), "alice", "x")).AccessToken)
		if again.Time < stepped.Time+900 {
			t.Errorf("%s=%s: the sign-in is of %d, it was of %d", name, value, again.Time, stepped.Time)
		}
	}
}
