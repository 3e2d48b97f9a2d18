package oktatest

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

type endpoint struct {
	name    Endpoint
	methods []string
	limited bool // by Okta's rate limits
	serve   func(*Server, http.ResponseWriter, *http.Request, *authServer)
}

func (s *Server) route() {
	get, post, both := []string{"GET", "HEAD"}, []string{"POST"}, []string{"GET", "HEAD", "POST"}
	for path, e := range map[string]endpoint{
		"/oauth2/{as}/.well-known/openid-configuration":       {Metadata, get, false, (*Server).openIDMetadata},
		"/oauth2/{as}/.well-known/oauth-authorization-server": {Metadata, get, false, (*Server).oauthMetadata},
		"/.well-known/oauth-authorization-server/oauth2/{as}": {Metadata, get, false, (*Server).oauthMetadata},
		"/oauth2/{as}/v1/keys":                                {Keys, get, false, (*Server).keys},
		"/oauth2/{as}/v1/authorize":                           {Authorize, both, true, (*Server).authorize},
		"/oauth2/{as}/v1/token":                               {Token, post, true, (*Server).token},
		"/oauth2/{as}/v1/introspect":                          {Introspect, post, true, (*Server).introspect},
		"/oauth2/{as}/v1/revoke":                              {Revoke, post, true, (*Server).revoke},
		"/oauth2/{as}/v1/userinfo":                            {UserInfo, both, true, (*Server).userInfo},
		"/oauth2/{as}/v1/logout":                              {Logout, both, true, (*Server).logout},
	} {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, e) })
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
	h.Set("Date", s.now().UTC().Format(http.TimeFormat)) // clients wait by Okta's clock, not their own
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

func (s *Server) serve(w http.ResponseWriter, r *http.Request, e endpoint) {
	s.allowOrigin(w, r)
	if r.Method == http.MethodOptions {
		w.Header().Set("Access-Control-Allow-Methods", strings.Join(e.methods, ", "))
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if e.limited {
		// An idle org: nothing here is limited, but clients read these on every answer.
		setRateLimit(w, rateLimit, rateLimit-1, s.now().Add(time.Minute).Unix())
	}
	script, fault := s.called(e.name)
	as := s.servers[r.PathValue("as")]
	switch {
	case script != nil:
		clear(w.Header())
		script.ServeHTTP(w, r)
	case fault != 0:
		s.fail(w, fault)
	case as == nil:
		errServerUnknown(r.PathValue("as")).write(w)
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
				return
			}
		}
	}
}

func setRateLimit(w http.ResponseWriter, limit, remaining int, reset int64) {
	w.Header().Set("X-Rate-Limit-Limit", strconv.Itoa(limit))
	w.Header().Set("X-Rate-Limit-Remaining", strconv.Itoa(remaining))
	w.Header().Set("X-Rate-Limit-Reset", strconv.FormatInt(reset, 10))
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
