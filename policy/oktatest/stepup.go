package oktatest

import (
	"slices"
	"strings"
)

// The acr values of a step-up (RFC 9470). Okta publishes no order among them.
const (
	acrOneFactor   = "urn:okta:loa:1fa:any"
	acrPassword    = "urn:okta:loa:1fa:pwd"
	acrTwoFactor   = "urn:okta:loa:2fa:any"
	acrPhishing    = "phr"
	acrPhishingKey = "phrh"
)

var (
	knownACR = []string{acrOneFactor, acrPassword, acrTwoFactor, acrPhishing, acrPhishingKey}
	// passwordACR is what every session has: a password began it.
	passwordACR = []string{acrOneFactor, acrPassword}
)

// parseACR returns the known acr values, in order: Okta ignores others.
func parseACR(raw string) []string {
	return slices.DeleteFunc(strings.Fields(raw), func(acr string) bool { return !slices.Contains(knownACR, acr) })
}

// first returns the first of the asked acr values that is met; empty, and met, if none
// was asked.
func first(asked []string, met func(acr string) bool) (acr string, ok bool) {
	if len(asked) == 0 {
		return "", true
	}
	if i := slices.IndexFunc(asked, met); i >= 0 {
		return asked[i], true
	}
	return "", false
}

// methods is the amr of an ID token, one that fits its acr.
func methods(acr string) []string {
	switch acr {
	case acrTwoFactor:
		return []string{"mfa", "otp", "pwd"}
	case acrPhishing:
		return []string{"mfa", "pwd", "swk"}
	case acrPhishingKey:
		return []string{"hwk", "mfa", "pwd"}
	}
	return []string{"pwd"}
}
