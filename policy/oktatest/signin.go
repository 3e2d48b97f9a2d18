package oktatest

import (
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

//go:embed signin.html
var signInHTML string

var pages = template.Must(template.New("signin.html").Parse(signInHTML))

// carried lists the parameters that the sign-in form sends along, so that its
// submission is a whole authorization request, checked from the start.
var carried = []string{
	"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
	"code_challenge", "code_challenge_method", "prompt", "max_age", "acr_values", "login_hint",
}

type field struct{ Name, Value string }

type page struct {
	Nonce           string
	Title           string
	Problem         string // what went wrong, for people
	Code            string // its OAuth error code, on an error page
	Action, App     string // these two on the sign-in page
	Username, Known string
	ACR             string // what the application asks for
	Fields          []field
}

func showSignIn(w http.ResponseWriter, status int, a *authorization, params url.Values, problem string) {
	p := page{
		Title: "Sign in", Problem: problem, App: a.app.Name,
		Action:   a.as.path() + "/v1/authorize",
		Username: params.Get("login_hint"), ACR: strings.Join(a.classes, " or "),
	}
	if params.Has("username") {
		p.Username = params.Get("username")
	}
	if p.App == "" {
		p.App = a.app.ID
	}
	for _, name := range carried {
		if params.Has(name) {
			p.Fields = append(p.Fields, field{name, params.Get(name)})
		}
	}
	p.write(w, status, "'self' "+formTarget(a.redirectURI))
}

// formTarget is the CSP source of a redirect URI. Chromium applies form-action
// to the redirects that follow a form, so the client's must be in it.
func formTarget(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return ""
	}
	if u.Host == "" || strings.HasPrefix(u.Host, "[") { // CSP has no syntax for IPv6 addresses
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

// showProblem is the page for people where no redirect is possible.
func showProblem(w http.ResponseWriter, p *problem) {
	status := p.status
	if status == http.StatusUnauthorized {
		status = http.StatusBadRequest // Okta's page; a browser could answer no challenge
	}
	page{Title: "Your request resulted in an error", Problem: p.text, Code: p.code}.write(w, status, "'none'")
}

func (p page) write(w http.ResponseWriter, status int, formAction string) {
	p.Nonce = random(16)
	var body strings.Builder
	if err := pages.Execute(&body, p); err != nil {
		errInternal.write(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+p.Nonce+"'; base-uri 'none'; frame-ancestors 'none'; form-action "+formAction)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer the form's own Origin would be null
	w.WriteHeader(status)
	w.Write([]byte(body.String())) // the browser has gone if this fails
}

// submitSignIn takes the sign-in form. Other sites cannot submit it for a
// browser: they would sign their visitor in as somebody.
func (s *Server) submitSignIn(w http.ResponseWriter, r *http.Request, a *authorization, params url.Values) {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		showProblem(w, errForbidden)
		return
	}
	user := s.signInUser(params.Get("username"))
	switch {
	case user == nil:
		showSignIn(w, http.StatusBadRequest, a, params, "There is no active user with this username. Users here: "+s.knownUsers()+".")
		return
	case params.Get("password") == "":
		showSignIn(w, http.StatusBadRequest, a, params, "Enter a password. Any will do.")
		return
	}
	now := s.now()
	class, ok := first(a.classes, func(acr string) bool { return !slices.Contains(user.LacksACR, acr) })
	s.startSession(w, user, now, class)
	if !ok {
		a.refuse(w, errUnmetACR)
		return
	}
	a.class = class
	s.grantCode(w, a, user, now)
}

// signInUser also knows a user by the part of the login before the @, as Okta does.
func (s *Server) signInUser(username string) *account {
	username = strings.TrimSpace(username)
	var found *account
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, user := range s.users {
		if user.blocked() {
			continue
		}
		if strings.EqualFold(user.Login, username) {
			return user
		}
		if prefix, _, ok := strings.Cut(user.Login, "@"); ok && strings.EqualFold(prefix, username) {
			if found != nil {
				return nil
			}
			found = user
		}
	}
	return found
}

func (s *Server) knownUsers() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var logins []string
	for _, user := range s.users {
		if !user.blocked() {
			logins = append(logins, user.Login)
		}
	}
	slices.Sort(logins)
	if len(logins) > 10 {
		logins = append(logins[:10], "…")
	}
	return strings.Join(logins, ", ")
}
