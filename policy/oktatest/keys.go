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
	since   time.Time                       // when it joined the set; zero: from the start
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
	lag          time.Duration // the published set is as it was this long ago
}

func (k *keyring) rotate(now time.Time) {
	k.retire(k.active, now.Add(maxLifetime))
	k.active, k.next, k.rotated = k.next, newSigningKey(), now
	k.next.since = now
}

func (k *keyring) retire(key *signingKey, until time.Time) {
	key.until = until
	k.expired = append(k.expired, key)
	if len(k.expired) > maxExpiredKeys {
		k.expired = k.expired[1:]
	}
}

// replace withdraws all keys, as after a theft.
func (k *keyring) replace(now time.Time) {
	for _, key := range k.expired {
		if now.Before(key.until) {
			key.until = now
		}
	}
	k.retire(k.active, now)
	k.retire(k.next, now)
	k.active, k.next, k.rotated = newSigningKey(), newSigningKey(), now
	k.active.since, k.next.since = now, now
}

func (k *keyring) published(now time.Time) []*signingKey {
	shown := now.Add(-k.lag)
	k.expired = slices.DeleteFunc(k.expired, func(key *signingKey) bool { return !shown.Before(key.until) })
	set := append([]*signingKey{k.active, k.next}, k.expired...)
	if k.lag == 0 {
		return set
	}
	return slices.DeleteFunc(set, func(key *signingKey) bool { return key.since.After(shown) })
}

// sign returns payload as a JWT. The header has kid and alg and, with an empty typ as
// on Okta's custom authorization servers, nothing else.
func (key *signingKey) sign(typ string, payload []byte) (string, error) {
	private, err := key.private()
	if err != nil {
		return "", fmt.Errorf("generate signing key: %w", err)
	}
	if typ != "" {
		typ = fmt.Sprintf(`"typ":%q,`, typ)
	}
	header := fmt.Sprintf(`{"kid":%q,%s"alg":"RS256"}`, key.kid, typ)
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
	}{[]jwk{}}
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

// ReplaceKeys is a rotation in an emergency: every key of an authorization server
// leaves the published set at once, and new ones sign that nobody has seen before.
// Introspection still knows the tokens of the old. An unknown id is an error.
func (s *Server) ReplaceKeys(as string) error { return s.changeKeys(as, (*keyring).replace) }

// RotateKeys makes the NEXT key of an authorization server its ACTIVE one and
// publishes a new NEXT. The former key stays published for 24 hours of the
// server's clock. An unknown id is an error.
func (s *Server) RotateKeys(as string) error { return s.changeKeys(as, (*keyring).rotate) }

func (s *Server) changeKeys(as string, change func(*keyring, time.Time)) error {
	server := s.servers[as]
	if server == nil {
		return fmt.Errorf("no authorization server %q", as)
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&server.keys, now)
	return nil
}
