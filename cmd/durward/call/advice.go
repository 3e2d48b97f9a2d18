package call

import (
	"net/http"
	"regexp"
	"slices"
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
		a.Next = append(a.Next, c.command("durward", "login", c.Application, "--scope", strings.Join(union(apiScopes(c.Scopes), a.ScopesNeeded), ",")))
	case told.Status == http.StatusUnauthorized:
		a.Next = append(a.Next, c.command("durward", "login", c.Application, "--force"))
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
