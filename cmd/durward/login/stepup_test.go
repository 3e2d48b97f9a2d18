package login

import (
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

const twoFactors = "urn:okta:loa:2fa:any"

// A step-up goes to Okta even if a token is at hand, and asks what it was told.
func TestStepUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	_, before := w.stored(t)
	zero := 0
	w.ACRValues, w.MaxAge, w.Steps = []string{"phr", twoFactors}, &zero, true
	_, alice := w.signIn(t)
	if _, after := w.stored(t); after.AccessToken == before.AccessToken {
		t.Error("the token is the old one")
	}
	for _, part := range []string{"acr_values            = phr " + twoFactors, "max_age               = 0\n"} {
		if !strings.Contains(w.out.String(), part) {
			t.Errorf("the steps have no %q:\n%s", part, w.out)
		}
	}
	if alice.callback.Load() == nil {
		t.Error("nobody signed in")
	}
}

// Okta ignores what it does not know; a weaker or older sign-in than the asked one is no
// success.
func TestStepUpNotDone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		acr  []string
		says []string
	}{
		"unknown value": {[]string{"urn:example:gold"}, []string{`its acr is "", asked was urn:example:gold`, "Okta ignores the rest"}},
		"out of reach":  {[]string{"phr", "phrh"}, []string{"unmet_authentication_requirements", "reaches phr or phrh"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *oktatest.Config) { c.Users[0].LacksACR = []string{"phr", "phrh"} })
			w.ACRValues = tt.acr
			alice := newPerson(t)
			w.Browser = alice.signIn
			_, err := Login(t.Context(), w.Options)
			<-alice.done
			says(t, err, nil, tt.says...)
			w.isEmpty(t)
		})
	}
	t.Run("old", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		now := 0
		w.MaxAge = &now
		alice := newPerson(t)
		// A sign-in at a time that is an hour ago, while the tokens are of now.
		w.okta.Advance(-time.Hour)
		w.okta.SkewTokens(time.Hour)
		w.Browser = alice.signIn
		_, err := Login(t.Context(), w.Options)
		<-alice.done
		says(t, err, nil, "auth_time", "older than the asked 0 s")
		w.isEmpty(t)
	})
}
