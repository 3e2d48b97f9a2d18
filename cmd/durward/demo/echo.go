package demo

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// echoed is what the backend answers with: the request as it arrived.
type echoed struct {
	Method  string              `json:"method"`
	Path    string              `json:"path"`
	Headers map[string][]string `json:"headers"`
}

// tokenLike matches what may be a credential: a JWT, or a long opaque text.
var tokenLike = regexp.MustCompile(`[A-Za-z0-9_~+/-]{8,}\.[A-Za-z0-9_~+/-]{8,}\.[A-Za-z0-9_~+/=-]*|[A-Za-z0-9_~+/=-]{40,}`)

// credentialHeaders are masked whole.
var credentialHeaders = map[string]bool{"authorization": true, "proxy-authorization": true, "cookie": true, "dpop": true}

// Echo is the demo's backend: it answers every request with JSON of the method, path
// and headers that reached it. Credentials are masked, so that showing the answer shows
// no token. It reads no body.
func Echo(w http.ResponseWriter, r *http.Request) {
	e := echoed{Method: r.Method, Path: masked(r.URL.RequestURI()), Headers: map[string][]string{"host": {r.Host}}}
	for name, values := range r.Header {
		name = strings.ToLower(name)
		for _, v := range values {
			if credentialHeaders[name] {
				v = "(masked)"
			} else if !strings.HasPrefix(name, "x-auth-") {
				v = masked(v)
			}
			e.Headers[name] = append(e.Headers[name], v)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(e) // the client has gone if this fails
}

func masked(s string) string { return tokenLike.ReplaceAllString(s, "(masked)") }
