package policy

import (
	"strings"

	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
)

// credential is the one access token of a request.
type credential struct {
	token token.Token
	// proven says that it came under the scheme DPoP (RFC 9449 section 7.1).
	proven bool
}

// findCredential finds the one access token of a request. Anything that could be read as
// two credentials is malformed: Envoy joins two authorization headers with a comma,
// which no token holds.
func findCredential(values []string, query string) (credential, contract.Reason) {
	inQuery := carriesToken(query)
	if len(values) > 1 {
		return credential{}, contract.RequestMalformed
	}
	if len(values) == 0 || values[0] == "" {
		return credential{}, contract.TokenMissing
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	proven := strings.EqualFold(scheme, "DPoP")
	if !proven && !strings.EqualFold(scheme, "Bearer") {
		return credential{}, contract.TokenMissing
	}
	if inQuery {
		return credential{}, contract.RequestMalformed
	}
	t, err := token.Parse(strings.TrimLeft(rest, " "))
	if err != nil {
		return credential{}, contract.RequestMalformed
	}
	return credential{t, proven}, ""
}
