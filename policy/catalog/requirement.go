package catalog

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
)

// Requirements are what is asked of a token beside its scopes. All of them must hold.
// The zero Requirements asks nothing.
type Requirements struct {
	Claims []RequiredClaim
	Rules  []*Condition
	// ACRValues are the authentication context classes of which a sign-in reached one;
	// nil means any, none included.
	ACRValues []string
	// MaxAuthAge is how long ago a sign-in may be; 0 means any time.
	MaxAuthAge time.Duration
}

// RequiredClaim is what one claim must be. Exactly one of Equals, OneOf and Contains is
// set; their values are texts, numbers and booleans.
type RequiredClaim struct {
	// Path are the names on the way to the claim.
	Path     []string
	Equals   *structpb.Value
	OneOf    []*structpb.Value
	Contains *structpb.Value
	At       Position
}

// CORS says which pages of other origins may call an API.
type CORS struct {
	// Origins are scheme://host in lower case, with a port where it is not the scheme's
	// own, or scheme://*.example.com.
	Origins []string
	// AllowHeaders and ExposeHeaders are in lower case, those included that every API
	// has.
	AllowHeaders, ExposeHeaders []string
	// Credentials lets pages send cookies.
	Credentials bool
	// MaxAge is how long a browser may remember a preflight, 0 to 24 hours.
	MaxAge time.Duration
}

// Denial turns away a user, a client or one token.
type Denial struct {
	// Exactly one of the three is not empty.
	UserID, ClientID, TokenID string
	// Until is when it ends; zero means never.
	Until time.Time
	// Reason is for the log.
	Reason string
	At     Position
}

// denied is what a denial is found by: one field is set.
type denied struct{ user, client, token string }

// Denial returns the denial that is in force at now for a token of this user, client and
// id, or nil. Each is compared byte by byte.
func (c *Catalogue) Denial(userID, clientID, tokenID string, now time.Time) *Denial {
	for _, key := range []denied{{user: userID}, {client: clientID}, {token: tokenID}} {
		if d := c.denied[key]; key != (denied{}) && d != nil && d.InForce(now) {
			return d
		}
	}
	return nil
}

// InForce reports whether the denial has not ended at now.
func (d *Denial) InForce(now time.Time) bool { return d.Until.IsZero() || now.Before(d.Until) }

// Whom names what is turned away: user, client or token, and its id in quotes.
func (d *Denial) Whom() string {
	switch {
	case d.UserID != "":
		return fmt.Sprintf("user %q", d.UserID)
	case d.ClientID != "":
		return fmt.Sprintf("client %q", d.ClientID)
	}
	return fmt.Sprintf("token %q", d.TokenID)
}

// Headers says which claims backends are told in which headers.
type Headers struct {
	// Prefix begins the name of every header of mapped claims; never empty.
	Prefix string
	// Claims are the mapped claims, sorted by header, those of the preset included.
	Claims []ClaimHeader
}

// ClaimHeader is one claim as a header.
type ClaimHeader struct {
	// Header is its name, in lower case.
	Header string
	// Path are the names on the way to the claim.
	Path []string
}
