package login

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/oauth2"
)

// ErrSignedOut is a session that is not there, or that Okta ended.
var ErrSignedOut = errors.New("not signed in")

// OAuthError is a refusal by Okta, in its own words (RFC 6749 sections 4.1.2.1 and 5.2).
type OAuthError struct {
	Code, Description string
	// Hint says what usually helps; it may be empty.
	Hint string
}

// Error is one line of the refusal and, on a second one, the hint.
func (e *OAuthError) Error() string {
	text := "okta refuses: " + e.Code
	if e.Description != "" {
		text += ": " + e.Description
	}
	if e.Hint != "" {
		text += "\n  fix: " + e.Hint
	}
	return text
}

// Unwrap makes the two errors by which a server says that it cannot answer right now
// an ErrUnreachable.
func (e *OAuthError) Unwrap() error {
	if e.Code == "server_error" || e.Code == "temporarily_unavailable" {
		return ErrUnreachable
	}
	return nil
}

func newOAuthError(code, description string, o Options) *OAuthError {
	e := &OAuthError{Code: printable(code), Description: printable(description)}
	e.Hint = hint(e.Code, e.Description, o)
	return e
}

// hint covers what goes wrong in a new org.
func hint(code, description string, o Options) string {
	text := strings.ToLower(description)
	switch {
	case strings.Contains(text, "redirect_uri"):
		return "register " + strings.Join(o.redirectURIs(), " and ") + " as login redirect URIs of the application in Okta"
	case code == "access_denied" && strings.Contains(text, "policy"):
		return "in Okta, Security > API > your authorization server > Access Policies: add a policy and a rule for this " +
			"application. The `default` server of a new org has none, and refuses everybody"
	case code == "access_denied":
		return "assign the person, or a group of theirs, to the application in Okta"
	case code == "invalid_scope" && strings.Contains(text, "offline_access"):
		return "tick Refresh Token among the application's grant types in Okta, or use --no-refresh"
	case code == "invalid_scope":
		return "in Okta, Security > API > your authorization server > Scopes: declare " + strings.Join(o.scopes(), " ") +
			"; or ask for others with --scope"
	case code == "unauthorized_client":
		return "tick Authorization Code and Refresh Token among the application's grant types in Okta"
	case code == "invalid_dpop_proof" && strings.Contains(text, "missing") && !o.DPoP:
		return "the application takes bound tokens alone: sign in with --dpop"
	case code == "invalid_dpop_proof" && strings.Contains(text, "issued"):
		return "set this machine's clock"
	case code == "unmet_authentication_requirements":
		return "enroll the person in an authenticator that reaches " + strings.Join(o.ACRValues, " or ") + ", or ask for other --acr-values"
	case code == "invalid_client" && o.SecretFile == "":
		return "check the client id. An application with client authentication needs --client-secret-file"
	case code == "invalid_client":
		return "check the client id and the secret in " + o.SecretFile
	}
	return ""
}

// tokenError tells a refusal of the token endpoint from other failures. secrets are
// cut out, should a server repeat what it was sent.
func tokenError(err error, o Options, secrets ...string) error {
	var refusal *oauth2.RetrieveError
	switch {
	case !errors.As(err, &refusal):
		return tame(err, secrets...)
	case refusal.ErrorCode == "":
		return fmt.Errorf("okta's token endpoint answers %s", refusal.Response.Status)
	}
	return newOAuthError(cut(refusal.ErrorCode, secrets...), cut(refusal.ErrorDescription, secrets...), o)
}

// cut removes secrets from a text.
func cut(text string, secrets ...string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[removed]")
		}
	}
	return text
}

// tamed is an error whose text is fit to be shown.
type tamed struct {
	error
	text string
}

func (e *tamed) Error() string { return e.text }
func (e *tamed) Unwrap() error { return e.error }

func tame(err error, secrets ...string) error {
	return &tamed{err, printable(cut(err.Error(), secrets...))}
}

const maxShown = 500

// printable cuts what others wrote to a length for people, and takes out what would
// move a terminal's cursor or reverse its text.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return ' '
	}, text)
	if runes := []rune(text); len(runes) > maxShown {
		text = string(runes[:maxShown]) + "…"
	}
	return strings.TrimSpace(text)
}
