package oktatest

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const codeLifetime = 5 * time.Minute

var (
	statePattern     = regexp.MustCompile(`^[A-Za-z0-9,._-]{1,1000}$`)
	challengePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // base64url of a SHA-256
)

// authorization is a checked authorization request and, once a user is known,
// what its code stands for.
type authorization struct {
	as          *authServer
	app         *application
	redirectURI string
	state       string
	scopes      []string
	challenge   string
	nonce       string
	prompt      string
	maxAge      int      // seconds; negative: not asked
	classes     []string // the known ones of acr_values, in order

	user     *account
	class    string // acr; empty where none was asked
	authTime time.Time
	expires  time.Time
	used     bool
}

func (s *Server) authorize(w http.ResponseWriter, r *http.Request, as *authServer) {
	params, problem := authorizeParameters(r)
	if problem != nil {
		showProblem(w, problem)
		return
	}
	// Until client and redirect URI are known to belong together nothing may be
	// sent to the redirect URI.
	a, problem := s.redirectTarget(as, params)
	if problem != nil {
		showProblem(w, problem)
		return
	}
	if problem := a.parse(params); problem != nil {
		a.refuse(w, problem)
		return
	}
	if r.Method == http.MethodPost && params.Has("username") && a.prompt != "none" {
		s.submitSignIn(w, r, a, params)
		return
	}
	if user, authTime, ok := s.sessionFor(r, a); ok {
		s.grantCode(w, a, user, authTime)
		return
	}
	if a.prompt == "none" {
		a.refuse(w, errLoginRequired)
		return
	}
	showSignIn(w, http.StatusOK, a, params, "")
}

func authorizeParameters(r *http.Request) (url.Values, *problem) {
	if r.Method == http.MethodPost {
		return readForm(r)
	}
	return parseParameters(r.URL.RawQuery)
}

// redirectTarget checks what decides whether an answer may be redirected at all.
func (s *Server) redirectTarget(as *authServer, params url.Values) (*authorization, *problem) {
	app := s.clientByID(params.Get("client_id"))
	if app == nil || s.isInactive(app) {
		return nil, errUnknownClient
	}
	redirect := params.Get("redirect_uri")
	if !slices.Contains(app.RedirectURIs, redirect) {
		return nil, errRedirectURI
	}
	return &authorization{as: as, app: app, redirectURI: redirect}, nil
}

// parse checks the rest, in Okta's order as far as it is known.
func (a *authorization) parse(params url.Values) *problem {
	if state := params.Get("state"); statePattern.MatchString(state) {
		a.state = state
	}
	switch mode := params.Get("response_mode"); {
	case !a.app.allows(grantCode):
		return errGrantNotConfigured(a.app.Client)
	case params.Has("request"):
		return errRequestObject
	case params.Has("request_uri"):
		return errRequestURI
	case params.Get("response_type") != "code":
		return errResponseType
	case mode != "" && mode != "query":
		return errResponseMode
	case a.state == "":
		return errState
	}
	if problem := a.parseChallenge(params); problem != nil {
		return problem
	}
	if problem := a.parsePrompt(params); problem != nil {
		return problem
	}
	scopes, problem := parseScopes(a.as, params.Get("scope"))
	if problem != nil {
		return problem
	}
	if slices.Contains(scopes, "offline_access") && !a.app.allows(grantRefresh) {
		return errScopeOffline
	}
	a.scopes, a.nonce, a.classes = scopes, params.Get("nonce"), parseACR(params.Get("acr_values"))
	return nil
}

func (a *authorization) parseChallenge(params url.Values) *problem {
	challenge := params.Get("code_challenge")
	switch {
	case challenge == "" && a.app.public():
		return errChallengeMissing
	case challenge == "":
		return nil
	case params.Get("code_challenge_method") != "S256":
		return errChallengeMethod
	case !challengePattern.MatchString(challenge):
		return errChallengeIllegal
	}
	a.challenge = challenge
	return nil
}

func (a *authorization) parsePrompt(params url.Values) *problem {
	a.prompt, a.maxAge = params.Get("prompt"), -1
	switch a.prompt {
	case "", "none", "login":
	case "consent": // no scope here asks for consent
		a.prompt = ""
	case "login consent":
		a.prompt = "login"
	default:
		return errPrompt
	}
	if params.Has("max_age") {
		seconds, err := strconv.ParseInt(params.Get("max_age"), 10, 32)
		if err != nil || seconds < 0 {
			return errMaxAge
		}
		a.maxAge = int(seconds)
	}
	if a.maxAge == 0 && a.prompt == "none" {
		return errMaxAgeZero
	}
	return nil
}

// parseScopes returns the scopes of a user's request, each once, in order.
func parseScopes(as *authServer, raw string) ([]string, *problem) {
	var scopes []string
	openID, needsOpenID := false, false
	for _, scope := range strings.Fields(raw) {
		if !slices.Contains(openIDScopes, scope) && !slices.Contains(as.Scopes, scope) {
			return nil, errScopeUnknown
		}
		if slices.Contains(scopes, scope) {
			continue
		}
		scopes = append(scopes, scope)
		openID = openID || scope == "openid"
		needsOpenID = needsOpenID || slices.Contains(openIDScopes, scope) && scope != "offline_access"
	}
	if len(scopes) == 0 {
		return nil, errScopesMissing
	}
	if needsOpenID && !openID {
		return nil, errOpenIDRequired
	}
	return scopes, nil
}

// refuse sends an error to the client by way of the browser.
func (a *authorization) refuse(w http.ResponseWriter, p *problem) {
	answer := url.Values{"error": {p.code}, "error_description": {p.text}}
	if a.state != "" {
		answer.Set("state", a.state)
	}
	redirect(w, a.redirectURI, answer)
}

// grantCode sends a new code to the client. A code is single-use, lives 300 s
// and is bound to all of its request.
func (s *Server) grantCode(w http.ResponseWriter, a *authorization, user *account, authTime time.Time) {
	if !s.isAssigned(user, a.app) {
		a.refuse(w, errNotAssigned)
		return
	}
	a.user, a.authTime, a.expires = user, authTime, s.now().Add(codeLifetime)
	code := random(32)
	s.mu.Lock()
	s.codes.put(code, a)
	s.mu.Unlock()
	redirect(w, a.redirectURI, url.Values{"code": {code}, "state": {a.state}})
}

// redirect adds parameters to a registered URI, which stays as it was registered.
func redirect(w http.ResponseWriter, uri string, answer url.Values) {
	separator := "?"
	switch {
	case len(answer) == 0:
		separator = ""
	case strings.Contains(uri, "?"):
		separator = "&"
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", uri+separator+answer.Encode())
	w.WriteHeader(http.StatusFound)
}
