package explain

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/token"
)

// membersOf are the claims that Okta confirmed of a token that does not show them.
func membersOf(c token.Claims, now time.Time) []member {
	list := []member{
		{"iss", c.Issuer, ""},
		{"sub", c.Subject, meanings["sub"]},
		{"uid", c.UserID, meanings["uid"]},
		{"client_id", c.ClientID, ""},
		{"aud", strings.Join(c.Audience, " "), ""},
		{"scope", strings.Join(c.Scopes, " "), meanings["scope"]},
		{"groups", strings.Join(c.Groups, " "), meanings["groups"]},
		{"exp", seconds(c.ExpiresAt), dateMeaning("exp", c.ExpiresAt, now)},
		{"iat", seconds(c.IssuedAt), dateMeaning("iat", c.IssuedAt, now)},
		{"jti", c.TokenID, idMeaning(c.TokenID, nil)},
	}
	list = slices.DeleteFunc(list, func(m member) bool { return m.Value == "" })
	for i := range list {
		list[i].Value = printable(list[i].Value)
	}
	return list
}

func seconds(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.Unix(), 10)
}

// meaningIn says what a claim is in this configuration.
func meaningIn(cat *catalog.Catalogue, c token.Claims, m member) string {
	switch m.Name {
	case "iss":
		for _, s := range cat.Servers {
			if s.Issuer == c.Issuer {
				return "authorization server " + s.Name + at(s.At)
			}
		}
		return "no authorization server of the configuration"
	case "cid", "client_id":
		if app := cat.Client(c.ClientID); app != nil {
			return "application " + app.Name + " of organization " + app.Organization.Name + at(app.At)
		}
		return "no application of the configuration"
	case "aud":
		for _, s := range cat.Servers {
			if slices.Contains(c.Audience, s.Audience) {
				return "audience of authorization server " + s.Name + at(s.At)
			}
		}
		return "no audience of the configuration"
	}
	return m.Meaning
}
