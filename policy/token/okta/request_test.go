package okta_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// canary has characters that form encoding changes, and some that it does not.
const canary = "canary0123456789.abc~d+e/f=="

const asPath = "/oauth2/default"

func parsed(t testing.TB, text string) token.Token {
	t.Helper()
	tok, err := token.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// serve starts an authorization server and returns a client of it.
func serve(t testing.TB, h http.HandlerFunc, change ...func(*okta.Config)) *okta.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return client(t, srv.URL, change...)
}

func client(t testing.TB, url string, change ...func(*okta.Config)) *okta.Client {
	t.Helper()
	c := okta.Config{Issuer: url + asPath, ClientID: "0oaGATEWAY", ClientSecret: "s3cret", Auth: okta.SecretBasic, Timeout: 5 * time.Second}
	for _, f := range change {
		f(&c)
	}
	cl, err := okta.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func timeout(d time.Duration) func(*okta.Config) { return func(c *okta.Config) { c.Timeout = d } }

func writeJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// sent is one request as the server saw it.
type sent struct {
	Method, URI, Body string
	Header            http.Header
}

func TestRequestBytes(t *testing.T) {
	t.Parallel()
	form := "token=canary0123456789.abc~d%2Be%2Ff%3D%3D&token_type_hint=access_token"
	cases := []struct {
		name          string
		change        func(*okta.Config)
		body          string
		authorization []string
	}{
		{"basic", func(*okta.Config) {}, form, []string{"Basic MG9hR0FURVdBWTpzM2NyZXQ="}},
		{
			"basic, encoded", func(c *okta.Config) { c.ClientID, c.ClientSecret = "a:b c", "p%+é/=" },
			form,
			[]string{"Basic YSUzQWIrYzpwJTI1JTJCJUMzJUE5JTJGJTNE"},
		}, // a%3Ab+c:p%25%2B%C3%A9%2F%3D
		{
			"post", func(c *okta.Config) { c.Auth, c.ClientSecret = okta.SecretPost, "p%+&=" },
			"client_id=0oaGATEWAY&client_secret=p%25%2B%26%3D&" + form, nil,
		},
		{"public", func(c *okta.Config) { c.Auth, c.ClientSecret = okta.Public, "" }, "client_id=0oaGATEWAY&" + form, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got sent
			cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got = sent{r.Method, r.RequestURI, string(body), r.Header.Clone()}
				writeJSON(w, 200, `{"active":false}`)
			}, c.change)
			if _, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known); err != nil {
				t.Fatal(err)
			}
			want := sent{"POST", asPath + "/v1/introspect", c.body, http.Header{
				"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "Content-Type": {"application/x-www-form-urlencoded"},
				"User-Agent": {"durward"}, "Content-Length": got.Header["Content-Length"],
			}}
			if c.authorization != nil {
				want.Header["Authorization"] = c.authorization
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCookiesAreNotKept(t *testing.T) {
	t.Parallel()
	cl := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if len(r.Cookies()) > 0 {
			t.Errorf("cookies came back: %v", r.Cookies())
		}
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "1", Path: "/"})
		writeJSON(w, 200, `{"active":false}`)
	})
	for range 2 {
		if _, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known); err != nil {
			t.Fatal(err)
		}
	}
}

// mustFail also holds that no error shows the token.
func mustFail(t testing.TB, got token.Introspection, err error, want token.Failure) {
	t.Helper()
	known, ok := errors.AsType[*token.Error](err)
	if !ok || known.Failure != want {
		t.Errorf("error is %v, want %q", err, want)
	}
	if diff := cmp.Diff(token.Introspection{}, got); diff != "" {
		t.Errorf("an answer beside the error: %s", diff)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), canary) || strings.Contains(e.Error(), "s3cret") {
			t.Errorf("the error shows a secret: %v", e)
		}
	}
}

func TestNewClientRefuses(t *testing.T) {
	t.Parallel()
	key := file(t, pkcs8(t, keys().p256))
	issuer := func(s string) func(*okta.Config) { return func(c *okta.Config) { c.Issuer = s } }
	cases := map[string]func(*okta.Config){
		"zero":                  func(c *okta.Config) { *c = okta.Config{} },
		"no issuer":             issuer(""),
		"issuer without scheme": issuer("example.okta.com/oauth2/default"),
		"issuer without host":   issuer("https:///oauth2/default"),
		"issuer with port only": issuer("https://:443/oauth2/default"),
		"issuer of a file":      issuer("file://example.okta.com/x"),
		"issuer with query":     issuer("https://example.okta.com/oauth2/default?x=1"),
		"issuer, bare query":    issuer("https://example.okta.com/oauth2/default?"),
		"issuer with fragment":  issuer("https://example.okta.com/oauth2/default#x"),
		"issuer with user":      issuer("https://u:p@example.okta.com/oauth2/default"),
		"issuer with slash":     issuer("https://example.okta.com/oauth2/default/"),
		"issuer with newline":   issuer("https://example.okta.com/oauth2/default\n"),
		"no client id":          func(c *okta.Config) { c.ClientID = "" },
		"no method":             func(c *okta.Config) { c.Auth = "" },
		"unknown method":        func(c *okta.Config) { c.Auth = "client_secret_jwt" },
		"key without file":      func(c *okta.Config) { c.Auth, c.ClientSecret = okta.PrivateKeyJWT, "" },
		"key and secret":        func(c *okta.Config) { c.Auth, c.KeyFile = okta.PrivateKeyJWT, key },
		"key and secret file": func(c *okta.Config) {
			c.Auth, c.ClientSecret, c.KeyFile, c.SecretFile = okta.PrivateKeyJWT, "", key, key
		},
		"basic with key":        func(c *okta.Config) { c.KeyFile = key },
		"basic with key id":     func(c *okta.Config) { c.KeyID = "k" },
		"secret and file":       func(c *okta.Config) { c.SecretFile = key },
		"public with file":      func(c *okta.Config) { c.Auth, c.ClientSecret, c.SecretFile = okta.Public, "", key },
		"secret file absent":    func(c *okta.Config) { c.ClientSecret, c.SecretFile = "", "/absent/secret" },
		"CA file absent":        func(c *okta.Config) { c.CAFile = "/absent/ca" },
		"CA file of no CA":      func(c *okta.Config) { c.CAFile = key },
		"CA file, a folder":     func(c *okta.Config) { c.CAFile = "/" },
		"CA file and transport": func(c *okta.Config) { c.CAFile, c.Transport = key, http.DefaultTransport },
		"basic without secret":  func(c *okta.Config) { c.ClientSecret = "" },
		"post without secret":   func(c *okta.Config) { c.Auth, c.ClientSecret = okta.SecretPost, "" },
		"public with secret":    func(c *okta.Config) { c.Auth = okta.Public },
	}
	for name, change := range cases {
		c := okta.Config{Issuer: "https://example.okta.com/oauth2/default", ClientID: "0oaGATEWAY", ClientSecret: "s3cret", Auth: okta.SecretBasic}
		if _, err := okta.NewClient(c); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if cl, err := okta.NewClient(c); err == nil || cl != nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDropConnections: the next request comes over a new one.
func TestDropConnections(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, `{"active":false}`) }))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	cl := client(t, srv.URL)
	ask := func(want int32) {
		t.Helper()
		if _, err := cl.Introspect(t.Context(), parsed(t, canary), token.Known); err != nil {
			t.Fatal(err)
		}
		if got := opened.Load(); got != want {
			t.Errorf("%d connections, want %d", got, want)
		}
	}
	ask(1)
	ask(1)
	cl.DropConnections()
	ask(2)
}
