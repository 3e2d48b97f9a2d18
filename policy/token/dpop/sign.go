package dpop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/durward/durward/policy/token"
)

// Statement is what a client proves: that it makes this one request.
type Statement struct {
	// Method is the request's, as it is sent: methods are case-sensitive.
	Method string
	// URL is the request's, absolute and without query and fragment.
	URL string
	// Token is the access token that goes with the request; the zero Token for a request
	// that has none, like one to the token endpoint.
	Token token.Token
	// Nonce is the server's latest, empty where it gave none.
	Nonce string
	// IssuedAt is now, by the client's clock; it is cut to whole seconds.
	IssuedAt time.Time
}

type publicJWK struct {
	Curve string `json:"crv"`
	Type  string `json:"kty"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

// Sign returns the value of the DPoP header for one request (RFC 9449 section 4.2), signed
// by ES256 with a key on P-256; its `jti` is fresh each time. It does not check that Method
// and URL are usable.
func Sign(key *ecdsa.PrivateKey, s Statement) (string, error) {
	jwk, err := publicOf(key)
	if err != nil {
		return "", err
	}
	if s.Method == "" || s.URL == "" || s.IssuedAt.IsZero() {
		return "", errors.New("dpop: a proof needs method, URL and time")
	}
	header, err := json.Marshal(struct {
		Type      string    `json:"typ"`
		Algorithm string    `json:"alg"`
		JWK       publicJWK `json:"jwk"`
	}{"dpop+jwt", "ES256", jwk})
	if err != nil {
		return "", fmt.Errorf("dpop: header: %w", err)
	}
	claims, err := json.Marshal(struct {
		ID        string `json:"jti"`
		Method    string `json:"htm"`
		URL       string `json:"htu"`
		IssuedAt  int64  `json:"iat"`
		TokenHash string `json:"ath,omitempty"`
		Nonce     string `json:"nonce,omitempty"`
	}{rand.Text(), s.Method, s.URL, s.IssuedAt.Unix(), tokenHash(s.Token), s.Nonce})
	if err != nil {
		return "", fmt.Errorf("dpop: claims: %w", err)
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(signed))
	r, v, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return "", fmt.Errorf("dpop: sign: %w", err)
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature[:]), nil
}

// Thumbprint is the `jkt` of tokens bound to a key on P-256 (RFC 7638, SHA-256).
func Thumbprint(key *ecdsa.PrivateKey) (string, error) {
	jwk, err := publicOf(key)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(jwk)
	if err != nil {
		return "", fmt.Errorf("dpop: thumbprint: %w", err)
	}
	return hash(text), nil
}

func publicOf(key *ecdsa.PrivateKey) (publicJWK, error) {
	if key == nil || key.Curve != elliptic.P256() {
		return publicJWK{}, errors.New("dpop: the key is not on P-256")
	}
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return publicJWK{}, fmt.Errorf("dpop: key: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return publicJWK{Curve: "P-256", Type: "EC", X: encode(point[1:33]), Y: encode(point[33:])}, nil
}

// tokenHash is the `ath` of a token (RFC 9449 section 4.2), empty for the zero Token.
func tokenHash(t token.Token) string {
	text := t.Reveal()
	if text == "" {
		return ""
	}
	return hash([]byte(text))
}

// hash is base64url of SHA-256.
func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
