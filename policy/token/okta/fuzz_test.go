package okta_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// roundTrip answers without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// FuzzIntrospect: whatever the answer, the token is active only where a second and
// simpler reading finds a plain 200 of JSON that begins its one object with that word.
func FuzzIntrospect(f *testing.F) {
	f.Add(200, "application/json", []byte(activeJSON("x", "")))
	f.Add(200, "application/json;charset=UTF-8", []byte(`{"active":false}`))
	f.Add(200, "application/json", []byte(`{"active":true,"active":true}`))
	f.Add(200, "application/json", []byte(`{"Active":true}`))
	f.Add(200, "text/html", []byte(`{"active":true}`))
	f.Add(500, "application/json", []byte(`{"active":true}`))
	f.Add(429, "", []byte{})
	tok := parsed(f, canary)
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		cl, err := okta.NewClient(okta.Config{
			Issuer: "https://example.okta.com/oauth2/default", ClientID: "0oaGATEWAY", ClientSecret: "s3cret", Auth: okta.SecretBasic,
			Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(body))}, nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := cl.Introspect(context.Background(), tok, token.Known)
		if _, ok := errors.AsType[*token.Error](err); err != nil && !ok {
			t.Fatalf("%T: %v", err, err)
		}
		if got.Active && !plainlyActive(status, contentType, body) {
			t.Fatalf("active: %d %q %q", status, contentType, body)
		}
		if err == nil && status != 200 {
			t.Fatalf("a verdict from status %d", status)
		}
	})
}
