package policytest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/token"
)

// lifetime is how long a token is good that does not say it.
const lifetime = time.Hour

// stated is a token by its claims. The zero stated is expired.
type stated struct {
	believed token.Claims
	// application is ORGANIZATION/APPLICATION, whose client the token is for; empty where
	// the claims say it.
	application string
}

// suppose makes the world in which the authorization server confirms the token. It is for
// the audience of the server that is asked where it does not say another. now is the time.
func (s *stated) suppose(cat *catalog.Catalogue, now func() time.Time) (policy.Witness, error) {
	c := s.believed
	if s.application != "" {
		app := applicationOf(cat, s.application)
		if app == nil {
			return policy.Witness{}, fmt.Errorf("application %q is not declared: write ORGANIZATION/APPLICATION", s.application)
		}
		c.ClientID = app.ClientIDs[0]
	}
	return Suppose(func(server *catalog.AuthorizationServer) token.Claims {
		c := c
		if c.Issuer == "" {
			c.Issuer = server.Issuer
		}
		if c.Audience == nil {
			c.Audience = []string{server.Audience}
		}
		return c
	}, now), nil
}

func applicationOf(cat *catalog.Catalogue, name string) *catalog.Application {
	for _, o := range cat.Organizations {
		for _, a := range o.Applications {
			if o.Name+"/"+a.Name == name {
				return a
			}
		}
	}
	return nil
}

// scheme is the one under which the token is sent.
func (s *stated) scheme() string {
	if s.believed.Bound {
		return "DPoP"
	}
	return "Bearer"
}

// synonyms are the names under which a test may write claims that have another name here.
var synonyms = map[string]string{"scopes": "scp", "issued": "iat", "client_id": "cid", "application": "cid"}

// dates are the claims that may be written as people write dates.
var dates = []string{"exp", "iat", "nbf", "auth_time"}

// readToken takes a token's claims for those of an answer of the authorization server.
func (r *reader) readToken(path string, written *structpb.Struct) *stated {
	members := map[string]any{
		"jti": "AT.policytest", "iat": r.now.Unix(), "exp": r.now.Add(lifetime).Unix(),
	}
	var s stated
	said := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(written.GetFields())) {
		at := entry(path, name)
		claim, value, ok := r.readClaim(at, name, written.GetFields()[name])
		if !ok {
			continue
		}
		if other, twice := said[claim]; twice {
			r.find(brokenRule, at, "keep one of the two", "%s and %s say the same", other, name)
		}
		said[claim] = name
		switch {
		case name == "application":
			s.application = written.GetFields()[name].GetStringValue()
		case value != nil:
			members[claim] = value
		}
	}
	s.believed = r.believe(path, members)
	return &s
}

// believe reads claims as those of an answer are read.
func (r *reader) believe(path string, members map[string]any) token.Claims {
	text, err := json.Marshal(members)
	if err != nil {
		r.find(brokenRule, path, "write claims that JSON can hold", "the claims are not JSON: %s", err)
		return token.Claims{}
	}
	object, err := token.ParseObject(text)
	if err != nil {
		r.find(brokenRule, path, "write each claim once, in one way", "the claims are not readable: %s", err)
		return token.Claims{}
	}
	claims, err := token.ParseClaims(object)
	if err != nil {
		r.find(brokenRule, path, "write the claim as the authorization server sends it", "the claims are not readable: %s", err)
	}
	return claims
}

// readClaim returns the name and the value of a claim as a token has them; the value is nil
// where the claim is written to say that it is not there.
func (r *reader) readClaim(path, name string, value *structpb.Value) (claim string, member any, ok bool) {
	switch {
	case name == "active" || name == "token_type":
		r.find(brokenRule, path, "remove it", "%s is no claim of a token", name)
		return "", nil, false
	case name == "bound":
		bound, isBool := value.GetKind().(*structpb.Value_BoolValue)
		if !isBool {
			r.find(brokenRule, path, "write bound: true, or cnf with what binds it", "bound is neither true nor false")
			return "", nil, false
		}
		if !bound.BoolValue {
			return "cnf", nil, true
		}
		key := sha256.Sum256([]byte(path))
		return "cnf", map[string]string{"jkt": base64.RawURLEncoding.EncodeToString(key[:])}, true
	case name == "expires_in":
		d, err := time.ParseDuration(value.GetStringValue())
		if err != nil {
			r.find(brokenRule, path, "write a number with a unit, as in 30s or -5m", "expires_in is not a duration")
			return "", nil, false
		}
		return "exp", r.now.Add(d).Unix(), true
	case name == "application" && !strings.Contains(value.GetStringValue(), "/"):
		r.find(brokenRule, path, "write application: ORGANIZATION/APPLICATION", "this is not the name of an application in its organization")
		return "", nil, false
	case name == "scopes" && value.GetListValue() == nil:
		r.find(brokenRule, path, "write scopes: [...]", "scopes is not a list")
		return "", nil, false
	}
	claim = name
	if real, ok := synonyms[name]; ok {
		claim = real
	}
	if slices.Contains(dates, claim) {
		return r.readDate(path, claim, value)
	}
	return claim, value.AsInterface(), true
}

// readDate accepts seconds since 1970, RFC 3339, and a time from now.
func (r *reader) readDate(path, claim string, value *structpb.Value) (string, any, bool) {
	text, isText := value.GetKind().(*structpb.Value_StringValue)
	if !isText {
		return claim, value.AsInterface(), true
	}
	if at, err := time.Parse(time.RFC3339, text.StringValue); err == nil {
		return claim, at.Unix(), true
	}
	d, err := time.ParseDuration(text.StringValue)
	if err != nil {
		r.find(brokenRule, path, `write seconds since 1970, a date as in "2026-01-31T12:00:00Z", or a time from now as in -10m`, "%q is no date", text.StringValue)
		return "", nil, false
	}
	return claim, r.now.Add(d).Unix(), true
}
