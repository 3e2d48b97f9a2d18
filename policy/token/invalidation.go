package token

import "strings"

// Invalidation says whose tokens are not to be believed any more without asking. Empty
// fields match nothing; a fact that matches one of the others is dropped.
type Invalidation struct {
	// TokenID is a `jti`, or its first two parts without the refresh token's.
	TokenID string
	// UserID is Okta's `uid`.
	UserID string
	// ClientID is the OAuth client.
	ClientID string
	// RefreshTokenID is the oar… id of a refresh token: the third part of the `jti` of
	// every access token that came from it.
	RefreshTokenID string
}

// Invalidate drops what was learned about the tokens that i names, and returns how many
// facts that were. An answer to a question sent before is not kept, and serves no check
// that comes after. The next check of such a token asks the server; tokens under ByJWT
// are believed again if their signature holds. All facts are looked at: call it off the
// request path.
func (v *Verifier) Invalidate(i Invalidation) int {
	v.desk.spoil(i)
	return v.live.forgetWhere(func(e *entry) bool {
		return i.names(e.tokenID, e.userID, e.clientID)
	})
}

func (i Invalidation) names(tokenID, userID, clientID string) bool {
	if i.UserID != "" && userID == i.UserID || i.ClientID != "" && clientID == i.ClientID {
		return true
	}
	id, refresh := splitTokenID(tokenID)
	return i.TokenID != "" && (tokenID == i.TokenID || id == i.TokenID) ||
		i.RefreshTokenID != "" && refresh == i.RefreshTokenID
}

// mayName is names for claims that nobody has vouched for: what they leave out may be
// anything. An opaque token leaves out all.
func (i Invalidation) mayName(said Claims) bool {
	return i.names(said.TokenID, said.UserID, said.ClientID) ||
		i.UserID != "" && said.UserID == "" ||
		i.ClientID != "" && said.ClientID == "" ||
		(i.TokenID != "" || i.RefreshTokenID != "") && said.TokenID == ""
}

// splitTokenID parts AT.<id>.<refresh token's id>; the last part need not be there.
func splitTokenID(tokenID string) (id, refresh string) {
	rest, found := strings.CutPrefix(tokenID, accessTokenID)
	if own, refresh, both := strings.Cut(rest, "."); found && both {
		return tokenID[:len(accessTokenID)+len(own)], refresh
	}
	return tokenID, ""
}
