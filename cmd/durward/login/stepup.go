package login

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// authTimeSkew is how far Okta's clock and ours may be apart.
const authTimeSkew = time.Minute

// stepUp reports whether a certain sign-in is asked, not just any (RFC 9470).
func (o Options) stepUp() bool { return len(o.ACRValues) > 0 || o.MaxAge != nil }

// stepUpOptions are the parameters of an authorization request (OpenID Connect Core
// section 3.1.2.1).
func (o Options) stepUpOptions() []oauth2.AuthCodeOption {
	var of []oauth2.AuthCodeOption
	if len(o.ACRValues) > 0 {
		of = append(of, oauth2.SetAuthURLParam("acr_values", strings.Join(o.ACRValues, " ")))
	}
	if o.MaxAge != nil {
		of = append(of, oauth2.SetAuthURLParam("max_age", strconv.Itoa(*o.MaxAge)))
	}
	return of
}

// checkStepUp holds that the sign-in is what was asked: Okta ignores acr values that it
// does not know, and says what it did in the ID token alone.
func (a *attempt) checkStepUp(id *oidc.IDToken) error {
	var did struct {
		ACR      string `json:"acr"`
		AuthTime int64  `json:"auth_time"`
	}
	if err := id.Claims(&did); err != nil {
		return fmt.Errorf("its acr and auth_time: %w", err)
	}
	if len(a.ACRValues) > 0 && !slices.Contains(a.ACRValues, did.ACR) {
		return fmt.Errorf("its acr is %q, asked was %s\n  fix: --acr-values takes what Okta knows, and Okta ignores the rest",
			printable(did.ACR), strings.Join(a.ACRValues, " or "))
	}
	if a.MaxAge != nil {
		at := time.Unix(did.AuthTime, 0)
		if oldest := a.began.Add(-time.Duration(*a.MaxAge)*time.Second - authTimeSkew); at.Before(oldest) {
			return fmt.Errorf("its auth_time is %s, older than the asked %d s", at.UTC().Format(time.RFC3339), *a.MaxAge)
		}
	}
	return nil
}
