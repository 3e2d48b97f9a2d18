package oktatest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
	"github.com/go-jose/go-jose/v4"
)

// holder is a client with a key, independent of the server's code.
type holder struct {
	key       crypto.Signer
	algorithm jose.SignatureAlgorithm
	now       func() time.Time
}

func newHolder(t *testing.T) *holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &holder{key, jose.ES256, time.Now}
}

func (h *holder) thumbprint(t *testing.T) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: h.key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// claims are those of a good proof for the token endpoint.
func (h *holder) claims(issuer, nonce string) map[string]any {
	c := map[string]any{"htm": "POST", "htu": issuer + "/v1/token", "iat": h.now().Unix(), "jti": rand.Text()}
	if nonce != "" {
		c["nonce"] = nonce
	}
	return c
}

// sign makes a proof; header, if any, replaces parts of its header.
func (h *holder) sign(t *testing.T, claims map[string]any, header map[jose.HeaderKey]any) string {
	t.Helper()
	options := &jose.SignerOptions{EmbedJWK: true, ExtraHeaders: map[jose.HeaderKey]any{"typ": "dpop+jwt"}}
	for name, value := range header {
		options.ExtraHeaders[name] = value
		options.EmbedJWK = options.EmbedJWK && name != "jwk"
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: h.algorithm, Key: h.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func postProof(t *testing.T, target string, form url.Values, proofs ...string) answer {
	t.Helper()
	req := newRequest(t, http.MethodPost, target, form.Encode())
	for _, proof := range proofs {
		req.Header.Add("DPoP", proof)
	}
	return do(t, browser(t), req)
}

// dance requests tokens as RFC 9449 section 8 has it: once without a nonce, once with it.
func (h *holder) dance(t *testing.T, issuer string, form url.Values) answer {
	t.Helper()
	first := postProof(t, issuer+"/v1/token", form, h.sign(t, h.claims(issuer, ""), nil))
	nonce := first.header.Get("dpop-nonce")
	if first.status != 400 || first.body != oauthError("use_dpop_nonce", "Authorization server requires nonce in DPoP proof.") || nonce == "" {
		t.Fatalf("without nonce: %d %s, nonce %q", first.status, first.body, nonce)
	}
	return postProof(t, issuer+"/v1/token", form, h.sign(t, h.claims(issuer, nonce), nil))
}

func dpopOrg(t *testing.T) *oktatest.Server {
	t.Helper()
	return oktatest.New(t, func(c *oktatest.Config) { c.Clients[0].DPoP = true })
}

func TestBoundTokens(t *testing.T) {
	t.Parallel()
	s := dpopOrg(t)
	issuer, h := s.Issuer("default"), newHolder(t)
	code := login(t, issuer, with(authorizeParams(), "scope", "openid offline_access profile"))
	if got := postProof(t, issuer+"/v1/token", codeForm(code)); got.status != 400 || got.body != oauthError("invalid_dpop_proof", "The DPoP proof JWT header is missing.") {
		t.Errorf("no proof: %d %s", got.status, got.body)
	}
	got := decodeTokens(t, h.dance(t, issuer, codeForm(code)))
	bound(t, got, h)
	if !isActive(t, s, got.AccessToken) {
		t.Error("the bound token is not active")
	}

	refreshing := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.RefreshToken}, "client_id": {seedClient}}
	if got := postProof(t, issuer+"/v1/token", refreshing); got.body != oauthError("invalid_dpop_proof", "The DPoP proof JWT header is missing.") {
		t.Errorf("refresh without proof: %s", got.body)
	}
	if got := newHolder(t).dance(t, issuer, refreshing); got.status != 400 || got.body != oauthError("invalid_dpop_proof", "Invalid DPoP Public Key binding in refresh token") {
		t.Errorf("refresh by another key: %d %s", got.status, got.body)
	}
	fresh := decodeTokens(t, h.dance(t, issuer, refreshing))
	bound(t, fresh, h)

	if _, err := s.Token(oktatest.TokenRequest{Client: "mobile", User: "alice@example.com", Scopes: []string{"openid"}}); err == nil {
		t.Error("Token mints a bearer token for a client that gets none")
	}
}

// bound fails unless tokens are bound to the key.
func bound(t *testing.T, got tokens, h *holder) {
	t.Helper()
	_, claims := payload(t, got.AccessToken)
	if got.TokenType != "DPoP" || !strings.Contains(claims, `"cnf":{"jkt":"`+h.thumbprint(t)+`"}`) {
		t.Errorf("token_type %q, claims %s", got.TokenType, claims)
	}
}

// A proof binds the tokens of every client; without one nothing changes.
func TestProofByChoice(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	issuer, h, gateway := s.Issuer("default"), newHolder(t), s.Client("gateway")
	bound(t, decodeTokens(t, h.dance(t, issuer, codeForm(login(t, issuer, authorizeParams())))), h)
	machine := url.Values{"grant_type": {"client_credentials"}, "scope": {"orders.read"}, "client_id": {gateway.ID}, "client_secret": {gateway.Secret}}
	bound(t, decodeTokens(t, h.dance(t, issuer, machine)), h)

	bearer := redeem(t, issuer, "openid offline_access")
	if _, claims := payload(t, bearer.AccessToken); bearer.TokenType != "Bearer" || strings.Contains(claims, "cnf") {
		t.Errorf("without proof: %q, %s", bearer.TokenType, claims)
	}
	refreshing := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {bearer.RefreshToken}, "client_id": {seedClient}}
	if got := h.dance(t, issuer, refreshing); got.body != oauthError("invalid_dpop_proof", "Invalid DPoP Public Key binding in refresh token") {
		t.Errorf("a proof for an unbound refresh token: %s", got.body)
	}
}

func TestProofRefusals(t *testing.T) {
	t.Parallel()
	s := dpopOrg(t)
	issuer, h := s.Issuer("default"), newHolder(t)
	form := codeForm(login(t, issuer, authorizeParams()))
	nonce := postProof(t, issuer+"/v1/token", form, h.sign(t, h.claims(issuer, ""), nil)).header.Get("dpop-nonce")
	change := func(name string, value any) string {
		c := h.claims(issuer, nonce)
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return h.sign(t, c, nil)
	}
	good := h.sign(t, h.claims(issuer, nonce), nil)
	parts := strings.Split(good, ".")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other := newHolder(t)
	refused := func(text string) string { return oauthError("invalid_dpop_proof", text) }
	nonceWanted := oauthError("use_dpop_nonce", "Authorization server requires nonce in DPoP proof.")
	now := time.Now().Unix()
	for name, test := range map[string]struct {
		proofs []string
		want   string
	}{
		"two":            {[]string{good, good}, refused("Multiple DPoP proof JWT headers are not allowed.")},
		"empty":          {[]string{""}, refused("The DPoP proof JWT cannot be parsed.")},
		"long":           {[]string{change("x", strings.Repeat("x", 9<<10))}, refused("The DPoP proof JWT cannot be parsed.")},
		"typ":            {[]string{h.sign(t, h.claims(issuer, nonce), map[jose.HeaderKey]any{"typ": "JWT"})}, refused("'typ' must be 'dpop+jwt' in the DPoP proof JWT.")},
		"PSS":            {[]string{(&holder{rsaKey, jose.PS256, time.Now}).sign(t, h.claims(issuer, nonce), nil)}, refused("The DPoP proof JWT signature algorithm is invalid.")},
		"none":           {[]string{base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"dpop+jwt","alg":"none"}`)) + "." + parts[1] + "."}, refused("The DPoP proof JWT signature algorithm is invalid.")},
		"no jwk":         {[]string{h.sign(t, h.claims(issuer, nonce), map[jose.HeaderKey]any{"jwk": nil})}, refused("The DPoP proof JWT is invalid.")},
		"private jwk":    {[]string{h.sign(t, h.claims(issuer, nonce), map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: h.key}})}, refused("The DPoP proof JWT cannot be parsed.")},
		"foreign jwk":    {[]string{h.sign(t, h.claims(issuer, nonce), map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: other.key.Public()}})}, refused("The DPoP proof JWT signature is invalid.")},
		"RSA jwk":        {[]string{h.sign(t, h.claims(issuer, nonce), map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: rsaKey.Public()}})}, refused("The DPoP proof JWT signature algorithm is invalid.")},
		"changed":        {[]string{parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"htm":"POST"}`)) + "." + parts[2]}, refused("The DPoP proof JWT signature is invalid.")},
		"htm":            {[]string{change("htm", "GET")}, refused("'htm' claim in the DPoP proof JWT is invalid.")},
		"htm lower case": {[]string{change("htm", "post")}, refused("'htm' claim in the DPoP proof JWT is invalid.")},
		"htu path":       {[]string{change("htu", issuer+"/v1/introspect")}, refused("'htu' claim in the DPoP proof JWT is invalid.")},
		"htu host":       {[]string{change("htu", "http://example.com/oauth2/default/v1/token")}, refused("'htu' claim in the DPoP proof JWT is invalid.")},
		"htu absent":     {[]string{change("htu", nil)}, refused("'htu' claim in the DPoP proof JWT is invalid.")},
		"iat absent":     {[]string{change("iat", nil)}, refused("'iat' claim in the DPoP proof JWT is invalid.")},
		"iat text":       {[]string{change("iat", "now")}, refused("The DPoP proof JWT cannot be parsed.")},
		"future":         {[]string{change("iat", now+60)}, refused("The DPoP proof JWT is issued in the future.")},
		"old":            {[]string{change("iat", now-302)}, refused("The DPoP proof JWT is issued more than five minutes in the past.")},
		"expired":        {[]string{change("exp", now-1)}, refused("The DPoP proof JWT is expired.")},
		"nonce absent":   {[]string{change("nonce", nil)}, nonceWanted},
		"nonce unknown":  {[]string{change("nonce", "mine")}, nonceWanted},
		"jti absent":     {[]string{change("jti", nil)}, refused("'jti' claim in the DPoP proof JWT is invalid.")},
	} {
		if got := postProof(t, issuer+"/v1/token", form, test.proofs...); got.status != 400 || got.body != test.want {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	// No refusal spent the code or the good proof; the proof's use does.
	decodeTokens(t, postProof(t, issuer+"/v1/token", form, good))
	if got := postProof(t, issuer+"/v1/token", form, good); got.body != refused("The DPoP proof JWT has already been used.") {
		t.Errorf("second use: %s", got.body)
	}
}

// Okta compares decoded URLs, and a query has no say.
func TestProofURLForms(t *testing.T) {
	t.Parallel()
	s := dpopOrg(t)
	issuer, h := s.Issuer("default"), newHolder(t)
	for _, htu := range []string{
		issuer + "/v1/%74oken", issuer + "/v1/token?a=b", issuer + "/v1/token#x", strings.Replace(issuer, "http:", "HTTP:", 1) + "/v1/token",
	} {
		form := codeForm(login(t, issuer, authorizeParams()))
		nonce := postProof(t, issuer+"/v1/token", form, h.sign(t, h.claims(issuer, ""), nil)).header.Get("dpop-nonce")
		claims := h.claims(issuer, nonce)
		claims["htu"] = htu
		decodeTokens(t, postProof(t, issuer+"/v1/token", form, h.sign(t, claims, nil)))
	}
}

func TestProofAlgorithms(t *testing.T) {
	t.Parallel()
	s := dpopOrg(t)
	issuer := s.Issuer("default")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve := func(c elliptic.Curve) *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	var metadata struct {
		Algorithms []jose.SignatureAlgorithm `json:"dpop_signing_alg_values_supported"`
	}
	keys := map[jose.SignatureAlgorithm]crypto.Signer{
		jose.RS256: rsaKey, jose.RS384: rsaKey, jose.RS512: rsaKey,
		jose.ES256: curve(elliptic.P256()), jose.ES384: curve(elliptic.P384()), jose.ES512: curve(elliptic.P521()),
	}
	for _, form := range []string{"openid-configuration", "oauth-authorization-server"} {
		if err := json.Unmarshal([]byte(get(t, browser(t), issuer+"/.well-known/"+form).body), &metadata); err != nil || len(metadata.Algorithms) != len(keys) {
			t.Fatalf("%s: %v, %v", form, metadata.Algorithms, err)
		}
	}
	for _, algorithm := range metadata.Algorithms {
		h := &holder{keys[algorithm], algorithm, time.Now}
		bound(t, decodeTokens(t, h.dance(t, issuer, codeForm(login(t, issuer, authorizeParams())))), h)
	}
}

// A nonce is renewed after a day and good for three.
func TestNonceLife(t *testing.T) {
	t.Parallel()
	s := dpopOrg(t)
	issuer, h := s.Issuer("default"), newHolder(t)
	var moved time.Duration
	h.now = func() time.Time { return time.Now().Add(moved) }
	advance := func(d time.Duration) {
		s.Advance(d)
		moved += d
	}
	given := func() string {
		return postProof(t, issuer+"/v1/token", codeForm("x"), h.sign(t, h.claims(issuer, ""), nil)).header.Get("dpop-nonce")
	}
	takes := func(nonce string) bool {
		got := postProof(t, issuer+"/v1/token", codeForm("x"), h.sign(t, h.claims(issuer, nonce), nil))
		return got.body == oauthError("invalid_grant", "The authorization code is invalid or has expired.")
	}
	first := given()
	advance(23 * time.Hour)
	if again := given(); again != first || !takes(first) {
		t.Errorf("after 23 h: nonce %q, was %q", again, first)
	}
	advance(2 * time.Hour)
	second := given()
	if second == first || !takes(first) || !takes(second) {
		t.Error("after 25 h the nonce is not renewed, or one of the two is refused")
	}
	advance(46 * time.Hour)
	if !takes(first) {
		t.Error("after 71 h the first nonce is refused")
	}
	advance(2 * time.Hour)
	if takes(first) || !takes(second) {
		t.Error("after 73 h the first nonce is taken, or the second refused")
	}
}

func TestUserInfoOfBoundTokens(t *testing.T) {
	t.Parallel()
	s := dpopOrg(t)
	issuer, h := s.Issuer("default"), newHolder(t)
	got := decodeTokens(t, h.dance(t, issuer, codeForm(login(t, issuer, with(authorizeParams(), "scope", "openid profile")))))
	sum := sha256.Sum256([]byte(got.AccessToken))
	ath := base64.RawURLEncoding.EncodeToString(sum[:])
	ask := func(scheme string, by *holder, ath string) answer {
		req := newRequest(t, http.MethodGet, issuer+"/v1/userinfo", "")
		req.Header.Set("Authorization", scheme+" "+got.AccessToken)
		req.Header.Set("DPoP", by.sign(t, map[string]any{
			"htm": "GET", "htu": issuer + "/v1/userinfo", "iat": time.Now().Unix(), "jti": rand.Text(), "ath": ath,
		}, nil))
		return do(t, http.DefaultClient, req)
	}
	if got := ask("DPoP", h, ath); got.status != 200 || !strings.Contains(got.body, `"preferred_username":"alice@example.com"`) {
		t.Errorf("with proof: %d %s", got.status, got.body)
	}
	for want, got := range map[string]answer{
		oauthError("invalid_request", "The resource request must use the DPoP authentication scheme when using a DPoP bound token."): ask("Bearer", h, ath),
		oauthError("invalid_dpop_proof", "The access_token is not bound to the provided DPoP proof."):                                ask("DPoP", newHolder(t), ath),
		oauthError("invalid_dpop_proof", "'ath' claim in the DPoP proof does not match the presented access_token."):                 ask("DPoP", h, "x"),
	} {
		if got.status != 400 || got.body != want {
			t.Errorf("%d %s, want %s", got.status, got.body, want)
		}
	}
}
