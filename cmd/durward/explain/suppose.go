package explain

import (
	"context"
	"time"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/token"
)

// stated answers in Okta's place with claims that somebody stated: a caller who is only
// supposed, or a token that nobody has verified.
type stated token.Claims

// Introspect says that the claims are those of an active token.
func (s stated) Introspect(context.Context, token.Token, token.Priority) (token.Introspection, error) {
	return token.Introspection{Active: true, Claims: token.Claims(s)}, nil
}

// supposing verifies every token as if the server in question answered with these claims:
// what serve compares of an answer is compared, and nothing is asked.
func supposing(claims func(*catalog.AuthorizationServer) token.Claims, now func() time.Time) policy.Verify {
	return func(p *catalog.TokenPolicy, t token.Token) (token.Fact, error) {
		v, err := token.NewVerifier(token.Config{
			// The token stands for claims and says nothing of itself.
			Issuers: p.Server.Issuers, Audience: p.Server.Audience, Leeway: p.Server.Leeway, Opaque: true,
		}, token.Parts{Server: stated(claims(p.Server)), Now: now})
		if err != nil {
			return token.Fact{}, err
		}
		defer v.Close()
		// stated answers at once
		return v.Verify(context.Background(), t, token.Demand{Mode: token.ByIntrospection})
	}
}

// believingNothing is for requests without a token, which nothing needs to verify.
func believingNothing(*catalog.TokenPolicy, token.Token) (token.Fact, error) {
	return token.Fact{}, &token.Error{Failure: token.Inactive}
}

// callerOf are the claims of a person who signed in with app and was granted the scopes.
func callerOf(app *catalog.Application, q Question, now time.Time) func(*catalog.AuthorizationServer) token.Claims {
	return func(s *catalog.AuthorizationServer) token.Claims {
		return token.Claims{
			Issuer: s.Issuer, Audience: []string{s.Audience}, ClientID: app.ClientIDs[0],
			Subject: q.User, UserID: "00uSUPPOSED", Scopes: q.Scopes,
			TokenID: "AT.supposed", IssuedAt: now, ExpiresAt: now.Add(time.Hour),
		}
	}
}
