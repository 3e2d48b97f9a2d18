package oktatest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// TokenRequest says whose access token [Server.Token] mints.
type TokenRequest struct {
	AuthorizationServer string   // id; empty: the only one there is
	Client              string   // name or client id
	User                string   // login or id; empty: a machine token, as from client_credentials
	Scopes              []string // at least one
	ACR                 string   // the acr claim; empty: none
	// JKT is the RFC 7638 thumbprint of the DPoP key that the token is bound to, its
	// cnf.jkt; empty: a bearer token, which a client with DPoP does not get. No proof is asked.
	JKT string
}

// Token mints an access token without browser and network, equal to one that the
// code flow, or without a user the client_credentials flow, would have issued.
// It refuses what those would refuse, but asks no secret and no PKCE. It counts
// as no call, and works while the server is down.
func (s *Server) Token(req TokenRequest) (string, error) {
	g, err := s.requestedGrant(req)
	if err != nil {
		return "", fmt.Errorf("oktatest: token: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.app.inactive || g.user != nil && (g.user.blocked() || g.app.unassigned[g.user]) {
		return "", fmt.Errorf("oktatest: token: client %q or user %q is not active, or one not assigned to the other", req.Client, req.User)
	}
	reply, problem := s.issueFirst(g)
	if problem != nil {
		return "", fmt.Errorf("oktatest: token: %s", problem.text)
	}
	return reply.AccessToken, nil
}

func (s *Server) requestedGrant(req TokenRequest) (*grant, error) {
	if s.URL() == "" {
		return nil, errors.New("no base URL: set Config.BaseURL or use Start")
	}
	g := &grant{as: s.servers[req.AuthorizationServer], app: s.client(req.Client), authTime: s.now(), class: req.ACR}
	if req.JKT != "" {
		g.confirmation = &confirmation{req.JKT}
	}
	if req.AuthorizationServer == "" && len(s.servers) == 1 {
		for _, as := range s.servers {
			g.as = as
		}
	}
	grantType, scopesOf := grantClient, machineScopes
	if req.User != "" {
		g.user = s.user(req.User)
		grantType, scopesOf = grantCode, parseScopes
	}
	switch {
	case g.as == nil:
		return nil, fmt.Errorf("no authorization server %q", req.AuthorizationServer)
	case g.app == nil:
		return nil, fmt.Errorf("no client %q", req.Client)
	case req.User != "" && g.user == nil:
		return nil, fmt.Errorf("no user %q", req.User)
	case g.app.DPoP && req.JKT == "":
		return nil, errors.New(errProofMissing.text)
	case !g.app.allows(grantType):
		return nil, errors.New(errGrantNotConfigured(g.app.Client).text)
	}
	scopes, problem := scopesOf(g.as, strings.Join(req.Scopes, " "))
	if problem != nil {
		return nil, errors.New(problem.text)
	}
	if slices.Contains(scopes, "offline_access") && !g.app.allows(grantRefresh) {
		return nil, errors.New(errScopeOffline.text)
	}
	g.scopes = scopes
	return g, nil
}
