package oktatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// problem is one refusal in Okta's own words, after its published OAuth and API
// error tables. Okta has two error shapes; api selects the second.
type problem struct {
	status int
	code   string
	text   string
	api    bool
}

func oauthProblem(status int, code, text string) *problem {
	return &problem{status: status, code: code, text: text}
}

func apiProblem(status int, code, text string) *problem {
	return &problem{status: status, code: code, text: text, api: true}
}

var (
	errMalformed = apiProblem(400, "E0000003", "The request body was not well-formed.")
	errNotFound  = apiProblem(404, "E0000008", "The requested path was not found")
	errMethod    = apiProblem(405, "E0000022", "The endpoint does not support the provided HTTP method")
	errMediaType = apiProblem(400, "E0000021", "Bad request. Accept and/or Content-Type headers likely do not match supported values.")
	errForbidden = apiProblem(403, "E0000006", "You do not have permission to perform the requested action")
	errInternal  = apiProblem(500, "E0000009", "Internal Server Error")
	errReadOnly  = apiProblem(503, "E0000010", "Service is in read only mode")
	errRateLimit = apiProblem(429, "E0000047", "API call exceeded rate limit due to too many requests.")

	errUnknownClient = apiProblem(401, "invalid_client", "Invalid value for 'client_id' parameter.")

	errServer       = oauthProblem(500, "server_error", "The authorization server encountered an unexpected condition that prevented it from fulfilling the request.")
	errUnavailable  = oauthProblem(400, "temporarily_unavailable", "The authorization server is currently unable to handle the request due to a temporary overloading or maintenance of the server.")
	errDuplicate    = oauthProblem(400, "invalid_request", "The request contained multiple parameters with the same name.")
	errTokenMissing = oauthProblem(400, "invalid_request", "The 'token' parameter is required.")

	errNoCredentials      = oauthProblem(401, "invalid_client", "No client credentials found.")
	errClientAuth         = oauthProblem(401, "invalid_client", "Client authentication failed. Either the client or the client credentials are invalid.")
	errClientSecret       = oauthProblem(401, "invalid_client", "The client secret supplied for a confidential client is invalid.")
	errBasicInvalid       = oauthProblem(401, "invalid_client", "Found Authentication header but was not valid client credentials.")
	errOrgMachineAuth     = oauthProblem(401, "invalid_client", "Client Credentials requests to the Org Authorization Server must use the private_key_jwt token_endpoint_auth_method.")
	errOrgMachineType     = oauthProblem(401, "invalid_client", "Only clients with 'application_type' of 'service' may use the client_credentials 'grant_type' with the Org Authorization Server.")
	errAssertionMalformed = oauthProblem(401, "invalid_client", "The parsing of the client_assertion failed.")
	errAssertionAlgorithm = oauthProblem(401, "invalid_client", "The client_assertion JWT signature algorithm is invalid.")
	errAssertionIssuer    = oauthProblem(401, "invalid_client", "The issuer claim for client_assertion is not a valid client_id.")
	errAssertionSubject   = oauthProblem(401, "invalid_client", "The subject claim for client_assertion is not a valid client_id.")
	errAssertionNoSecret  = oauthProblem(401, "invalid_client", "The issuer and subject claim for client_assertion is invalid because the client does not have a client secret.")
	errAssertionSecret    = oauthProblem(401, "invalid_client", "The client secret is too short to verify a JWT HMAC.")
	errAssertionNoKeys    = oauthProblem(401, "invalid_client", "The client does not have a JWKSet configured, but the client_assertion requires one.")
	errAssertionKeyID     = oauthProblem(401, "invalid_client", "The client_assertion JWT kid is invalid.")
	errAssertionSignature = oauthProblem(401, "invalid_client", "The client_assertion signature is invalid.")
	errAssertionAudience  = oauthProblem(401, "invalid_client", "The audience claim for client_assertion must be the endpoint invoked for the request.")
	errAssertionNoExpiry  = oauthProblem(401, "invalid_client", "The client_assertion must contain the 'exp' claim as seconds since epoch.")
	errAssertionExpired   = oauthProblem(401, "invalid_client", "The client_assertion token is expired.")
	errAssertionLife      = oauthProblem(401, "invalid_client", "The client_assertion token has an expiration too far into the future.")
	errAssertionIssued    = oauthProblem(401, "invalid_client", "The client_assertion token must be issued before the current time.")
	errAssertionUsed      = oauthProblem(401, "invalid_client", "The client_assertion token has already been used.")
	errBrowserPKCE        = oauthProblem(401, "invalid_client", "Browser requests to the token endpoint must use Proof Key for Code Exchange.")
	errManyCredentials    = oauthProblem(401, "invalid_request", "Cannot supply multiple client credentials. Use one of the following: credentials in the Authorization header, credentials in the post body, or a client_assertion in the post body.")
	errQueryCredentials   = oauthProblem(400, "invalid_request", "Client credentials cannot be supplied via query parameters.")
	errAssertionType      = oauthProblem(400, "invalid_request", "The client_assertion_type is invalid.")
	errRedirectURI        = oauthProblem(400, "invalid_request", "The 'redirect_uri' parameter must be a Login redirect URI in the client app settings.")
	errLogoutRedirect     = oauthProblem(400, "invalid_request", "The 'post_logout_redirect_uri' parameter must be a Logout redirect URI in the client app settings.")
	errState              = oauthProblem(400, "invalid_request", "The authentication request has an invalid 'state' parameter.")
	errMaxAge             = oauthProblem(400, "invalid_request", "Invalid value for 'max_age' parameter. It should be within range 0 - 2^31-1.")
	errPrompt             = oauthProblem(400, "invalid_request", "Invalid value for 'prompt' parameter. Supported values: [none, login, consent, login consent]")
	errMaxAgeZero         = oauthProblem(400, "invalid_request", "'prompt' parameter must not have the value 'none' for request with 'zero' as max_age.")
	errChallengeMissing   = oauthProblem(400, "invalid_request", "PKCE code challenge is required by the application.")
	errChallengeIllegal   = oauthProblem(400, "invalid_request", "PKCE code challenge contains illegal characters.")
	errChallengeMethod    = oauthProblem(400, "invalid_request", "PKCE code challenge method is not supported. Valid values: [S256]")
	errVerifierMissing    = oauthProblem(400, "invalid_request", "PKCE code verifier is required by the application.")
	errVerifierUnexpected = oauthProblem(400, "invalid_request", "PKCE code challenge should be specified in the authorize request for code verification.")
	errOtherServer        = oauthProblem(400, "invalid_request", "The grant was issued for another authorization server.")
	errGrantTypeMissing   = oauthProblem(400, "invalid_request", "The token request must specify a 'grant_type'. Valid values: "+list(supportedGrants))
	errLoginRequired      = oauthProblem(400, "login_required", "The client specified not to prompt, but the user is not logged in.")
	errRequestObject      = oauthProblem(400, "request_not_supported", "The authorize request object is not supported by this client.")
	errRequestURI         = oauthProblem(400, "request_uri_not_supported", "The authorize request uri is not supported by this client.")
	errResponseType       = oauthProblem(400, "unsupported_response_type", "The response type is not supported by the authorization server. Configured response types: [code].")
	errResponseMode       = oauthProblem(400, "unsupported_response_mode", "The response mode is not supported by the authorization server. Valid response modes: [query].")
	errScopesMissing      = oauthProblem(400, "invalid_scope", "The authorization server resource does not have any configured default scopes, 'scope' must be provided.")
	errScopeUnknown       = oauthProblem(400, "invalid_scope", "One or more scopes are not configured for the authorization server resource.")
	errScopeOffline       = oauthProblem(400, "invalid_scope", "The following scopes are not allowed for this request: [offline_access].")
	errScopeMachine       = oauthProblem(400, "invalid_scope", "Cannot request 'openid' scopes using client credentials.")
	errNotAssigned        = oauthProblem(400, "access_denied", "User is not assigned to the client application.")
	errOpenIDRequired     = oauthProblem(403, "access_denied", "Requests for ID tokens or access tokens with OpenID scopes require the 'openid' scope.")
	errCode               = oauthProblem(400, "invalid_grant", "The authorization code is invalid or has expired.")
	errPKCE               = oauthProblem(400, "invalid_grant", "PKCE verification failed.")
	errOtherClient        = oauthProblem(400, "invalid_grant", "The grant was issued to another client. Please make sure the 'client_id' matches the one used at the authorize request.")
	errOtherRedirect      = oauthProblem(400, "invalid_grant", "The 'redirect_uri' does not match the redirection URI used in the authorization request.")
	errRefresh            = oauthProblem(400, "invalid_grant", "The refresh token is invalid or expired.")
	errGrantType          = oauthProblem(400, "unsupported_grant_type", "The authorization grant type is not supported by the authorization server. Configured grant types: "+list(supportedGrants)+".")
	errProofInvalid       = oauthProblem(400, "invalid_dpop_proof", "The DPoP proof JWT is invalid.")
	errProofMissing       = oauthProblem(400, "invalid_dpop_proof", "The DPoP proof JWT header is missing.")
	errProofMany          = oauthProblem(400, "invalid_dpop_proof", "Multiple DPoP proof JWT headers are not allowed.")
	errProofType          = oauthProblem(400, "invalid_dpop_proof", "'typ' must be 'dpop+jwt' in the DPoP proof JWT.")
	errProofAlgorithm     = oauthProblem(400, "invalid_dpop_proof", "The DPoP proof JWT signature algorithm is invalid.")
	errProofMalformed     = oauthProblem(400, "invalid_dpop_proof", "The DPoP proof JWT cannot be parsed.")
	errProofSignature     = oauthProblem(400, "invalid_dpop_proof", "The DPoP proof JWT signature is invalid.")
	errProofMethod        = oauthProblem(400, "invalid_dpop_proof", "'htm' claim in the DPoP proof JWT is invalid.")
	errProofURL           = oauthProblem(400, "invalid_dpop_proof", "'htu' claim in the DPoP proof JWT is invalid.")
	errProofIssued        = oauthProblem(400, "invalid_dpop_proof", "'iat' claim in the DPoP proof JWT is invalid.")
	errProofFuture        = oauthProblem(400, "invalid_dpop_proof", "The DPoP proof JWT is issued in the future.")
	errProofOld           = oauthProblem(400, "invalid_dpop_proof", "The DPoP proof JWT is issued more than five minutes in the past.")
	errProofExpired       = oauthProblem(400, "invalid_dpop_proof", "The DPoP proof JWT is expired.")
	errProofKey           = oauthProblem(400, "invalid_dpop_proof", "Invalid DPoP Public Key binding in refresh token")
	errProofID            = oauthProblem(400, "invalid_dpop_proof", "'jti' claim in the DPoP proof JWT is invalid.")
	errProofUsed          = oauthProblem(400, "invalid_dpop_proof", "The DPoP proof JWT has already been used.")
	errProofToken         = oauthProblem(400, "invalid_dpop_proof", "'ath' claim in the DPoP proof does not match the presented access_token.")
	errProofBinding       = oauthProblem(400, "invalid_dpop_proof", "The access_token is not bound to the provided DPoP proof.")
	errProofNonce         = oauthProblem(400, "use_dpop_nonce", "Authorization server requires nonce in DPoP proof.")
	errProofScheme        = oauthProblem(400, "invalid_request", "The resource request must use the DPoP authentication scheme when using a DPoP bound token.")
	errUnmetACR           = oauthProblem(400, "unmet_authentication_requirements", "Unable to meet the authentication requirements imposed by 'acr_values' parameter.")
	errIDTokenInvalid     = oauthProblem(401, "invalid_token", "The id token is invalid.")
)

func errServerUnknown(id string) *problem {
	return apiProblem(404, "E0000007", fmt.Sprintf("Not found: Resource not found: %s (AuthorizationServer)", id))
}

func errParameterMissing(name string) *problem {
	return oauthProblem(400, "invalid_request", fmt.Sprintf("The required parameter '%s' is missing.", name))
}

func errGrantNotConfigured(c Client) *problem {
	return oauthProblem(400, "unauthorized_client",
		"The client is not authorized to use the provided grant type. Configured grant types: "+list(c.GrantTypes)+".")
}

func errRefreshScopes(denied []string) *problem {
	return oauthProblem(400, "access_denied",
		"Some of the scopes requested for the refresh request were not granted in the original authorize request. Denied scopes: "+strings.Join(denied, ", ")+".")
}

func list(items []string) string { return "[" + strings.Join(items, ", ") + "]" }

func (p *problem) write(w http.ResponseWriter) {
	if p.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="oktatest"`)
	}
	if p.api {
		writeJSON(w, p.status, struct {
			Code    string   `json:"errorCode"`
			Summary string   `json:"errorSummary"`
			Link    string   `json:"errorLink"`
			ID      string   `json:"errorId"`
			Causes  []string `json:"errorCauses"`
		}{p.code, p.text, p.code, "oae" + random(16), []string{}})
		return
	}
	writeJSON(w, p.status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{p.code, p.text})
}

// problemFor is what Okta, or for 502 and 504 the proxy before it, says with a status.
func problemFor(status int) *problem {
	switch status {
	case http.StatusBadRequest:
		return errUnavailable
	case http.StatusUnauthorized:
		return errClientAuth
	case http.StatusForbidden:
		return errForbidden
	case http.StatusNotFound:
		return errNotFound
	case http.StatusMethodNotAllowed:
		return errMethod
	case http.StatusTooManyRequests:
		return errRateLimit
	case http.StatusInternalServerError:
		return errServer
	case http.StatusServiceUnavailable:
		return errReadOnly
	}
	return apiProblem(status, errInternal.code, errInternal.text)
}

// writeJSON answers without HTML escaping, as Okta does.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := marshal(v)
	if err != nil {
		http.Error(w, "oktatest: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body) // the caller has gone if this fails
}

func marshal(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}

// writeBadGateway is the page of a proxy: HTML, as a CDN before Okta sends it.
func writeBadGateway(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<html><head><title>%d %[2]s</title></head><body><center><h1>%[1]d %[2]s</h1></center></body></html>\n", status, http.StatusText(status))
}
