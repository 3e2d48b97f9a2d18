package oktatest

import (
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// What [AuthorizationServer].AccessTokens and .Introspection may say.
var (
	tokenForms   = []string{"", formJWT, formOpaque, formEncrypted}
	extraMembers = []string{"auth_time", "acr", "cnf", "token_type"}
)

const (
	formJWT       = "jwt"
	formOpaque    = "opaque"
	formEncrypted = "encrypted"
)

// write returns the text of an access or ID token with these claims. It needs Server.mu.
func (as *authServer) write(k kind, claims []byte) (string, error) {
	if k == kindAccess && as.AccessTokens == formOpaque {
		return random(32), nil
	}
	typ := ""
	if k == kindAccess && as.ID == OrgServer {
		typ = orgTokenType
	}
	token, err := as.keys.active.sign(typ, claims)
	if err != nil || k != kindAccess || as.AccessTokens != formEncrypted {
		return token, err
	}
	return as.encryption.encrypt(token)
}

// encrypt nests a JWT in a JWE (RFC 7519 §5.2), with the algorithms that Okta offers.
func (key *signingKey) encrypt(token string) (string, error) {
	private, err := key.private()
	if err != nil {
		return "", fmt.Errorf("generate encryption key: %w", err)
	}
	encrypter, err := jose.NewEncrypter(jose.A256GCM,
		jose.Recipient{Algorithm: jose.RSA_OAEP_256, Key: private.Public(), KeyID: key.kid},
		new(jose.EncrypterOptions).WithContentType("JWT"))
	if err != nil {
		return "", fmt.Errorf("encrypt token: %w", err)
	}
	sealed, err := encrypter.Encrypt([]byte(token))
	if err != nil {
		return "", fmt.Errorf("encrypt token: %w", err)
	}
	return sealed.CompactSerialize()
}
