package oktatest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	rotationPeriod = 90 * 24 * time.Hour // Okta rotates four times a year
	maxExpiredKeys = 8
)

// signingKey is one RSA key of an authorization server.
type signingKey struct {
	kid     string
	private func() (*rsa.PrivateKey, error) // made at first use, so that a server starts fast
	until   time.Time                       // when an EXPIRED key leaves the set; zero for others
}

func newSigningKey() *signingKey {
	return &signingKey{kid: random(32), private: sync.OnceValues(func() (*rsa.PrivateKey, error) {
		return rsa.GenerateKey(rand.Reader, 2048)
	})}
}

// keyring holds Okta's key states: ACTIVE signs, NEXT is published ahead, and
// EXPIRED ones stay published while tokens that they signed can still be valid.
type keyring struct {
	active, next *signingKey
	expired      []*signingKey
	rotated      time.Time
}

func (k *keyring) rotate(now time.Time) {
	k.active.until = now.Add(maxLifetime)
	k.expired = append(k.expired, k.active)
	if len(k.expired) > maxExpiredKeys {
		k.expired = k.expired[1:]
	}
	k.active, k.next, k.rotated = k.next, newSigningKey(), now
}

func (k *keyring) published(now time.Time) []*signingKey {
	k.expired = slices.DeleteFunc(k.expired, func(key *signingKey) bool { return !now.Before(key.until) })
	return append([]*signingKey{k.active, k.next}, k.expired...)
}

// sign returns payload as a JWT. The header has kid and alg and, as on Okta's
// custom authorization servers, no typ.
func (key *signingKey) sign(payload []byte) (string, error) {
	private, err := key.private()
	if err != nil {
		return "", fmt.Errorf("generate signing key: %w", err)
	}
	header := fmt.Sprintf(`{"kid":%q,"alg":"RS256"}`, key.kid)
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

type jwk struct {
	Kty string `json:"kty"`
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Use string `json:"use"`
	E   string `json:"e"`
	N   string `json:"n"`
}

func (s *Server) keys(w http.ResponseWriter, _ *http.Request, as *authServer) {
	now := s.now()
	s.mu.Lock()
	published := as.keys.published(now)
	left := as.keys.rotated.Add(rotationPeriod).Sub(now)
	s.mu.Unlock()

	set := struct {
		Keys []jwk `json:"keys"`
	}{}
	for _, key := range published {
		private, err := key.private()
		if err != nil {
			errServer.write(w)
			return
		}
		e := big.NewInt(int64(private.E)).Bytes()
		set.Keys = append(set.Keys, jwk{
			"RSA", "RS256", key.kid, "sig",
			base64.RawURLEncoding.EncodeToString(e), base64.RawURLEncoding.EncodeToString(private.N.Bytes()),
		})
	}
	// Okta's max-age shrinks towards the rotation; no-cache means it is due.
	w.Header().Del("Pragma")
	w.Header().Del("Expires")
	w.Header().Set("Cache-Control", "no-cache")
	if left > 0 {
		w.Header().Set("Cache-Control", fmt.Sprintf("max-age=%d, must-revalidate", int64(left.Seconds())))
	}
	writeJSON(w, http.StatusOK, set)
}

// RotateKeys makes the NEXT key of an authorization server its ACTIVE one and
// publishes a new NEXT. The former key stays published for 24 hours of the
// server's clock. An unknown id is an error.
func (s *Server) RotateKeys(as string) error {
	server := s.servers[as]
	if server == nil {
		return fmt.Errorf("no authorization server %q", as)
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	server.keys.rotate(now)
	return nil
}
