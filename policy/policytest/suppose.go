package policytest

import (
	"context"
	"time"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/token"
)

// Suppose believes of every token what claims says that the authorization server answers:
// what serve compares of an answer is compared, and nothing is asked. Every proof of
// possession holds.
func Suppose(claims func(*catalog.AuthorizationServer) token.Claims, now func() time.Time) policy.Witness {
	verify := func(p *catalog.TokenPolicy, t token.Token) (token.Fact, error) {
		v, err := token.NewVerifier(token.Config{
			// The token stands for claims and says nothing of itself.
			Issuers: p.Server.Issuers, Audience: p.Server.Audience, Leeway: p.Server.Leeway, Opaque: true,
		}, token.Parts{Server: answer(claims(p.Server)), Now: now})
		if err != nil {
			return token.Fact{}, err
		}
		defer v.Close()
		// answer is there at once
		return v.Verify(context.Background(), t, token.Demand{Mode: token.ByIntrospection})
	}
	return policy.Witness{Verify: verify, Prove: func(token.Proof) error { return nil }, Now: now}
}

// answer stands in an authorization server's place.
type answer token.Claims

// Introspect says that the claims are those of an active token.
func (a answer) Introspect(context.Context, token.Token, token.Priority) (token.Introspection, error) {
	return token.Introspection{Active: true, Claims: token.Claims(a)}, nil
}
