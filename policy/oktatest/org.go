package oktatest

import "errors"

// OrgServer is the [AuthorizationServer].ID of the org authorization server. Its
// issuer is the base URL, its endpoints are under /oauth2/v1, and its access tokens
// are Okta's own: their audience is the base URL, they live an hour and carry no
// custom scope or claim, and their header has a typ. Resource servers have no
// business with them but to introspect them.
const OrgServer = "/"

// orgTokenType is undocumented, and Okta may change it.
const orgTokenType = "application/okta-internal-at+jwt"

func (as AuthorizationServer) checkOrg() error {
	if as.Audience != "" || len(as.Scopes) > 0 || len(as.Claims) > 0 || as.AccessTokenLifetime != 0 || as.AccessTokens != "" {
		return errors.New("the org authorization server has no audience, scopes, claims, lifetime or token form of its own")
	}
	return nil
}

// path is what the paths of the server's endpoints begin with.
func (as *authServer) path() string {
	if as.ID == OrgServer {
		return "/oauth2"
	}
	return "/oauth2/" + as.ID
}

// endpoint is the URL of an endpoint; of the metadata there is none.
func (s *Server) endpoint(as *authServer, e Endpoint) string {
	return s.URL() + as.path() + "/v1/" + string(e)
}

// audience is the aud of a server's access tokens.
func (s *Server) audience(as *authServer) string {
	if as.ID == OrgServer {
		return s.URL()
	}
	return as.Audience
}
