package authz

import (
	"strconv"
	"strings"
	"time"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/contract"
)

// realm names us in challenges (RFC 9110 section 11.5).
const realm = "durward"

// challenge is the value of WWW-Authenticate (RFC 6750 section 3). What the reason leaves
// open is as the configuration has it: the scopes that are missing, the sign-in that is
// needed (RFC 9470 section 3), the algorithms of proofs (RFC 9449 section 7.1), and where
// clients read about the API (RFC 9728 section 5.1). A decision holds none of these for
// other reasons.
func challenge(told contract.Denial, d policy.Decision) string {
	b := []byte(told.Scheme + " realm=" + quoted(realm))
	add := func(name, value string) {
		if value != "" {
			b = append(b, ", "+name+"="+quoted(value)...)
		}
	}
	if told.ChallengeError != "" {
		add("error", told.ChallengeError)
		add("error_description", told.Title)
	}
	add("scope", strings.Join(d.Scopes, " "))
	add("acr_values", strings.Join(d.ACRValues, " "))
	add("max_age", wholeSeconds(d.MaxAuthAge))
	if told.Scheme == "DPoP" {
		add("algs", strings.Join(contract.ProofAlgorithms(), " "))
	}
	if d.API != nil && d.API.ProtectedResource {
		add("resource_metadata", d.API.MetadataURL())
	}
	return string(b)
}

// wholeSeconds rounds down: a sign-in that is younger is young enough.
func wholeSeconds(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strconv.FormatInt(int64(d/time.Second), 10)
}

// quoted is a quoted-string (RFC 9110 section 5.6.4). Bytes outside printable ASCII, which
// no value of a valid configuration has, are percent-encoded: as they are, they could end
// the header.
func quoted(value string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(value)+2)
	b = append(b, '"')
	for i := range len(value) {
		switch c := value[i]; {
		case c < ' ' || c > '~':
			b = append(b, '%', hex[c>>4], hex[c&15])
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
