package oktatest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
)

// introspection keeps Okta's member order; token_type is Bearer for every kind.
type introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	Username  string `json:"username,omitempty"`
	Expires   int64  `json:"exp"`
	IssuedAt  int64  `json:"iat,omitempty"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	ID        string `json:"jti,omitempty"`
	TokenType string `json:"token_type"`
	ClientID  string `json:"client_id"`
	UserID    string `json:"uid,omitempty"`
	// Only where AuthorizationServer.Introspection asks for them.
	AuthTime     int64         `json:"auth_time,omitempty"`
	Class        string        `json:"acr,omitempty"`
	Confirmation *confirmation `json:"cnf,omitempty"`
}

// introspect is RFC 7662 as Okta has it: any client of the org may ask, about
// tokens of this authorization server only, and whatever is wrong with a token
// the answer is the same. token_type_hint is not needed and not read.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request, as *authServer) {
	form, problem := readForm(r)
	if problem == nil {
		_, problem = s.authenticate(r, form, s.endpoint(as, Introspect))
	}
	if problem == nil && form.Get("token") == "" {
		problem = errTokenMissing
	}
	if problem != nil {
		problem.write(w)
		return
	}
	now := s.now()
	s.mu.Lock()
	t := s.tokens.get(fingerprint(form.Get("token")))
	active := t != nil && t.grant.as == as && t.live(now)
	var body []byte
	var err error
	if active {
		body, err = withCustom(s.describe(t), t.custom)
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		errServer.write(w)
	case active:
		w.Header().Set("Content-Type", "application/json")
		w.Write(body) // the caller has gone if this fails
	default:
		writeJSON(w, http.StatusOK, struct {
			Active bool `json:"active"`
		}{})
	}
}

// describe needs s.mu.
func (s *Server) describe(t *issued) introspection {
	g := t.grant
	reply := introspection{
		Active: true, Scope: strings.Join(t.scopes, " "), Expires: t.exp.Unix(), IssuedAt: t.issued.Unix(),
		Subject: g.app.ID, Audience: s.audience(g.as), Issuer: s.Issuer(g.as.ID), ID: t.jti,
		TokenType: "Bearer", ClientID: g.app.ID,
	}
	if g.user != nil {
		reply.Username, reply.Subject, reply.UserID = g.user.Login, g.user.Login, g.user.ID
	}
	switch t.kind {
	case kindRefresh: // Okta documents only these members for it
		return introspection{
			Active: true, Scope: reply.Scope, Username: reply.Username, Expires: reply.Expires,
			Subject: reply.Subject, TokenType: reply.TokenType, ClientID: reply.ClientID,
		}
	case kindID:
		reply.Scope, reply.Subject, reply.Audience = "", g.user.ID, g.app.ID
	case kindAccess:
		reply.reveal(t)
	}
	return reply
}

// reveal adds the members that the authorization server is configured to show.
func (reply *introspection) reveal(t *issued) {
	g := t.grant
	for _, member := range g.as.Introspection {
		switch member {
		case "auth_time":
			if g.user != nil {
				reply.AuthTime = g.authTime.Unix()
			}
		case "acr":
			reply.Class = g.class
		case "cnf":
			reply.Confirmation = g.confirmation
		case "token_type":
			reply.TokenType = g.tokenType()
		}
	}
}

// revoke is RFC 7009: 200 and an empty body for every authenticated client. A
// token of another client or authorization server is left alone.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, as *authServer) {
	form, problem := readForm(r)
	var app *application
	if problem == nil {
		app, problem = s.authenticate(r, form, s.endpoint(as, Revoke))
	}
	if problem == nil && form.Get("token") == "" {
		problem = errTokenMissing
	}
	if problem != nil {
		problem.write(w)
		return
	}
	s.mu.Lock()
	if t := s.tokens.get(fingerprint(form.Get("token"))); t != nil && t.grant.as == as && t.grant.app == app {
		t.revoke()
	}
	s.mu.Unlock()
	w.WriteHeader(http.StatusOK)
}

// revoke needs Server.mu. A refresh token takes its whole family along; an
// access token only itself.
func (t *issued) revoke() {
	t.revoked = true
	if t.kind == kindRefresh {
		t.grant.revoked = true
	}
}

// Revoke revokes a token as the revocation endpoint would for its client: an
// access token alone, a refresh token with all tokens of its sign-in. A token
// that this server did not issue, or has forgotten, is an error.
func (s *Server) Revoke(token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens.get(fingerprint(token))
	if t == nil {
		return errors.New("oktatest: revoke: no token of this server")
	}
	t.revoke()
	return nil
}

// userInfo answers for a user's access token; its sub is the user id.
func (s *Server) userInfo(w http.ResponseWriter, r *http.Request, as *authServer) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	now := s.now()
	s.mu.Lock()
	t := s.tokens.get(fingerprint(token))
	valid := (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP")) && t != nil && t.kind == kindAccess && t.grant.as == as &&
		t.grant.user != nil && t.live(now)
	s.mu.Unlock()
	if !valid {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="The access token is invalid"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if problem := s.checkHolder(r, as, scheme, token, t.grant.confirmation); problem != nil {
		problem.write(w)
		return
	}
	if !slices.ContainsFunc(t.scopes, func(scope string) bool { return slices.Contains(openIDScopes[1:5], scope) }) {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", error_description="The access token must provide access to at least one of these scopes - profile, email, address or phone"`)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	reply := struct {
		Subject  string `json:"sub"`
		Name     string `json:"name,omitempty"`
		Email    string `json:"email,omitempty"`
		Username string `json:"preferred_username,omitempty"`
	}{Subject: t.grant.user.ID}
	if slices.Contains(t.scopes, "profile") {
		reply.Name, reply.Username = t.grant.user.Name, t.grant.user.Login
	}
	if slices.Contains(t.scopes, "email") {
		reply.Email = t.grant.user.Login
	}
	writeJSON(w, http.StatusOK, reply)
}
