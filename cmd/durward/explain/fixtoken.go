package explain

import (
	"fmt"
	"strings"

	"github.com/durward/durward/policy/contract"
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

func fixDenial(f failure) []string {
	return []string{"remove the denial" + at(f.step.At) + ", if " + f.step.Found + " is over"}
}

func fixBinding(f failure) []string {
	c := f.d.Fact.Claims
	switch {
	case !c.Bound:
		return []string{"send the token under Bearer: nothing binds it to a key"}
	case c.KeyThumbprint == "":
		return []string{"use a token that is bound by DPoP or by nothing: Okta issues no others, and nothing else can be checked here"}
	}
	return []string{
		"send the token under DPoP with a proof of its key in the DPoP header; durward call does, after durward login --dpop",
		"or in Okta, Applications > the app of " + c.ClientID + " > General: clear `Require Demonstrating Proof of Possession (DPoP)`, then sign in again",
	}
}

func fixProof(failure) []string {
	return []string{"make a proof for this one request: its method, its URL without query as callers write it, the time now, and the token's hash"}
}

func fixSignIn(f failure) []string {
	parameters := []string{}
	if len(f.d.ACRValues) > 0 {
		parameters = append(parameters, "acr_values="+strings.Join(f.d.ACRValues, " "))
	}
	if f.d.MaxAuthAge > 0 {
		parameters = append(parameters, fmt.Sprintf("max_age=%d", int(f.d.MaxAuthAge.Seconds())))
	}
	return []string{"sign in again, with these parameters of the authorize request: " + strings.Join(parameters, ", ") + at(f.step.At)}
}

func fixClaims(f failure) []string {
	switch f.step.Name {
	case contract.StepClaim:
		return []string{"let Okta put the claim into the token (Security > API > Claims), or change what is required" + at(f.step.At)}
	case contract.StepRule:
		return []string{"the rule" + at(f.step.At) + " decides: try it with durward explain --as APP --claim NAME=VALUE"}
	default:
		return []string{"let the token carry less: in Okta, filter the groups claim (Security > API > Claims) to those that the backend needs"}
	}
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
