package okta_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// BenchmarkIntrospect compares a question with the least that anybody could do: one POST
// with a deadline and one parse.
func BenchmarkIntrospect(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		writeJSON(w, 200, activeJSON("https://example.okta.com/oauth2/default", ""))
	}))
	defer srv.Close()
	b.Run("bare", func(b *testing.B) {
		client := &http.Client{Timeout: time.Second}
		form := url.Values{"token": {canary}, "token_type_hint": {"access_token"}}
		for b.Loop() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, srv.URL+asPath+"/v1/introspect", strings.NewReader(form.Encode()))
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.SetBasicAuth("0oaGATEWAY", "s3cret")
			res, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			var answer struct {
				Active   bool   `json:"active"`
				Issuer   string `json:"iss"`
				Subject  string `json:"sub"`
				Audience string `json:"aud"`
				Scope    string `json:"scope"`
				ClientID string `json:"client_id"`
				UserID   string `json:"uid"`
				TokenID  string `json:"jti"`
				Expires  int64  `json:"exp"`
				IssuedAt int64  `json:"iat"`
			}
			if err != nil || json.Unmarshal(body, &answer) != nil || !answer.Active {
				b.Fatalf("%v: %s", err, body)
			}
		}
	})
	b.Run("introspect", func(b *testing.B) {
		budget := unlimited(b)
		cl := client(b, srv.URL, func(c *okta.Config) { c.Budget = budget })
		tok := parsed(b, canary)
		for b.Loop() {
			got, err := cl.Introspect(b.Context(), tok, token.Known)
			if err != nil || !got.Active {
				b.Fatal(err)
			}
		}
	})
}
