package okta_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/oktatest"
	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

const (
	discoveryPath = asPath + "/.well-known/openid-configuration"
	keysPath      = asPath + "/v1/keys"
	someKeys      = `{"keys":[]}`
)

func TestKeysOfOkta(t *testing.T) {
	t.Parallel()
	org := oktatest.New(t)
	cl := orgClient(t, org, okta.SecretBasic, "")
	document, lifetime, noCache, err := cl.FetchKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o, err := token.ParseObject(document)
	if err != nil || o["keys"].Kind() != '[' || lifetime <= 0 || noCache {
		t.Errorf("%v: %s, %s, %t", err, document, lifetime, noCache)
	}
}

// server is an authorization server of documents.
type server struct {
	metadata func(w http.ResponseWriter, base string)
	keys     http.HandlerFunc
	asked    atomic.Int32
}

// fetch asks it for keys.
func (s *server) fetch(t *testing.T) (document []byte, lifetime time.Duration, noCache bool, err error) {
	t.Helper()
	cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case discoveryPath:
			s.metadata(w, "http://"+r.Host)
		case keysPath:
			s.asked.Add(1)
			if s.keys != nil {
				s.keys(w, r)
				return
			}
			writeJSON(w, 200, someKeys)
		default:
			t.Errorf("asked %s %s", r.Method, r.URL)
		}
	}, func(c *okta.Config) {
		c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if !strings.HasPrefix(c.Issuer, r.URL.Scheme+"://"+r.URL.Host+"/") {
				t.Errorf("%s was sent a request", r.URL)
			}
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	return cl.FetchKeys(t.Context())
}

func goodMetadata(w http.ResponseWriter, base string) {
	writeJSON(w, 200, fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, base+asPath, base+keysPath))
}

// TestT38 (T38): metadata that names another issuer or keys elsewhere sends no request
// anywhere.
func TestT38(t *testing.T) {
	t.Parallel()
	text := func(format string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, base string) {
			writeJSON(w, 200, strings.NewReplacer("BASE", base, "HOST", strings.TrimPrefix(base, "http://")).Replace(format))
		}
	}
	const iss = `{"issuer":"BASE/oauth2/default",`
	cases := map[string]func(http.ResponseWriter, string){
		"other issuer":          text(`{"issuer":"https://evil.example/oauth2/default","jwks_uri":"BASE` + keysPath + `"}`),
		"issuer with slash":     text(`{"issuer":"BASE/oauth2/default/","jwks_uri":"BASE` + keysPath + `"}`),
		"no issuer":             text(`{"jwks_uri":"BASE` + keysPath + `"}`),
		"two issuers":           text(iss + `"issuer":"BASE/oauth2/default","jwks_uri":"BASE` + keysPath + `"}`),
		"keys on another host":  text(iss + `"jwks_uri":"http://evil.example` + keysPath + `"}`),
		"keys on another port":  text(iss + `"jwks_uri":"http://127.0.0.1:1` + keysPath + `"}`),
		"keys by another name":  text(iss + `"jwks_uri":"http://localhost` + keysPath + `"}`),
		"link-local keys":       text(iss + `"jwks_uri":"http://169.254.169.254/latest"}`),
		"other scheme":          text(iss + `"jwks_uri":"https://HOST` + keysPath + `"}`),
		"keys in a file":        text(iss + `"jwks_uri":"file:///etc/passwd"}`),
		"keys with a user":      text(iss + `"jwks_uri":"http://u:p@HOST` + keysPath + `"}`),
		"keys with a fragment":  text(iss + `"jwks_uri":"BASE` + keysPath + `#x"}`),
		"keys without a scheme": text(iss + `"jwks_uri":"//HOST` + keysPath + `"}`),
		"no keys":               text(iss + `"jwks_uri":""}`),
		"keys a list":           text(iss + `"jwks_uri":["BASE` + keysPath + `"]}`),
		"two jwks_uri":          text(iss + `"jwks_uri":"BASE` + keysPath + `","JWKS_URI":"BASE` + keysPath + `"}`),
		"not JSON":              text("<html>"),
		"too large":             text(iss + `"jwks_uri":"BASE` + keysPath + `","x":"` + strings.Repeat("x", 1<<20) + `"}`),
		"500":                   func(w http.ResponseWriter, _ string) { writeJSON(w, 500, strings.Repeat("x", 1<<10)) },
		"redirect": func(w http.ResponseWriter, base string) {
			w.Header().Set("Location", base+"/elsewhere")
			w.WriteHeader(302)
		},
	}
	for name, metadata := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{metadata: metadata}
			document, _, _, err := s.fetch(t)
			if err == nil || document != nil || s.asked.Load() != 0 || len(err.Error()) > 1000 {
				t.Errorf("%s, asked %d times: %v", document, s.asked.Load(), err)
			}
		})
	}
}

// TestKeyDocuments (T37): what is no document of keys is refused, whatever is in it.
func TestKeyDocuments(t *testing.T) {
	t.Parallel()
	body := func(contentType string, status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		}
	}
	for name, c := range map[string]struct {
		keys http.HandlerFunc
		ok   bool
	}{
		"JSON":       {body("application/json", 200, someKeys), true},
		"JWK set":    {body("application/jwk-set+json; charset=utf-8", 200, someKeys), true},
		"1 MiB":      {body("application/json", 200, strings.Repeat(" ", 1<<20)), true},
		"over 1 MiB": {body("application/json", 200, strings.Repeat(" ", 1<<20+1)), false},
		"HTML":       {body("text/html", 200, someKeys), false},
		"no type":    {body("", 200, someKeys), false},
		"203":        {body("application/json", 203, someKeys), false},
		"304":        {body("application/json", 304, ""), false},
		"404":        {body("application/json", 404, someKeys), false},
		"T43 moved":  {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", "/x"); w.WriteHeader(307) }, false},
		"F11 cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			writeJSON(w, 200, someKeys)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{metadata: goodMetadata, keys: c.keys}
			document, _, _, err := s.fetch(t)
			if (err == nil) != c.ok || (document != nil) != c.ok {
				t.Errorf("%d bytes, %v", len(document), err)
			}
		})
	}
}

func TestCacheControl(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	for _, c := range []struct {
		header   []string
		lifetime time.Duration
		noCache  bool
	}{
		{nil, 0, false},
		{[]string{"max-age=3832304, must-revalidate"}, 3832304 * time.Second, false},
		{[]string{"must-revalidate", "max-age=60"}, time.Minute, false},
		{[]string{"Max-Age=60"}, time.Minute, false},
		{[]string{`max-age="60"`}, time.Minute, false},
		{[]string{"max-age=60, max-age=30"}, 30 * time.Second, false},
		{[]string{"max-age=0"}, 0, true},
		{[]string{"max-age=-1"}, 0, false},
		{[]string{"max-age=soon"}, 0, false},
		{[]string{"max-age"}, 0, false},
		{[]string{"max-age=9223372036854775807"}, year, false},
		{[]string{"max-age=99999999999999999999"}, 0, false},
		{[]string{"s-maxage=60"}, 0, false},
		{[]string{"no-cache"}, 0, true},
		{[]string{"no-store, max-age=60"}, time.Minute, true},
		{[]string{"NO-CACHE, no-store"}, 0, true},
		{[]string{`no-cache="set-cookie"`}, 0, true},
	} {
		s := &server{metadata: goodMetadata, keys: func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Cache-Control"] = c.header
			writeJSON(w, 200, someKeys)
		}}
		_, lifetime, noCache, err := s.fetch(t)
		if err != nil || lifetime != c.lifetime || noCache != c.noCache {
			t.Errorf("%q: %s, %t, %v", c.header, lifetime, noCache, err)
		}
	}
}

// TestKeysMove: discovery is asked once, and again when the keys are not there any more.
func TestKeysMove(t *testing.T) {
	t.Parallel()
	var discovered atomic.Int32
	var path atomic.Value
	path.Store("/a")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case discoveryPath:
			discovered.Add(1)
			writeJSON(w, 200, fmt.Sprintf(`{"issuer":"http://%s","jwks_uri":"http://%s%s"}`, r.Host+asPath, r.Host, path.Load()))
		case path.Load():
			writeJSON(w, 200, someKeys)
		default:
			writeJSON(w, 404, `{}`)
		}
	}))
	defer srv.Close()
	cl := client(t, srv.URL)
	fetch := func(ok bool, asked int32) {
		t.Helper()
		if _, _, _, err := cl.FetchKeys(t.Context()); (err == nil) != ok || discovered.Load() != asked {
			t.Errorf("%v, discovery was asked %d times", err, discovered.Load())
		}
	}
	fetch(true, 1)
	fetch(true, 1)
	path.Store("/b")
	fetch(false, 1)
	fetch(true, 2)
}

// TestKeysInTime: a server that says nothing holds nobody up for more than 5 s, however
// short the time for a check is.
func TestKeysInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := client(t, "https://example.okta.com", timeout(time.Millisecond), func(c *okta.Config) { c.Transport = roundTrip(silent) })
		start := time.Now()
		_, _, _, err := cl.FetchKeys(t.Context())
		if took := time.Since(start); err == nil || took != 5*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		_, _, _, err = cl.FetchKeys(ctx)
		if took := time.Since(start); err == nil || took != time.Second {
			t.Errorf("%v after %s", err, took)
		}
	})
}
