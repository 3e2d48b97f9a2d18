package okta

import (
	"errors"

	"github.com/go-jose/go-jose/v4"

	"github.com/durward/durward/policy/clientkey"
)

// newSigner reads a private key, see clientkey.Parse, and signs with RS256 or ES256 as it
// is of.
func newSigner(text []byte, keyID string) (jose.Signer, error) {
	key, err := clientkey.Parse(text, keyID)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: key.Algorithm, Key: jose.JSONWebKey{Key: key.Private, KeyID: key.ID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, errors.New("the key cannot sign") // the cause may show it
	}
	return signer, nil
}
