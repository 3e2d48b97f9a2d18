package oktatest_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// TestClientAuthentication runs every row against introspect and revoke, which
// authenticate alike.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	gateway, token := s.Client("gateway"), accessToken(t, s, "openid")
	post, public := url.Values{"client_id": {gateway.ID}, "client_secret": {gateway.Secret}}, url.Values{"client_id": {seedClient}}
	none := url.Values{}
	duplicate := with(none)
	duplicate["client_id"] = []string{seedClient, seedClient}
	const (
		failed   = "Client authentication failed. Either the client or the client credentials are invalid."
		badBasic = "Found Authentication header but was not valid client credentials."
		many     = "Cannot supply multiple client credentials. Use one of the following: credentials in the Authorization header, credentials in the post body, or a client_assertion in the post body."
		inQuery  = "Client credentials cannot be supplied via query parameters."
	)
	unknown := apiError("invalid_client", "Invalid value for 'client_id' parameter.")
	for name, test := range map[string]struct {
		header, query string
		form          url.Values
		status        int
		want          string // empty: accepted
	}{
		"basic":                  {header: basic(gateway.ID, gateway.Secret), form: none, status: 200},
		"basic, lower-case":      {header: strings.Replace(basic(gateway.ID, gateway.Secret), "Basic", "basic", 1), form: none, status: 200},
		"basic and same id":      {header: basic(gateway.ID, gateway.Secret), form: with(none, "client_id", gateway.ID), status: 200},
		"post":                   {form: post, status: 200},
		"public, form":           {form: public, status: 200},
		"public, query":          {query: "client_id=" + seedClient, form: none, status: 200},
		"public, Basic no colon": {header: "Basic " + base64.StdEncoding.EncodeToString([]byte(seedClient)), form: none, status: 200},
		"public, Basic colon":    {header: basic(seedClient, ""), form: none, status: 200},
		"nothing":                {form: none, status: 401, want: oauthError("invalid_client", "No client credentials found.")},
		"unknown client":         {form: with(public, "client_id", "0oaUnknown"), status: 401, want: unknown},
		"client by name":         {form: with(post, "client_id", "gateway"), status: 401, want: unknown},
		"unknown, basic":         {header: basic("0oaUnknown", "x"), form: none, status: 401, want: unknown},
		"wrong secret, basic":    {header: basic(gateway.ID, "x"), form: none, status: 401, want: oauthError("invalid_client", "The client secret supplied for a confidential client is invalid.")},
		"wrong secret, post":     {form: with(post, "client_secret", "x"), status: 401, want: oauthError("invalid_client", "The client secret supplied for a confidential client is invalid.")},
		"secret absent":          {form: with(post, "client_secret", "-"), status: 401, want: oauthError("invalid_client", failed)},
		"secret of public":       {form: with(public, "client_secret", "x"), status: 401, want: oauthError("invalid_client", failed)},
		"Bearer":                 {header: "Bearer " + token, form: none, status: 401, want: oauthError("invalid_client", badBasic)},
		"broken base64":          {header: "Basic ***", form: none, status: 401, want: oauthError("invalid_client", badBasic)},
		"basic, other id":        {header: basic(gateway.ID, gateway.Secret), form: public, status: 401, want: oauthError("invalid_client", badBasic)},
		"basic and post":         {header: basic(gateway.ID, gateway.Secret), form: post, status: 401, want: oauthError("invalid_request", many)},
		"secret in query":        {query: post.Encode(), form: none, status: 400, want: oauthError("invalid_request", inQuery)},
		"assertion in query":     {query: "client_assertion=a", form: none, status: 400, want: oauthError("invalid_request", inQuery)},
		"assertion type":         {form: with(none, "client_assertion", "a.b.c", "client_assertion_type", "x"), status: 400, want: oauthError("invalid_request", "The client_assertion_type is invalid.")},
		"assertion":              {form: with(none, "client_assertion", "a.b.c", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), status: 401, want: oauthError("invalid_client", failed)},
		"parameter twice":        {form: duplicate, status: 400, want: oauthError("invalid_request", "The request contained multiple parameters with the same name.")},
		"token absent":           {form: with(post, "token", ""), status: 400, want: oauthError("invalid_request", "The 'token' parameter is required.")},
		"token in query":         {query: "token=" + token, form: with(post, "token", ""), status: 400, want: oauthError("invalid_request", "The 'token' parameter is required.")},
	} {
		for _, endpoint := range []string{"introspect", "revoke"} {
			t.Run(name+"/"+endpoint, func(t *testing.T) {
				t.Parallel()
				form := test.form
				if !form.Has("token") {
					form = with(form, "token", token)
					if endpoint == "revoke" {
						form.Set("token", "of nobody")
					}
				}
				form = with(form)
				if name == "parameter twice" {
					form = duplicate
				}
				req := newRequest(t, http.MethodPost, s.Issuer("default")+"/v1/"+endpoint+"?"+test.query, form.Encode())
				if test.header != "" {
					req.Header.Set("Authorization", test.header)
				}
				checkAuthentication(t, endpoint, do(t, http.DefaultClient, req), test.status, test.want)
			})
		}
	}
}

func checkAuthentication(t *testing.T, endpoint string, got answer, status int, want string) {
	t.Helper()
	if challenge := got.header.Get("WWW-Authenticate"); (got.status == 401) != (challenge != "") {
		t.Errorf("status %d, WWW-Authenticate %q", got.status, challenge)
	}
	switch {
	case got.status != status:
		t.Errorf("status %d, want %d: %s", got.status, status, got.body)
	case want != "" && normalised(got.body) != want:
		t.Errorf("got  %s\nwant %s", got.body, want)
	case want == "" && endpoint == "revoke" && got.body != "":
		t.Errorf("revoke answered %q", got.body)
	case want == "" && endpoint == "introspect" && !strings.HasPrefix(got.body, `{"active":true,`):
		t.Errorf("introspect answered %s", got.body)
	}
}

func TestIntrospectionReply(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	alice, issuer := s.User("alice@example.com"), s.Issuer("default")
	got := redeem(t, issuer, "openid profile offline_access orders.read")
	access := fmt.Sprintf(`^{"active":true,"scope":"openid profile offline_access orders.read","username":"alice@example.com","exp":\d{10},"iat":\d{10},`+
		`"sub":"alice@example.com","aud":"api://default","iss":"%s","jti":"AT\.[\w-]{43}\.oar\w{17}","token_type":"Bearer","client_id":"%s","uid":"%s","groups":\["Everyone","sales"\]}$`,
		regexp.QuoteMeta(issuer), seedClient, alice.ID)
	refresh := fmt.Sprintf(`^{"active":true,"scope":"openid profile offline_access orders.read","username":"alice@example.com","exp":\d{10},`+
		`"sub":"alice@example.com","token_type":"Bearer","client_id":"%s"}$`, seedClient)
	id := fmt.Sprintf(`^{"active":true,"username":"alice@example.com","exp":\d{10},"iat":\d{10},"sub":"%s","aud":"%s","iss":"%s","jti":"ID\.[\w-]{43}",`+
		`"token_type":"Bearer","client_id":"%[2]s","uid":"%[1]s"}$`, alice.ID, seedClient, regexp.QuoteMeta(issuer))
	for token, want := range map[string]string{got.AccessToken: access, got.RefreshToken: refresh, got.IDToken: id} {
		a := introspect(t, s, "default", token)
		if !regexp.MustCompile(want).MatchString(a.body) || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("got  %s\nwant %s", a.body, want)
		}
	}
}

// TestLiveChecks holds that introspection answers for this moment, and that
// whatever ended a token the answer is byte for byte the same.
func TestLiveChecks(t *testing.T) {
	t.Parallel()
	type action func(*testing.T, *oktatest.Server, tokens)
	for name, test := range map[string]struct {
		act     action
		access  bool // still active afterwards
		refresh bool
	}{
		"nothing":        {func(*testing.T, *oktatest.Server, tokens) {}, true, true},
		"revoke access":  {func(t *testing.T, s *oktatest.Server, g tokens) { check(t, s.Revoke(g.AccessToken)) }, false, true},
		"revoke refresh": {func(t *testing.T, s *oktatest.Server, g tokens) { check(t, s.Revoke(g.RefreshToken)) }, false, false},
		"own client revokes": {func(t *testing.T, s *oktatest.Server, g tokens) {
			post(t, http.DefaultClient, s.Issuer("default")+"/v1/revoke", url.Values{"token": {g.RefreshToken}, "client_id": {seedClient}})
		}, false, false},
		"other client revokes": {func(t *testing.T, s *oktatest.Server, g tokens) {
			gateway := s.Client("gateway")
			a := post(t, http.DefaultClient, s.Issuer("default")+"/v1/revoke",
				url.Values{"token": {g.RefreshToken}, "client_id": {gateway.ID}, "client_secret": {gateway.Secret}})
			if a.status != 200 || a.body != "" {
				t.Errorf("revoke: %d %q", a.status, a.body)
			}
		}, true, true},
		"deactivate user":    {func(t *testing.T, s *oktatest.Server, _ tokens) { check(t, s.Deactivate("alice@example.com")) }, false, false},
		"deactivate other":   {func(t *testing.T, s *oktatest.Server, _ tokens) { check(t, s.Deactivate("bob@example.com")) }, true, true},
		"deactivate client":  {func(t *testing.T, s *oktatest.Server, _ tokens) { check(t, s.Deactivate("mobile")) }, false, false},
		"one second too few": {func(_ *testing.T, s *oktatest.Server, _ tokens) { s.Advance(time.Hour - 30*time.Second) }, true, true},
		"access expired":     {func(_ *testing.T, s *oktatest.Server, _ tokens) { s.Advance(time.Hour) }, false, true},
		"refresh idle":       {func(_ *testing.T, s *oktatest.Server, _ tokens) { s.Advance(7 * 24 * time.Hour) }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := oktatest.New(t)
			got := redeem(t, s.Issuer("default"), "openid offline_access")
			test.act(t, s, got)
			if active := isActive(t, s, got.AccessToken); active != test.access {
				t.Errorf("access token active: %t", active)
			}
			if active := isActive(t, s, got.RefreshToken); active != test.refresh {
				t.Errorf("refresh token active: %t", active)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestIntrospectionKnowsOnlyItsOwnServer(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	token, err := s.Token(oktatest.TokenRequest{AuthorizationServer: "default", Client: "mobile", User: "alice@example.com", Scopes: []string{"openid"}})
	if err != nil {
		t.Fatal(err)
	}
	tampered := token[:len(token)-2] + "AA"
	for as, tokens := range map[string][]string{"ausOther": {token}, "default": {"garbage", tampered, strings.ToUpper(token)}} {
		for _, bad := range tokens {
			if got := introspect(t, s, as, bad); got.status != 200 || got.body != inactive {
				t.Errorf("%s: %d %s", as, got.status, got.body)
			}
		}
	}
	elsewhere := post(t, http.DefaultClient, s.Issuer("ausOther")+"/v1/revoke", url.Values{"token": {token}, "client_id": {seedClient}})
	if elsewhere.status != 200 || !isActive(t, s, token) {
		t.Errorf("revoked at another server: %d", elsewhere.status)
	}
	if err := s.Revoke("garbage"); err == nil {
		t.Error("Revoke took a token of nobody")
	}
	for _, name := range []string{"", "carol"} {
		if err := s.Deactivate(name); err == nil {
			t.Errorf("Deactivate(%q) found somebody", name)
		}
	}
}

func TestDeactivatedClientCannotAuthenticate(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	check(t, s.Deactivate("gateway"))
	if got := introspect(t, s, "default", "x"); got.status != 401 ||
		normalised(got.body) != apiError("invalid_client", "Invalid value for 'client_id' parameter.") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestUserInfoRefusals(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	got := redeem(t, s.Issuer("default"), "openid")
	for _, test := range []struct {
		header string
		status int
		want   string
	}{
		{"", 401, `Bearer error="invalid_token", error_description="The access token is invalid"`},
		{"Bearer x", 401, `Bearer error="invalid_token", error_description="The access token is invalid"`},
		{"Bearer " + got.IDToken, 401, `Bearer error="invalid_token", error_description="The access token is invalid"`},
		{"Bearer " + got.AccessToken, 403, `Bearer error="insufficient_scope", error_description="The access token must provide access to at least one of these scopes - profile, email, address or phone"`},
	} {
		req := newRequest(t, http.MethodGet, s.Issuer("default")+"/v1/userinfo", "")
		req.Header.Set("Authorization", test.header)
		if a := do(t, http.DefaultClient, req); a.status != test.status || a.header.Get("WWW-Authenticate") != test.want {
			t.Errorf("%d %q", a.status, a.header.Get("WWW-Authenticate"))
		}
	}
}
