package explain

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/durward/durward/policy/token"
)

// maxMembers is the most members of a header or claim set that are shown.
const maxMembers = 100

// Forms of a token.
const (
	formJWT       = "jwt"
	formEncrypted = "encrypted"
	formOpaque    = "opaque"
)

// decode reads what anybody can read of a token: nothing is verified. Claims are nil
// where the token does not show them.
func decode(t token.Token, now time.Time) (*TokenReport, *token.Claims, error) {
	r := &TokenReport{Token: t.Name(), Form: formOpaque, Header: []member{}, Claims: []member{}, Answers: []said{}, APIs: []apiTried{}, now: now}
	parts := strings.Split(t.Reveal(), ".")
	switch len(parts) {
	case 5:
		r.Form = formEncrypted
		header, err := part(parts[0], "header")
		if err != nil {
			return nil, nil, err
		}
		r.Header = members(header, parts, now)
		return r, nil, nil
	case 3:
		r.Form = formJWT
	default:
		return r, nil, nil
	}
	header, err := part(parts[0], "header")
	if err != nil {
		return nil, nil, err
	}
	payload, err := part(parts[1], "claim set")
	if err != nil {
		return nil, nil, err
	}
	claims, err := token.ParseClaims(payload)
	if err != nil {
		return nil, nil, inputErrorf("the token's claims are not those of an access token: %s", printable(strings.TrimPrefix(err.Error(), "token: ")))
	}
	r.Header, r.Claims = members(header, parts, now), members(payload, parts, now)
	r.ClientID, r.ExpiresAt = claims.ClientID, instant(claims.ExpiresAt)
	return r, &claims, nil
}

// part decodes one part of a JWT (RFC 7515 section 2): base64url without padding and
// without stray bits, of one strict JSON object.
func part(text, name string) (token.Object, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, inputErrorf("the token has the dots of a JWT, but its %s is not base64url; was it cut or wrapped?", name)
	}
	o, err := token.ParseObject(raw)
	if err != nil {
		return nil, inputErrorf("the token has the dots of a JWT, but its %s is %s", name, err)
	}
	return o, nil
}

// member is one member of a header or a claim set. Value is JSON as text, cut where long.
type member struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Meaning string `json:"meaning,omitempty"`
}

// claimOrder puts the claims that are asked about most first.
var claimOrder = []string{"iss", "sub", "uid", "cid", "client_id", "aud", "scp", "scope", "groups", "exp", "iat", "nbf", "auth_time", "jti"}

// members lists an object for people. A value that holds a part of the token is masked.
func members(o token.Object, secret []string, now time.Time) []member {
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	rank := func(name string) int {
		if i := slices.Index(claimOrder, name); i >= 0 {
			return i
		}
		return len(claimOrder)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	list := make([]member, 0, min(len(names), maxMembers))
	for _, name := range names[:min(len(names), maxMembers)] {
		value := plain(o, name)
		for _, s := range secret {
			if len(s) > 0 && (strings.Contains(value, s) || strings.Contains(name, s)) {
				name, value = "(masked)", "(masked)"
			}
		}
		list = append(list, member{printable(name), printable(value), meaning(o, name, now)})
	}
	return list
}

// plain is a member's value: a string as its text, else its JSON.
func plain(o token.Object, name string) string {
	if text, err := o.Text(name); err == nil {
		return text
	}
	v := o[name].Clone()
	if v.Compact(jsontext.AllowInvalidUTF8(false)) != nil {
		return "(unreadable)"
	}
	return string(v)
}

// dates are the claims that are instants.
var dates = []string{"exp", "iat", "nbf", "auth_time"}

// meaning says in words what a member is, where that needs no configuration.
func meaning(o token.Object, name string, now time.Time) string {
	if slices.Contains(dates, name) {
		t, err := o.Time(name)
		if err != nil || t.IsZero() {
			return "no date"
		}
		return dateMeaning(name, t, now)
	}
	if name == "jti" {
		id, err := o.Text(name)
		return idMeaning(id, err)
	}
	return meanings[name]
}

func dateMeaning(name string, t, now time.Time) string {
	far := when(t, now) + ", " + instant(t)
	switch {
	case name == "exp" && !now.Before(t):
		return "expired " + far
	case name == "exp":
		return "expires " + far
	case name == "iat":
		return "issued " + far
	case name == "nbf":
		return "not valid before: " + far
	default:
		return "the person signed in " + far
	}
}

func idMeaning(id string, err error) string {
	switch {
	case err != nil:
		return "no id of Okta's"
	case strings.HasPrefix(id, "AT."):
		return "an access token's id"
	case strings.HasPrefix(id, "ID."):
		return "an ID token's id: it opens no API"
	default:
		return "no id of an Okta access token: it opens no API"
	}
}

// meanings of members that always mean the same.
var meanings = map[string]string{
	"alg":    "signature algorithm",
	"kid":    "the key that signed it, among those at the issuer's /v1/keys",
	"typ":    "kind of token",
	"enc":    "how the content is encrypted",
	"sub":    "whom it is about: the login of a person",
	"uid":    "Okta's lasting id of the person; absent for machines",
	"scp":    "scopes that were granted",
	"scope":  "scopes that were granted",
	"groups": "groups of the person",
	"ver":    "version of Okta's claim set",
	"acr":    "how strongly the person signed in",
	"amr":    "by what means the person signed in",
	"cnf":    "bound to a key: not good as a bearer token",
}
