package oktatest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const hmacSecret = "0123456789abcdef0123456789abcdef"

// assertions has a client of each kind of key.
type assertions struct {
	*oktatest.Server
	rsa, other *rsa.PrivateKey
	ec         *ecdsa.PrivateKey
}

func newAssertions(t *testing.T) assertions {
	t.Helper()
	var a assertions
	var errs [3]error
	a.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	a.other, errs[1] = rsa.GenerateKey(rand.Reader, 2048)
	a.ec, errs[2] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	machine := []string{"client_credentials"}
	a.Server = oktatest.New(t, func(c *oktatest.Config) {
		c.AuthorizationServers = append(c.AuthorizationServers,
			oktatest.AuthorizationServer{ID: "ausOther", Audience: "api://other"}, oktatest.AuthorizationServer{ID: oktatest.OrgServer})
		c.Clients = append(c.Clients,
			oktatest.Client{ID: "0oaOne", Type: "service", Keys: map[string]crypto.PublicKey{"k1": a.rsa.Public()}, GrantTypes: machine},
			oktatest.Client{ID: "0oaTwo", Type: "service", Keys: map[string]crypto.PublicKey{"k1": a.rsa.Public(), "k2": a.ec.Public()}},
			oktatest.Client{ID: "0oaHMAC", Type: "service", Secret: hmacSecret, SecretJWT: true, GrantTypes: machine},
			oktatest.Client{ID: "0oaShort", Type: "service", Secret: hmacSecret[:31], SecretJWT: true},
			oktatest.Client{ID: "0oaWebKey", Type: "web", Keys: map[string]crypto.PublicKey{"k1": a.rsa.Public()}, GrantTypes: machine})
	})
	return a
}

func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, kid string, claims any) string {
	t.Helper()
	options := new(jose.SignerOptions)
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// asserted is the form of a call with a client assertion, and what else it needs.
func asserted(assertion string, more ...string) url.Values {
	return with(url.Values{
		"token": {"x"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}, more...)
}

// TestClientAssertion runs every row against introspect, revoke and token.
func TestClientAssertion(t *testing.T) {
	t.Parallel()
	a := newAssertions(t)
	now := time.Now().Truncate(time.Second)
	ends := func(d time.Duration) int64 { return now.Add(d).Unix() }
	const failed = "Client authentication failed. Either the client or the client credentials are invalid."
	type change = map[string]any
	type row struct {
		algorithm jose.SignatureAlgorithm // RS256 if empty
		key       any                     // a.rsa if nil
		kid       string
		client    string // 0oaOne if empty
		change    change // of the claims; nil removes one
		form      []string
		want      string // empty: accepted
	}
	for name, test := range map[string]row{
		"RS256":                    {kid: "k1"},
		"RS512":                    {algorithm: jose.RS512, kid: "k1"},
		"the only key needs no id": {},
		"ES256":                    {algorithm: jose.ES256, key: a.ec, kid: "k2", client: "0oaTwo"},
		"HS256":                    {algorithm: jose.HS256, key: []byte(hmacSecret), client: "0oaHMAC"},
		"HS512":                    {algorithm: jose.HS512, key: []byte(hmacSecret + hmacSecret), client: "0oaHMAC", want: "The client_assertion signature is invalid."},
		"same client id":           {kid: "k1", form: []string{"client_id", "0oaOne"}},
		"audience in a list":       {kid: "k1", change: change{"aud": []string{"@"}}},
		"no jti, no iat":           {kid: "k1", change: change{"jti": nil, "iat": nil}},
		"an hour less 10 s":        {kid: "k1", change: change{"exp": ends(time.Hour - 10*time.Second)}},

		"other client id":     {kid: "k1", form: []string{"client_id", "0oaTwo"}, want: failed},
		"issuer absent":       {kid: "k1", change: change{"iss": nil}, want: "The issuer claim for client_assertion is not a valid client_id."},
		"issuer unknown":      {kid: "k1", change: change{"iss": "0oaNobody"}, want: "The issuer claim for client_assertion is not a valid client_id."},
		"subject absent":      {kid: "k1", change: change{"sub": nil}, want: "The subject claim for client_assertion is not a valid client_id."},
		"subject differs":     {kid: "k1", change: change{"sub": "0oaTwo"}, want: "The subject claim for client_assertion is not a valid client_id."},
		"client of a secret":  {kid: "k1", client: a.Client("gateway").ID, want: failed},
		"public client":       {kid: "k1", client: seedClient, want: failed},
		"kid unknown":         {kid: "k9", want: "The client_assertion JWT kid is invalid."},
		"kid absent of two":   {client: "0oaTwo", want: "The client_assertion JWT kid is invalid."},
		"other key":           {kid: "k1", key: a.other, want: "The client_assertion signature is invalid."},
		"PS256":               {algorithm: jose.PS256, kid: "k1", want: "The client_assertion JWT signature algorithm is invalid."},
		"ES256 of an RSA key": {algorithm: jose.ES256, key: a.ec, kid: "k1", want: "The client_assertion JWT signature algorithm is invalid."},
		"RS256 of an EC key":  {kid: "k2", client: "0oaTwo", want: "The client_assertion JWT signature algorithm is invalid."},
		"HS256 of a key":      {algorithm: jose.HS256, key: []byte(hmacSecret), want: "The issuer and subject claim for client_assertion is invalid because the client does not have a client secret."},
		"RS256 of a secret":   {client: "0oaHMAC", want: "The client does not have a JWKSet configured, but the client_assertion requires one."},
		"secret too short":    {algorithm: jose.HS256, key: []byte(hmacSecret), client: "0oaShort", want: "The client secret is too short to verify a JWT HMAC."},
		"secret wrong":        {algorithm: jose.HS256, key: []byte(hmacSecret[1:] + "x"), client: "0oaHMAC", want: "The client_assertion signature is invalid."},
		"audience absent":     {kid: "k1", change: change{"aud": nil}, want: "The audience claim for client_assertion must be the endpoint invoked for the request."},
		"audience issuer":     {kid: "k1", change: change{"aud": a.Issuer("default")}, want: "The audience claim for client_assertion must be the endpoint invoked for the request."},
		"audience keys":       {kid: "k1", change: change{"aud": a.Issuer("default") + "/v1/keys"}, want: "The audience claim for client_assertion must be the endpoint invoked for the request."},
		"audience and slash":  {kid: "k1", change: change{"aud": "@/"}, want: "The audience claim for client_assertion must be the endpoint invoked for the request."},
		"two audiences":       {kid: "k1", change: change{"aud": []string{"@", "x"}}, want: "The audience claim for client_assertion must be the endpoint invoked for the request."},
		"exp absent":          {kid: "k1", change: change{"exp": nil}, want: "The client_assertion must contain the 'exp' claim as seconds since epoch."},
		"expired":             {kid: "k1", change: change{"exp": ends(0)}, want: "The client_assertion token is expired."},
		"over an hour":        {kid: "k1", change: change{"exp": ends(time.Hour + time.Minute)}, want: "The client_assertion token has an expiration too far into the future."},
		"issued tomorrow":     {kid: "k1", change: change{"iat": ends(24 * time.Hour)}, want: "The client_assertion token must be issued before the current time."},
		"exp is text":         {kid: "k1", change: change{"exp": "soon"}, want: "The parsing of the client_assertion failed."},
	} {
		for _, endpoint := range []string{"introspect", "revoke", "token"} {
			url := a.Issuer("default") + "/v1/" + endpoint
			client := test.client
			if client == "" {
				client = "0oaOne"
			}
			claims := change{"iss": client, "sub": client, "aud": url, "iat": now.Unix(), "exp": ends(5 * time.Minute), "jti": name + endpoint}
			for claim, value := range test.change {
				switch v := value.(type) {
				case string:
					claims[claim] = strings.Replace(v, "@", url, 1)
				case []string:
					claims[claim] = append([]string{url}, v[1:]...)
				case nil:
					delete(claims, claim)
				default:
					claims[claim] = value
				}
			}
			if test.algorithm == "" {
				test.algorithm = jose.RS256
			}
			if test.key == nil {
				test.key = a.rsa
			}
			got := post(t, http.DefaultClient, url, with(asserted(sign(t, test.algorithm, test.key, test.kid, claims), test.form...), "grant_type", "x"))
			if test.want != "" {
				if got.status != 401 || got.body != oauthError("invalid_client", test.want) {
					t.Errorf("%s, %s: %d %s", name, endpoint, got.status, got.body)
				}
			} else if accepted := got.status == 200 || endpoint == "token" && strings.Contains(got.body, "unsupported_grant_type"); !accepted {
				t.Errorf("%s, %s: %d %s", name, endpoint, got.status, got.body)
			}
		}
	}
	for _, broken := range []string{"", "a.b.c", "x", strings.Repeat("a", 1000)} {
		got := post(t, http.DefaultClient, a.Issuer("default")+"/v1/introspect", asserted(broken))
		if got.status != 401 || got.body != oauthError("invalid_client", "The parsing of the client_assertion failed.") {
			t.Errorf("%q: %d %s", broken, got.status, got.body)
		}
	}
}

// TestAssertionIsForOneServer holds that the audience names the server too, and that
// a jti is spent by the call that it authenticated, for all servers and no other client.
func TestAssertionIsForOneServer(t *testing.T) {
	t.Parallel()
	a := newAssertions(t)
	make := func(client, aud, jti string) url.Values {
		return asserted(sign(t, jose.RS256, a.rsa, "k1", jwt.Claims{
			Issuer: client, Subject: client, Audience: jwt.Audience{aud}, ID: jti, Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute)),
		}))
	}
	here, other, org := a.Issuer("default")+"/v1/introspect", a.Issuer("ausOther")+"/v1/introspect", a.URL()+"/oauth2/v1/introspect"
	used := oauthError("invalid_client", "The client_assertion token has already been used.")
	wrong := oauthError("invalid_client", "The audience claim for client_assertion must be the endpoint invoked for the request.")
	once, free := make("0oaOne", here, "1"), make("0oaOne", here, "")
	for i, step := range []struct {
		url  string
		form url.Values
		want string
	}{
		{other, once, wrong},
		{org, once, wrong},
		{here, once, inactive},
		{here, once, used},
		{other, make("0oaOne", other, "1"), used},
		{here, make("0oaTwo", here, "1"), inactive},
		{org, make("0oaOne", org, "2"), inactive},
		{here, free, inactive},
		{here, free, inactive},
	} {
		if got := post(t, http.DefaultClient, step.url, step.form); got.body != step.want {
			t.Errorf("step %d: %d %s", i, got.status, got.body)
		}
	}
}

func TestAssertionClientsHaveNoOtherWay(t *testing.T) {
	t.Parallel()
	a := newAssertions(t)
	failed := oauthError("invalid_client", "Client authentication failed. Either the client or the client credentials are invalid.")
	for name, form := range map[string]url.Values{
		"bare id":        {"client_id": {"0oaOne"}},
		"bare HMAC id":   {"client_id": {"0oaHMAC"}},
		"secret of keys": {"client_id": {"0oaOne"}, "client_secret": {"x"}},
		"secret by post": {"client_id": {"0oaHMAC"}, "client_secret": {hmacSecret}},
	} {
		if got := post(t, http.DefaultClient, a.Issuer("default")+"/v1/introspect", with(form, "token", "x")); got.status != 401 || got.body != failed {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	check(t, a.Deactivate("0oaOne"))
	assertion := sign(t, jose.RS256, a.rsa, "k1", jwt.Claims{Issuer: "0oaOne", Subject: "0oaOne"})
	if got := post(t, http.DefaultClient, a.Issuer("default")+"/v1/introspect", asserted(assertion)); got.body != oauthError("invalid_client", "The issuer claim for client_assertion is not a valid client_id.") {
		t.Errorf("deactivated: %d %s", got.status, got.body)
	}
}

func TestAuthenticationConfigIsChecked(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.PublicKey{"k": key.Public()}
	for want, client := range map[string]oktatest.Client{
		"a secret or keys, not both":                        {Type: "service", Secret: "x", Keys: keys},
		"client_secret_jwt needs a secret":                  {Type: "native", SecretJWT: true},
		"a *rsa.PrivateKey, not an RSA or ECDSA public key": {Type: "service", Keys: map[string]crypto.PublicKey{"k": key}},
	} {
		cfg := oktatest.DefaultConfig()
		cfg.Clients = append(cfg.Clients, client)
		if _, err := oktatest.NewServer(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
