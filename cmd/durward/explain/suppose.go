package explain

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/token"
)

// believingNothing is for requests without a token, which nothing needs to verify.
func believingNothing(*catalog.TokenPolicy, token.Token) (token.Fact, error) {
	return token.Fact{}, &token.Error{Failure: token.Inactive}
}

// proofSupposed takes every proof of possession for good: it is made for one request, and
// this is none.
func proofSupposed(token.Proof) error { return nil }

// callerOf are the claims of a person who signed in with app and was granted the scopes,
// and the further claims of q in place of theirs.
func callerOf(app *catalog.Application, q Question, now time.Time) (func(*catalog.AuthorizationServer) token.Claims, error) {
	further, err := parseClaims(q.Claims)
	if err != nil {
		return nil, err
	}
	return func(s *catalog.AuthorizationServer) token.Claims {
		c := token.Claims{
			Issuer: s.Issuer, Audience: []string{s.Audience}, ClientID: app.ClientIDs[0],
			Subject: q.User, UserID: "00uSUPPOSED", Scopes: q.Scopes,
			TokenID: "AT.supposed", IssuedAt: now, ExpiresAt: now.Add(time.Hour),
		}
		c.Groups, c.ACR, c.AuthTime, c.Other = further.Groups, further.ACR, further.AuthTime, further.Other
		c.Bound, c.KeyThumbprint = further.Bound, further.KeyThumbprint
		c.UserID = cmp.Or(further.UserID, c.UserID)
		return c
	}, nil
}

// parseClaims reads NAME=VALUE. A value that is JSON is that, any other is a text.
func parseClaims(stated []string) (token.Claims, error) {
	all := make(map[string]jsontext.Value, len(stated))
	for _, s := range stated {
		name, text, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return token.Claims{}, inputErrorf("a claim is written NAME=VALUE")
		}
		if slices.Contains(ownClaims, name) {
			return token.Claims{}, inputErrorf("the claim %s is not stated: --as, --scope and --user make it", name)
		}
		value := jsontext.Value(text)
		if !value.IsValid() {
			quoted, err := jsontext.AppendQuote(nil, text)
			if err != nil {
				return token.Claims{}, inputErrorf("the claim %s is not UTF-8", name)
			}
			value = quoted
		}
		all[name] = value
	}
	text, err := json.Marshal(all)
	if err != nil {
		return token.Claims{}, inputErrorf("the claims cannot be written as JSON")
	}
	object, err := token.ParseObject(text)
	if err != nil {
		return token.Claims{}, inputErrorf("the claims are %s", err)
	}
	claims, err := token.ParseClaims(object)
	if err != nil {
		return token.Claims{}, inputErrorf("the claims: %s", err)
	}
	return claims, nil
}

// ownClaims are those that the rest of a question says.
var ownClaims = []string{"iss", "sub", "cid", "client_id", "aud", "scp", "scope", "jti", "exp", "iat", "nbf"}
