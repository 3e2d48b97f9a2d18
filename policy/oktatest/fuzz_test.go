package oktatest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/durward/durward/policy/oktatest"
)

func fuzzServer(f *testing.F) *oktatest.Server {
	f.Helper()
	cfg := oktatest.DefaultConfig()
	cfg.BaseURL = "http://127.0.0.1:8090"
	s, err := oktatest.NewServer(cfg)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

func fuzzRequest(method, path, query, body string) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1:8090/oauth2/default/v1/"+path, strings.NewReader(body))
	r.URL.RawQuery = query
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// FuzzAuthorize holds that no request, by query or form, redirects anywhere but
// to a registered URI, byte for byte.
func FuzzAuthorize(f *testing.F) {
	s := fuzzServer(f)
	registered := s.Client("mobile").RedirectURIs
	f.Add(authorizeParams().Encode(), "")
	f.Add("", with(authorizeParams(), "username", "alice@example.com", "password", "x").Encode())
	f.Add(with(authorizeParams(), "redirect_uri", seedRedirect+"?a=b", "prompt", "none").Encode(), "")
	f.Add(with(authorizeParams(), "prompt", "none").Encode()+"&redirect_uri=https://evil.example", "")
	f.Add(with(authorizeParams(), "scope", "openid\r\nx: y", "state", "a\r\nb").Encode(), "%zz=&;")
	f.Fuzz(func(t *testing.T, query, body string) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, fuzzRequest(method, "authorize", query, body))
			location, redirected := w.Header()["Location"]
			if !redirected {
				continue
			}
			target, _, _ := strings.Cut(location[0], "?")
			if len(location) != 1 || !slices.Contains(registered, target) || strings.ContainsAny(location[0], "\r\n") {
				t.Errorf("%s %q %q redirects to %q", method, query, body, location)
			}
		}
	})
}

// FuzzIntrospect holds that no request made of junk finds a token active, and
// that each gets one JSON object.
func FuzzIntrospect(f *testing.F) {
	s := fuzzServer(f)
	f.Add("", "token=x&client_id="+seedClient, "")
	f.Add("client_id="+seedClient, "token=x", "Basic Og==")
	f.Add("client_secret=x", "token=x&token=y", "Basic "+strings.Repeat("A", 100))
	f.Add("%", "client_assertion=a&client_assertion_type=b", "Bearer x")
	f.Fuzz(func(t *testing.T, query, body, authorization string) {
		r := fuzzRequest(http.MethodPost, "introspect", query, body)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		var reply map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		if reply["active"] == true || w.Code >= 500 || (w.Code == http.StatusOK) != (reply["active"] == false) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// FuzzProof holds that no DPoP header made without the server's nonce gets a token, and
// that each is refused as one.
func FuzzProof(f *testing.F) {
	s := fuzzServer(f)
	gateway := s.Client("gateway")
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"orders.read"}, "client_id": {gateway.ID}, "client_secret": {gateway.Secret}}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}}`))
	f.Add(header + ".e30.AAAA")
	f.Add("..")
	f.Add("e30.e30.")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`)) + ".e30.AAAA")
	f.Fuzz(func(t *testing.T, proof string) {
		r := fuzzRequest(http.MethodPost, "token", "", form.Encode())
		r.Header["Dpop"] = []string{proof}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		var reply struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil || w.Code != http.StatusBadRequest ||
			reply.Error != "invalid_dpop_proof" && reply.Error != "use_dpop_nonce" {
			t.Errorf("%d %s, %v", w.Code, w.Body, err)
		}
	})
}
