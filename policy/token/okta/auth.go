package okta

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// AuthMethod is how the client authenticates (RFC 8414, token endpoint methods).
type AuthMethod string

// The methods. The zero AuthMethod is refused.
const (
	SecretBasic   AuthMethod = "client_secret_basic"
	SecretPost    AuthMethod = "client_secret_post"
	PrivateKeyJWT AuthMethod = "private_key_jwt"
	Public        AuthMethod = "none"
)

// assertionLifetime is the longest that we allow ourselves: the server's clock may be
// minutes ahead of ours.
const assertionLifetime = 5 * time.Minute

// jwtBearer is the client_assertion_type of RFC 7523 section 2.2.
const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// credential proves once per request that the client is who it says.
type credential struct {
	method   AuthMethod
	clientID string
	secret   string
	signer   jose.Signer
}

// authenticate adds the proof for one request to endpoint to its form and header.
func (c *credential) authenticate(form url.Values, header http.Header, endpoint string) error {
	switch c.method {
	case SecretBasic:
		header.Set("Authorization", "Basic "+basic(c.clientID, c.secret))
		return nil
	case SecretPost:
		form.Set("client_id", c.clientID)
		form.Set("client_secret", c.secret)
		return nil
	case PrivateKeyJWT:
		assertion, err := c.assert(endpoint, time.Now())
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", jwtBearer)
		form.Set("client_assertion", assertion)
		return nil
	case Public:
		form.Set("client_id", c.clientID)
		return nil
	}
	return errors.New("a client without authentication")
}

// basic encodes client credentials as RFC 6749 section 2.3.1 asks: form-encoded first.
func basic(id, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id) + ":" + url.QueryEscape(secret)))
}

// assert signs a client assertion (RFC 7523 section 3). Okta takes each jti once, and as
// audience nothing but the endpoint that is called.
func (c *credential) assert(endpoint string, now time.Time) (string, error) {
	text, err := jwt.Signed(c.signer).Claims(jwt.Claims{
		Issuer: c.clientID, Subject: c.clientID, Audience: jwt.Audience{endpoint}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionLifetime)),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign client assertion: %w", err)
	}
	return text, nil
}

// newCredential makes the credential of c from the text of its secret or key, which for
// Public is empty.
func newCredential(c Config, text string) (*credential, error) {
	made := &credential{method: c.Auth, clientID: c.ClientID}
	switch c.Auth {
	case SecretBasic, SecretPost:
		if text == "" {
			return nil, fmt.Errorf("%s without a client secret", c.Auth)
		}
		made.secret = text
	case PrivateKeyJWT:
		signer, err := newSigner([]byte(text), c.KeyID)
		if err != nil {
			return nil, fmt.Errorf("client key: %w", err)
		}
		made.signer = signer
	case Public:
	default:
		return nil, fmt.Errorf("unknown client authentication %q", c.Auth)
	}
	return made, nil
}
