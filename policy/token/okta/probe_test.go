package okta_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		status int
		body   func(issuer string) string
		ok     bool
	}{
		{"good", 200, func(iss string) string { return `{"issuer":"` + iss + `","x":1}` }, true},
		{"other issuer", 200, func(iss string) string { return `{"issuer":"` + iss + `/"}` }, false},
		{"long issuer", 200, func(iss string) string { return `{"issuer":"` + strings.Repeat("x", 60<<10) + `"}` }, false},
		{"no issuer", 200, func(string) string { return `{}` }, false},
		{"issuer a list", 200, func(iss string) string { return `{"issuer":["` + iss + `"]}` }, false},
		{"duplicate", 200, func(iss string) string { return `{"issuer":"` + iss + `","issuer":"` + iss + `"}` }, false},
		{"HTML", 200, func(string) string { return `<html>` }, false},
		{"404", 404, func(iss string) string { return `{"issuer":"` + iss + `"}` }, false},
		{"500", 500, func(iss string) string { return `{"issuer":"` + iss + `"}` }, false},
		{"too large", 200, func(iss string) string { return `{"issuer":"` + iss + `"}` + strings.Repeat(" ", 64<<10) }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if want := asPath + "/.well-known/oauth-authorization-server"; r.Method != "GET" || r.URL.Path != want || r.Header.Get("Authorization") != "" {
					t.Errorf("asked %s %s, authorization %q", r.Method, r.URL.Path, r.Header.Get("Authorization"))
				}
				writeJSON(w, c.status, c.body("http://"+r.Host+asPath))
			}))
			defer srv.Close()
			err := client(t, srv.URL).Probe(t.Context())
			if (err == nil) != c.ok {
				t.Error(err)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		cl := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, timeout(50*time.Millisecond))
		if cl.Probe(t.Context()) == nil {
			t.Error("silence passes for metadata")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if cl.Probe(ctx) == nil {
			t.Error("a cancelled probe passes")
		}
	})
}
