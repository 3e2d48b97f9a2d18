package scaffold

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
)

// IssuerError is an issuer that no catalogue can have.
type IssuerError struct {
	// Reason says why not, Fix what to write instead.
	Reason, Fix string
}

// Error is the reason and the way out.
func (e *IssuerError) Error() string {
	return e.Reason + "\n  fix: " + e.Fix
}

// maxIssuer is the longest issuer looked at, in bytes.
const maxIssuer = 1024

// checkIssuer judges an issuer as every catalogue's is judged, and returns the catalogue
// that has it, of the local Okta in all else. For the two mistakes that a newcomer makes
// first it says more.
func checkIssuer(issuer string) (*catalog.Catalogue, error) {
	if len(issuer) > maxIssuer {
		return nil, &IssuerError{"the issuer is too long to be one", "copy it from Security > API > Authorization Servers > Issuer URI"}
	}
	if strings.ContainsFunc(issuer, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, &IssuerError{"the issuer has a blank, a control or a non-ASCII character in it", "copy it from Security > API > Authorization Servers > Issuer URI"}
	}
	u, err := url.Parse(issuer)
	if err == nil && u.Host != "" && strings.Trim(u.Path, "/") == "" {
		return nil, &IssuerError{
			fmt.Sprintf("%q", u.Scheme+"://"+u.Host) + " is the org authorization server: its access tokens are for Okta's own APIs, their audience is the org, they carry no scopes of yours, and only Okta may read them, so that no API can be opened by one",
			"use a custom authorization server, for example https://" + u.Host + "/oauth2/default, which new orgs have (it needs API Access Management; Security > API lists yours)",
		}
	}
	if err == nil {
		if name, rest, _ := strings.Cut(u.Hostname(), "."); strings.HasSuffix(name, "-admin") && strings.HasPrefix(rest, "okta") {
			return nil, &IssuerError{
				fmt.Sprintf("%q", u.Host) + " is the address of the administrators' console, under which no tokens are issued",
				"write " + strings.Replace(issuer, name+".", strings.TrimSuffix(name, "-admin")+".", 1),
			}
		}
	}
	v := Local()
	v.Issuer = issuer
	text, err := Catalogue(v)
	if err != nil {
		return nil, err
	}
	cat, findings := source.Parse("durward.yaml", text)
	for _, f := range findings {
		if f.Severity == catalog.Error {
			return nil, &IssuerError{f.Message, f.Fix}
		}
	}
	return cat, nil
}
