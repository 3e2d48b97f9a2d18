package policy

import (
	"strings"

	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
)

// credential finds the one bearer token of a request. Anything that could be read as
// two credentials is malformed: Envoy joins two authorization headers with a comma,
// which no token holds.
func credential(values []string, query string) (token.Token, contract.Reason) {
	inQuery := carriesToken(query)
	if len(values) > 1 {
		return token.Token{}, contract.RequestMalformed
	}
	if len(values) == 0 || values[0] == "" {
		return token.Token{}, contract.TokenMissing
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return token.Token{}, contract.TokenMissing
	}
	if inQuery {
		return token.Token{}, contract.RequestMalformed
	}
	t, err := token.Parse(strings.TrimLeft(rest, " "))
	if err != nil {
		return token.Token{}, contract.RequestMalformed
	}
	return t, ""
}
