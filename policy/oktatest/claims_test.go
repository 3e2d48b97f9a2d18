package oktatest_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

// TestClaimOrder holds names and order of what Okta puts in its tokens, byte for
// byte but for random and time values.
func TestClaimOrder(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	alice, issuer := s.User("alice@example.com"), regexp.QuoteMeta(s.Issuer("default"))
	got := redeem(t, s.Issuer("default"), "openid profile email offline_access")
	minted := accessToken(t, s, "openid")
	machine, err := s.Token(oktatest.TokenRequest{Client: "gateway", Scopes: []string{"orders.read"}})
	if err != nil {
		t.Fatal(err)
	}
	const user = `"uid":"00u\w{17}","scp":\[%s\],"auth_time":\d{10},"sub":"alice@example.com","groups":\["Everyone","sales"\]`
	access := func(jti, cid, rest string) string {
		return fmt.Sprintf(`{"ver":1,"jti":"AT\.[\w-]{43}%s","iss":"%s","aud":"api://default","iat":\d{10},"exp":\d{10},"cid":"%s",%s}`, jti, issuer, cid, rest)
	}
	for name, test := range map[string]struct{ token, want string }{
		"from the flow": {got.AccessToken, access(`\.oar\w{17}`, seedClient, fmt.Sprintf(user, `"openid","profile","email","offline_access"`))},
		"minted":        {minted, access("", seedClient, fmt.Sprintf(user, `"openid"`))},
		"machine":       {machine, access("", s.Client("gateway").ID, `"scp":\["orders.read"\],"sub":"`+s.Client("gateway").ID+`"`)},
		"id token": {got.IDToken, fmt.Sprintf(`{"sub":"%s","name":"Alice Archer","email":"alice@example.com","ver":1,"iss":"%s","aud":"%s","iat":\d{10},"exp":\d{10},`+
			`"jti":"ID\.[\w-]{43}","amr":\["pwd"\],"idp":"00o\w{17}","preferred_username":"alice@example.com","auth_time":\d{10},"at_hash":"[\w-]{22}"}`, alice.ID, issuer, seedClient)},
	} {
		header, claims := payload(t, test.token)
		if !regexp.MustCompile(`^{"kid":"[\w-]{43}","alg":"RS256"}$`).MatchString(header) {
			t.Errorf("%s: header %s", name, header)
		}
		if !regexp.MustCompile("^" + test.want + "$").MatchString(claims) {
			t.Errorf("%s:\ngot  %s\nwant %s", name, claims, test.want)
		}
	}
}

func TestAccessTokenLifetime(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t, func(c *oktatest.Config) { c.AuthorizationServers[0].AccessTokenLifetime = 5 * time.Minute })
	token := accessToken(t, s, "openid")
	s.Advance(4 * time.Minute)
	if !isActive(t, s, token) {
		t.Error("inactive after four minutes")
	}
	s.Advance(time.Minute)
	if isActive(t, s, token) {
		t.Error("active at exp")
	}
}
