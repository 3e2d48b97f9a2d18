package explain

import (
	"fmt"
	"strings"
)

func fixMissing(f failure) []string {
	app := f.caller()
	path, _, _ := strings.Cut(f.request.Path, "?")
	return []string{
		f.login(app, f.wanted()),
		fmt.Sprintf("durward call %s %s %s%s", app, f.request.Method, path, f.config()),
	}
}

func fixOldToken(f failure) []string {
	return []string{
		f.login(f.caller(), f.wanted()),
		"the token must come from " + f.server().Issuer + at(f.server().At) + ", and be neither expired nor revoked, its user and its app active",
	}
}

func fixClock(failure) []string {
	return []string{"set the clock of this machine: the token is valid from a later time on than it shows"}
}

func fixIssuer(f failure) []string {
	s := f.server()
	return []string{
		f.login(f.caller(), f.wanted()),
		fmt.Sprintf("token policy %s believes tokens of %s alone%s; write there the issuer that Okta puts into its tokens, if that is another", f.step.Expected, s.Issuer, at(s.At)),
	}
}

func fixAudience(f failure) []string {
	s := f.server()
	return []string{fmt.Sprintf("let the audience of authorization server %s%s be that of the server in Okta: Security > API > Authorization Servers > Audience; here it is %s", s.Name, at(s.At), s.Audience)}
}

func fixType(f failure) []string {
	return []string{
		f.login(f.caller(), f.wanted()),
		"use the access token of a person who signed in: ID tokens, refresh tokens and those of client_credentials open no API",
	}
}

func fixBinding(f failure) []string {
	return []string{"in Okta, Applications > the app of " + f.d.Fact.Claims.ClientID + " > General: clear `Require Demonstrating Proof of Possession (DPoP)`, then sign in again"}
}

func fixClaims(failure) []string {
	return []string{"let the token carry less: in Okta, filter the groups claim (Security > API > Claims) to those that the backend needs"}
}

func fixOkta(f failure) []string {
	s := f.server()
	lines := []string{"curl -i " + s.Issuer + "/.well-known/oauth-authorization-server"}
	if s.Introspection.SecretFile != "" {
		return append(lines, fmt.Sprintf("if Okta refuses our credentials: client_id %s and the secret in %s must be those of an active app%s", s.Introspection.ClientID, s.Introspection.SecretFile, at(s.At)))
	}
	return append(lines, fmt.Sprintf("if Okta refuses us: client_id %s must be that of an active public app%s", s.Introspection.ClientID, at(s.At)))
}

func fixRate(f failure) []string {
	if f.d.RetryAfter > 0 {
		return []string{fmt.Sprintf("ask again in %s", f.d.RetryAfter)}
	}
	return []string{"ask again in a minute"}
}
