package call

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
)

// Caller is whose token was sent.
type Caller struct {
	// Application is its name, as durward login takes it.
	Application string
	// Scopes are those of the token.
	Scopes []string
	// Bound says that the token is bound to a key.
	Bound bool
	// Config is the configuration's path, empty for the default.
	Config string
}

// Advise fills in Next for a denial of req. A token in its URL is named, not shown.
func (a *Answer) Advise(c Caller, req *http.Request) {
	if a.Verdict != Denied {
		return
	}
	switch told := a.Reason.Denial(); {
	case a.Reason == contract.ScopeMissing && len(a.ScopesNeeded) > 0:
		a.Next = append(a.Next, c.login("--scope", strings.Join(union(apiScopes(c.Scopes), a.ScopesNeeded), ",")))
	case a.Reason == contract.StepUpRequired && (len(a.ACRValuesNeeded) > 0 || a.MaxAge != nil):
		a.Next = append(a.Next, c.login(a.stepUp()...))
	case told.Status == http.StatusUnauthorized:
		a.Next = append(a.Next, c.login("--force"))
	}
	target := *req.URL
	if req.Host != "" {
		target.Host = req.Host
	}
	explain := []string{"durward", "explain", req.Method, target.String(), "--as", c.Application}
	if len(c.Scopes) > 0 {
		explain = append(explain, "--scope", strings.Join(c.Scopes, ","))
	}
	a.Next = append(a.Next, c.command(explain...))
	if a.Reason != "" {
		a.Next = append(a.Next, "durward help "+quote(string(a.Reason)))
	}
}

// stepUp are the flags of a login that the challenge asks for.
func (a *Answer) stepUp() []string {
	var flags []string
	if len(a.ACRValuesNeeded) > 0 {
		flags = append(flags, "--acr-values", strings.Join(a.ACRValuesNeeded, " "))
	}
	if a.MaxAge != nil {
		flags = append(flags, "--max-age", strconv.Itoa(*a.MaxAge))
	}
	return flags
}

// login is a sign-in that binds the new token as the present one is bound.
func (c Caller) login(flags ...string) string {
	words := append([]string{"durward", "login", c.Application}, flags...)
	if c.Bound {
		words = append(words, "--dpop")
	}
	return c.command(words...)
}

func apiScopes(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == "openid" || s == "offline_access" })
}

func union(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}

func (c Caller) command(words ...string) string {
	if c.Config != "" {
		words = append(words, "-c", c.Config)
	}
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = quote(token.Mask(word))
	}
	return strings.Join(quoted, " ")
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote makes a word safe to be typed into a POSIX shell.
func quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
