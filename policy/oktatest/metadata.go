package oktatest

import (
	"net/http"
	"slices"
)

// metadata keeps Okta's field order. Values name only what this server does:
// clients choose by them.
type metadata struct {
	Issuer                   string   `json:"issuer"`
	AuthorizationEndpoint    string   `json:"authorization_endpoint"`
	TokenEndpoint            string   `json:"token_endpoint"`
	UserInfoEndpoint         string   `json:"userinfo_endpoint,omitempty"`
	JWKSURI                  string   `json:"jwks_uri"`
	ResponseTypes            []string `json:"response_types_supported"`
	ResponseModes            []string `json:"response_modes_supported"`
	GrantTypes               []string `json:"grant_types_supported"`
	SubjectTypes             []string `json:"subject_types_supported"`
	IDTokenAlgorithms        []string `json:"id_token_signing_alg_values_supported,omitempty"`
	Scopes                   []string `json:"scopes_supported"`
	TokenAuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
	Claims                   []string `json:"claims_supported"`
	ChallengeMethods         []string `json:"code_challenge_methods_supported"`
	IntrospectionEndpoint    string   `json:"introspection_endpoint"`
	IntrospectionAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationEndpoint       string   `json:"revocation_endpoint"`
	RevocationAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
	EndSessionEndpoint       string   `json:"end_session_endpoint"`
	RequestParameter         bool     `json:"request_parameter_supported"`
	ProofAlgorithms          []string `json:"dpop_signing_alg_values_supported"`
}

func (s *Server) metadata(as *authServer) metadata {
	methods := []string{"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"}
	return metadata{
		Issuer:                   s.Issuer(as.ID),
		AuthorizationEndpoint:    s.endpoint(as, Authorize),
		TokenEndpoint:            s.endpoint(as, Token),
		JWKSURI:                  s.endpoint(as, Keys),
		ResponseTypes:            []string{"code"},
		ResponseModes:            []string{"query"},
		GrantTypes:               supportedGrants,
		SubjectTypes:             []string{"public"},
		Scopes:                   openIDScopes, // Okta hides custom scopes unless they are made public
		TokenAuthMethods:         methods,
		Claims:                   []string{"ver", "jti", "iss", "aud", "iat", "exp", "cid", "uid", "scp", "sub"},
		ChallengeMethods:         []string{"S256"},
		IntrospectionEndpoint:    s.endpoint(as, Introspect),
		IntrospectionAuthMethods: methods,
		RevocationEndpoint:       s.endpoint(as, Revoke),
		RevocationAuthMethods:    methods,
		EndSessionEndpoint:       s.endpoint(as, Logout),
		ProofAlgorithms:          []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"},
	}
}

func (s *Server) oauthMetadata(w http.ResponseWriter, r *http.Request, as *authServer) {
	s.writeMetadata(w, r, s.metadata(as))
}

func (s *Server) openIDMetadata(w http.ResponseWriter, r *http.Request, as *authServer) {
	m := s.metadata(as)
	m.UserInfoEndpoint = s.endpoint(as, UserInfo)
	m.IDTokenAlgorithms = []string{"RS256"}
	m.GrantTypes = slices.DeleteFunc(slices.Clone(m.GrantTypes), func(g string) bool { return g == grantClient })
	m.Claims = []string{
		"iss", "ver", "sub", "aud", "iat", "exp", "jti", "auth_time", "amr", "idp", "nonce",
		"name", "email", "preferred_username", "at_hash",
	}
	s.writeMetadata(w, r, m)
}

// writeMetadata checks ?client_id=, which at Okta picks that client's form of the issuer.
func (s *Server) writeMetadata(w http.ResponseWriter, r *http.Request, m metadata) {
	query, problem := parseParameters(r.URL.RawQuery)
	if problem != nil {
		problem.write(w)
		return
	}
	if id := query.Get("client_id"); query.Has("client_id") && s.clientByID(id) == nil {
		apiProblem(http.StatusBadRequest, errUnknownClient.code, errUnknownClient.text).write(w)
		return
	}
	writeJSON(w, http.StatusOK, m)
}
