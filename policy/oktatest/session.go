package oktatest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	sessionCookie   = "oktatest_sid" // browsers share cookies across ports of a host: no common name
	sessionLifetime = 2 * time.Hour
)

// session is a browser's sign-in at the org; it spans authorization servers.
type session struct {
	user     *account
	authTime time.Time
	reached  []string // acr values
	ended    bool
}

func (s *Server) startSession(w http.ResponseWriter, user *account, authTime time.Time, class string) {
	id := random(32)
	s.mu.Lock()
	s.sessions.put(id, &session{user: user, authTime: authTime, reached: append([]string{class}, passwordACR...)})
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: id, Path: "/", HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(s.URL(), "https:"),
	})
}

func (s *Server) endSession(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if current := s.session(r); current != nil {
		current.ended = true
	}
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// sessionFor returns the signed-in user, if the request accepts the session, and notes
// which of the asked acr values it has.
func (s *Server) sessionFor(r *http.Request, a *authorization) (*account, time.Time, bool) {
	if a.prompt == "login" {
		return nil, time.Time{}, false
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.session(r)
	if current == nil || current.ended || current.user.blocked() {
		return nil, time.Time{}, false
	}
	age := now.Sub(current.authTime)
	if age >= sessionLifetime || a.maxAge >= 0 && age > time.Duration(a.maxAge)*time.Second {
		return nil, time.Time{}, false
	}
	if class, ok := first(a.classes, func(acr string) bool { return slices.Contains(current.reached, acr) }); ok {
		a.class = class
		return current.user, current.authTime, true
	}
	return nil, time.Time{}, false
}

// session needs s.mu.
func (s *Server) session(r *http.Request) *session {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	return s.sessions.get(cookie.Value)
}

// logout ends the browser's session. Tokens live on, as at Okta.
func (s *Server) logout(w http.ResponseWriter, r *http.Request, as *authServer) {
	params, problem := authorizeParameters(r)
	if problem != nil {
		showProblem(w, problem)
		return
	}
	hint := params.Get("id_token_hint")
	if hint == "" {
		showProblem(w, errParameterMissing("id_token_hint"))
		return
	}
	s.mu.Lock()
	idToken := s.tokens.get(fingerprint(hint)) // an expired hint is good enough
	s.mu.Unlock()
	if idToken == nil || idToken.kind != kindID || idToken.grant.as != as {
		showProblem(w, errIDTokenInvalid)
		return
	}
	target := params.Get("post_logout_redirect_uri")
	if target != "" && !slices.Contains(idToken.grant.app.PostLogoutRedirectURIs, target) {
		showProblem(w, errLogoutRedirect)
		return
	}
	s.endSession(w, r)
	if target == "" {
		page{Title: "You are signed out"}.write(w, http.StatusOK, "'none'")
		return
	}
	answer := url.Values{}
	if state := params.Get("state"); state != "" {
		answer.Set("state", state)
	}
	redirect(w, target, answer)
}
