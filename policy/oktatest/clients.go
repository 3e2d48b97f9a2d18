package oktatest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// authenticate finds and authenticates the client of a request to token,
// introspect or revoke: client_secret_basic, client_secret_post, or the bare
// client id of a public client, in the form, in the query or as the Basic user
// name, or a JWT in the form, whose audience must be called, the URL of the
// endpoint. A secret in the query is refused whoever sends it.
func (s *Server) authenticate(r *http.Request, form url.Values, called string) (*application, *problem) {
	query, problem := parseParameters(r.URL.RawQuery)
	if problem != nil {
		return nil, problem
	}
	if query.Has("client_secret") || query.Has("client_assertion") {
		return nil, errQueryCredentials
	}
	header := r.Header.Values("Authorization")
	if len(header) > 1 || count(len(header) == 1, form.Has("client_secret"), form.Has("client_assertion")) > 1 {
		return nil, errManyCredentials
	}
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		return s.checkAssertion(form, called)
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if id == "" {
		id = query.Get("client_id")
	}
	if len(header) == 1 {
		basicID, basicSecret, ok := parseBasic(header[0])
		if !ok || id != "" && id != basicID {
			return nil, errBasicInvalid
		}
		id, secret = basicID, basicSecret
	}
	if id == "" {
		return nil, errNoCredentials
	}
	return s.checkSecret(id, secret)
}

func (s *Server) checkSecret(id, secret string) (*application, *problem) {
	app := s.clientByID(id)
	if app == nil || s.isInactive(app) {
		return nil, errUnknownClient
	}
	if app.asserts() || app.public() != (secret == "") {
		return nil, errClientAuth
	}
	got, want := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(app.Secret))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return nil, errClientSecret
	}
	return app, nil
}

func (s *Server) isInactive(app *application) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return app.inactive
}

// parseBasic reads RFC 7617 credentials; Okta's own browser SDK sends a public
// client id without the colon.
func parseBasic(header string) (id, secret string, ok bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	id, secret, _ = strings.Cut(string(raw), ":")
	// RFC 6749 §2.3.1 form-encodes both before they are joined.
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	return id, secret, errID == nil && errSecret == nil && id != ""
}

func count(facts ...bool) int {
	n := 0
	for _, fact := range facts {
		if fact {
			n++
		}
	}
	return n
}
