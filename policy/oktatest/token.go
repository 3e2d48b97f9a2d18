package oktatest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var verifierPattern = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`) // RFC 7636 §4.1

func (s *Server) token(w http.ResponseWriter, r *http.Request, as *authServer) {
	form, problem := readForm(r)
	if problem != nil {
		problem.write(w)
		return
	}
	app, problem := s.authenticate(r, form, s.endpoint(as, Token))
	if problem == nil {
		problem = checkGrantType(r, app, form)
	}
	if problem != nil {
		problem.write(w)
		return
	}
	bound, problem := s.binding(r, as, app)
	if problem != nil {
		if problem == errProofNonce {
			w.Header().Set("DPoP-Nonce", s.nonce(as))
		}
		problem.write(w)
		return
	}
	s.mu.Lock()
	reply, problem := s.exchange(as, app, form, bound)
	s.mu.Unlock()
	if problem != nil {
		problem.write(w)
		return
	}
	writeJSON(w, http.StatusOK, reply)
}

func checkGrantType(r *http.Request, app *application, form url.Values) *problem {
	grantType := form.Get("grant_type")
	switch {
	case grantType == "":
		return errGrantTypeMissing
	case !slices.Contains(supportedGrants, grantType):
		return errGrantType
	case !app.allows(grantType):
		return errGrantNotConfigured(app.Client)
	case r.Header.Get("Origin") == "": // only browsers send it
		return nil
	case grantType == grantCode && form.Get("code_verifier") == "", grantType == grantClient:
		return errBrowserPKCE
	}
	return nil
}

// binding is the key that the request proves to hold; nil where it proves none and the
// client need not.
func (s *Server) binding(r *http.Request, as *authServer, app *application) (*confirmation, *problem) {
	thumbprint, problem := s.checkProof(r, as, subject{method: http.MethodPost, url: s.endpoint(as, Token)})
	switch {
	case problem == errProofMissing && !app.DPoP:
		return nil, nil
	case problem != nil:
		return nil, problem
	}
	return &confirmation{thumbprint}, nil
}

// exchange needs s.mu.
func (s *Server) exchange(as *authServer, app *application, form url.Values, bound *confirmation) (*tokenReply, *problem) {
	switch form.Get("grant_type") {
	case grantCode:
		return s.redeemCode(as, app, form, bound)
	case grantRefresh:
		return s.refresh(as, app, form, bound)
	default:
		return s.clientCredentials(as, app, form, bound)
	}
}

// redeemCode spends a code. A refused attempt does not: what Okta does then is
// not documented, and a verifier cannot be guessed.
func (s *Server) redeemCode(as *authServer, app *application, form url.Values, bound *confirmation) (*tokenReply, *problem) {
	if form.Get("code") == "" {
		return nil, errParameterMissing("code")
	}
	code := s.codes.get(form.Get("code"))
	switch {
	case code == nil || code.used || !s.now().Before(code.expires) || code.user.blocked():
		return nil, errCode
	case code.as != as:
		return nil, errOtherServer
	case code.app != app:
		return nil, errOtherClient
	case code.redirectURI != form.Get("redirect_uri"):
		return nil, errOtherRedirect
	}
	if problem := code.verify(form.Get("code_verifier")); problem != nil {
		return nil, problem
	}
	code.used = true
	return s.issueFirst(&grant{
		as: as, app: app, user: code.user, scopes: code.scopes, nonce: code.nonce,
		authTime: code.authTime, class: code.class, confirmation: bound,
	})
}

// verify is RFC 7636 §4.6 for S256, the only method.
func (a *authorization) verify(verifier string) *problem {
	switch {
	case a.challenge == "" && verifier == "":
		return nil
	case a.challenge == "":
		return errVerifierUnexpected
	case verifier == "":
		return errVerifierMissing
	case !verifierPattern.MatchString(verifier):
		return errPKCE
	}
	sum := sha256.Sum256([]byte(verifier))
	got := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(got), []byte(a.challenge)) != 1 {
		return errPKCE
	}
	return nil
}

// issueFirst issues the first tokens of a family.
func (s *Server) issueFirst(g *grant) (*tokenReply, *problem) {
	reply, err := s.issue(g, g.scopes)
	if err != nil {
		return nil, errServer
	}
	if g.refreshID != "" {
		reply.RefreshToken = s.issueRefresh(g)
	}
	return reply, nil
}

func (s *Server) refresh(as *authServer, app *application, form url.Values, bound *confirmation) (*tokenReply, *problem) {
	presented := form.Get("refresh_token")
	if presented == "" {
		return nil, errParameterMissing("refresh_token")
	}
	t, now := s.tokens.get(fingerprint(presented)), s.now()
	if t == nil || t.kind != kindRefresh || t.grant.app != app {
		return nil, errRefresh
	}
	if t.grant.as != as {
		return nil, errOtherServer
	}
	if problem := t.grant.checkBinding(bound); problem != nil {
		return nil, problem
	}
	if !t.replaced.IsZero() && now.Sub(t.replaced) > refreshLeeway {
		t.grant.revoked = true // a replayed token: thief and owner cannot be told apart
	}
	if !t.live(now) {
		return nil, errRefresh
	}
	scopes, problem := narrow(t.grant.scopes, form.Get("scope"))
	if problem != nil {
		return nil, problem
	}
	reply, err := s.issue(t.grant, scopes)
	if err != nil {
		return nil, errServer
	}
	if !app.RotateRefresh {
		t.touch(now)
		reply.RefreshToken = presented
		return reply, nil
	}
	if t.replaced.IsZero() {
		t.replaced = now
	}
	reply.RefreshToken = s.issueRefresh(t.grant)
	return reply, nil
}

// checkBinding holds that who refreshes has the key of the sign-in. That a proof binds
// what was not bound is the stricter reading.
func (g *grant) checkBinding(bound *confirmation) *problem {
	switch {
	case g.confirmation == nil && bound == nil:
		return nil
	case bound == nil:
		return errProofMissing
	case g.confirmation == nil || *g.confirmation != *bound:
		return errProofKey
	}
	return nil
}

// narrow returns the scopes asked of a refresh, all of them if none is named.
func narrow(granted []string, raw string) ([]string, *problem) {
	asked := strings.Fields(raw)
	if len(asked) == 0 {
		return granted, nil
	}
	denied := slices.DeleteFunc(slices.Clone(asked), func(scope string) bool { return slices.Contains(granted, scope) })
	if len(denied) > 0 {
		return nil, errRefreshScopes(denied)
	}
	return slices.DeleteFunc(slices.Clone(granted), func(scope string) bool { return !slices.Contains(asked, scope) }), nil
}

func (s *Server) clientCredentials(as *authServer, app *application, form url.Values, bound *confirmation) (*tokenReply, *problem) {
	switch {
	case as.ID == OrgServer && len(app.Keys) == 0:
		return nil, errOrgMachineAuth
	case as.ID == OrgServer && app.Type != "service":
		return nil, errOrgMachineType
	}
	scopes, problem := machineScopes(as, form.Get("scope"))
	if problem != nil {
		return nil, problem
	}
	return s.issueFirst(&grant{as: as, app: app, scopes: scopes, confirmation: bound})
}

func machineScopes(as *authServer, raw string) ([]string, *problem) {
	if slices.ContainsFunc(strings.Fields(raw), func(scope string) bool { return slices.Contains(openIDScopes, scope) }) {
		return nil, errScopeMachine
	}
	return parseScopes(as, raw)
}
