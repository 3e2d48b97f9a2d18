package oktatest

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

type endpoint struct {
	name    Endpoint
	methods []string
	serve   func(*Server, http.ResponseWriter, *http.Request, *authServer)
}

func (s *Server) route() {
	get, post, both := []string{"GET", "HEAD"}, []string{"POST"}, []string{"GET", "HEAD", "POST"}
	for path, e := range map[string]endpoint{
		"/.well-known/openid-configuration":       {Metadata, get, (*Server).openIDMetadata},
		"/.well-known/oauth-authorization-server": {Metadata, get, (*Server).oauthMetadata},
		"/v1/keys":       {Keys, get, (*Server).keys},
		"/v1/authorize":  {Authorize, both, (*Server).authorize},
		"/v1/token":      {Token, post, (*Server).token},
		"/v1/introspect": {Introspect, post, (*Server).introspect},
		"/v1/revoke":     {Revoke, post, (*Server).revoke},
		"/v1/userinfo":   {UserInfo, both, (*Server).userInfo},
		"/v1/logout":     {Logout, both, (*Server).logout},
	} {
		custom := func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, e, r.PathValue("as")) }
		s.mux.HandleFunc("/oauth2/{as}"+path, custom)
		if path == "/.well-known/oauth-authorization-server" {
			s.mux.HandleFunc(path+"/oauth2/{as}", custom) // the order of RFC 8414 §3.1
		}
		if s.servers[OrgServer] == nil {
			continue
		}
		if strings.HasPrefix(path, "/v1/") {
			path = "/oauth2" + path
		}
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, e, OrgServer) })
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { errNotFound.write(w) })
}

// ServeHTTP answers one request. While [Server.Down] is in force it cuts the
// connection without an answer, by panicking with http.ErrAbortHandler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.isDown() {
		panic(http.ErrAbortHandler)
	}
	if s.URL() == "" {
		http.Error(w, "oktatest: no base URL: set Config.BaseURL or use Start", http.StatusInternalServerError)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.setHeaders(w, r)
	s.mux.ServeHTTP(w, r)
}

func (s *Server) setHeaders(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Date", s.date(0))
	h.Set("X-Okta-Request-Id", random(18))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "0")
	if r.TLS == nil {
		// Over TLS this would pin the developer's localhost to https for every port.
		h.Set("Strict-Transport-Security", "max-age=315360000; includeSubDomains")
	}
}

// date is a Date header: clients wait by Okta's clock, not their own.
func (s *Server) date(off time.Duration) string {
	return s.now().Add(off).UTC().Format(http.TimeFormat)
}

// serve answers a request to an endpoint of the authorization server with this id.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, e endpoint, id string) {
	s.allowOrigin(w, r)
	if r.Method == http.MethodOptions {
		w.Header().Set("Access-Control-Allow-Methods", strings.Join(e.methods, ", "))
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	a := s.arrive(e.name, id)
	defer s.leave(a.admission)
	if a.refused {
		s.refuse(w, a.limit, a.reset)
		return
	}
	if a.slot { // clients read these on every answer
		setRateLimit(w, a.limit, a.remaining, a.reset.Unix())
	}
	s.spoil(w, r, a.faults, func(w http.ResponseWriter) { s.answer(w, r, e, id, a) })
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, e endpoint, id string, a arrival) {
	as := s.servers[id]
	switch {
	case a.script != nil:
		clear(w.Header())
		a.script.ServeHTTP(w, r)
	case a.status != 0:
		s.fail(w, a.status)
	case as == nil:
		errServerUnknown(id).write(w)
	case !slices.Contains(e.methods, r.Method):
		w.Header().Set("Allow", strings.Join(e.methods, ", "))
		errMethod.write(w)
	case len(r.URL.RawQuery) > maxQuery:
		errMalformed.write(w)
	default:
		e.serve(s, w, r, as)
	}
}

// allowOrigin lets browsers of registered applications read the answer; Okta
// asks the same of its Trusted Origins.
func (s *Server) allowOrigin(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	w.Header().Add("Vary", "Origin")
	for _, app := range s.clients {
		for _, redirect := range app.RedirectURIs {
			if u, err := url.Parse(redirect); err == nil && u.Host != "" && u.Scheme+"://"+u.Host == origin {
				w.Header().Set("Access-Control-Allow-Origin", origin)
				w.Header().Set("Access-Control-Expose-Headers", "DPoP-Nonce")
				return
			}
		}
	}
}

// readForm returns the parameters of an x-www-form-urlencoded body.
func readForm(r *http.Request) (url.Values, *problem) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, errMediaType
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, errMalformed
	}
	return parseParameters(string(body))
}

func parseParameters(raw string) (url.Values, *problem) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errMalformed
	}
	for _, v := range values {
		if len(v) > 1 {
			return nil, errDuplicate
		}
	}
	return values, nil
}
