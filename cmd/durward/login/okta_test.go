package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

// What Okta refuses at the authorize endpoint comes with its words and what helps.
func TestOktaRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		// code and text are what Okta redirects with; none for what it does by itself.
		code, text string
		prepare    func(w *world)
		kind       error
		says       []string
	}{
		"policy": {
			code: "access_denied", text: "Policy evaluation failed for this request, please check the policy configurations.",
			says: []string{"access_denied: Policy evaluation failed", "Access Policies", "The `default` server of a new org has none"},
		},
		"assignment": {code: "access_denied", text: "User is not assigned to the client application.", says: []string{"assign the person"}},
		"scope": {
			prepare: func(w *world) { w.Scopes = []string{"orders.delete"} },
			says:    []string{"invalid_scope: One or more scopes are not configured", "declare openid offline_access orders.delete", "--scope"},
		},
		"no refresh grant": {
			code: "invalid_scope", text: "The following scopes are not allowed for this request: [offline_access].",
			says: []string{"tick Refresh Token", "--no-refresh"},
		},
		"grant type": {
			code: "unauthorized_client", text: "The client is not authorized to use the provided grant type.",
			says: []string{"tick Authorization Code"},
		},
		"overload": {code: "temporarily_unavailable", text: "Later.", kind: ErrUnreachable, says: []string{"temporarily_unavailable: Later."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tt.prepare != nil {
				tt.prepare(w)
			}
			if tt.code != "" {
				w.okta.Respond(oktatest.Authorize, refusal(tt.code, tt.text))
			}
			alice := newPerson(t)
			w.Browser = alice.signIn
			_, err := Login(t.Context(), w.Options)
			<-alice.done
			says(t, err, tt.kind, append(tt.says, "okta refuses: ")...)
			var refused *OAuthError
			if !errors.As(err, &refused) || tt.kind == nil && errors.Is(err, ErrUnreachable) {
				t.Errorf("the error is %#v", err)
			}
			if alice.last.status != http.StatusBadRequest || !strings.Contains(alice.last.body, refused.Code) || !strings.Contains(alice.last.body, "Nobody was signed in to mobile") {
				t.Errorf("the page is %d %s", alice.last.status, alice.last.body)
			}
			w.nobodyListens(t)
			w.isEmpty(t)
		})
	}
}

func refusal(code, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := url.Values{"error": {code}, "error_description": {text}, "state": {r.FormValue("state")}}
		http.Redirect(w, r, r.FormValue("redirect_uri")+"?"+q.Encode(), http.StatusFound)
	})
}

// A redirect URI that is not registered is said by Okta in the browser alone.
func TestUnregisteredRedirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *oktatest.Config) { c.Clients[0].RedirectURIs = []string{"https://example.com/"} })
	w.Timeout = time.Second
	alice := newPerson(t)
	w.Browser = alice.signIn
	_, err := Login(t.Context(), w.Options)
	<-alice.done
	says(t, err, nil, "if Okta showed an error about redirect_uri, register "+w.redirectURIs()[0]+" and "+w.redirectURIs()[1])
	if alice.last.status != http.StatusBadRequest {
		t.Errorf("okta answers %d", alice.last.status)
	}
	if got := hint("invalid_grant", "The 'redirect_uri' does not match.", w.Options); !strings.Contains(got, w.redirectURIs()[1]) {
		t.Errorf("the hint is %q", got)
	}
}

// A dead Okta is an ErrUnreachable, whenever it dies.
func TestDeadOkta(t *testing.T) {
	t.Parallel()
	broken := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	for name, die := range map[string]func(w *world) error{
		"host":       func(w *world) error { return w.okta.Down() },
		"metadata":   func(w *world) error { w.okta.Respond(oktatest.Metadata, broken(502)); return nil },
		"token":      func(w *world) error { w.okta.Respond(oktatest.Token, broken(503)); return nil },
		"rate limit": func(w *world) error { w.okta.Respond(oktatest.Token, broken(429)); return nil },
		"keys":       func(w *world) error { w.okta.Respond(oktatest.Keys, broken(500)); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if err := die(w); err != nil {
				t.Fatal(err)
			}
			alice := newPerson(t)
			w.Browser = alice.signIn
			_, err := Login(t.Context(), w.Options)
			says(t, err, ErrUnreachable)
			if name != "host" && name != "metadata" {
				<-alice.done
			}
			w.nobodyListens(t)
			w.isEmpty(t)
		})
	}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	long := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-long
		case "/drip":
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
			<-long
		case "/large":
			_, _ = io.CopyN(w, zeroes{}, maxReply+1)
		case "/elsewhere":
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		case "/there":
			t.Error("a redirect was followed")
		}
	}))
	defer server.Close()
	defer close(long)
	client := newHTTPClient()
	client.Transport = transport{&http.Transport{DisableKeepAlives: true}, 100 * time.Millisecond}
	for path, kind := range map[string]error{"/slow": ErrUnreachable, "/drip": ErrUnreachable, "/large": nil} {
		_, err := client.Get(server.URL + path)
		says(t, err, kind)
		if kind == nil && errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if res, err := client.Get(server.URL + "/elsewhere"); err != nil || res.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("redirect: %v %v", res, err)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Metadata cannot send us, or the browser, to another host.
func TestForeignEndpoints(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "revocation_endpoint", "issuer"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			issuer := w.okta.Issuer("default")
			metadata := map[string]string{
				"issuer": issuer, "authorization_endpoint": issuer + "/v1/authorize", "token_endpoint": issuer + "/v1/token",
				"jwks_uri": issuer + "/v1/keys", "revocation_endpoint": issuer + "/v1/revoke",
			}
			metadata[name] = "http://169.254.169.254/"
			w.okta.Respond(oktatest.Metadata, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(metadata)
			}))
			w.Browser = func(string) error { t.Error("a browser was opened"); return nil }
			_, err := Login(t.Context(), w.Options)
			says(t, err, nil, "the metadata of "+issuer, "169.254.169.254")
			w.nobodyListens(t)
		})
	}
}

// between puts an editor of the token endpoint's replies before the world's Okta.
func (w *world) between(t *testing.T, edit func(reply map[string]any)) {
	t.Helper()
	config := oktatest.DefaultConfig()
	config.Clients[0].RedirectURIs = w.redirectURIs()
	front := httptest.NewUnstartedServer(nil)
	config.BaseURL = "http://" + front.Listener.Addr().String()
	okta, err := oktatest.NewServer(config)
	if err != nil {
		t.Fatal(err)
	}
	front.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/v1/token") {
			okta.ServeHTTP(rw, r)
			return
		}
		rec := httptest.NewRecorder()
		okta.ServeHTTP(rec, r)
		if rec.Code != http.StatusOK {
			maps.Copy(rw.Header(), rec.Header())
			rw.WriteHeader(rec.Code)
			_, _ = rw.Write(rec.Body.Bytes())
			return
		}
		var reply map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &reply); err != nil {
			t.Error(err)
		}
		edit(reply)
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(reply)
	})
	front.Start()
	t.Cleanup(front.Close)
	w.okta = okta
	w.Target = target(t, shop(t, okta.Issuer("default")), "mobile")
}

// Replies that Okta never sends store nothing, and no part of them is shown.
func TestHostileReplies(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(reply map[string]any)
		says string
	}{
		"no id token":        {func(r map[string]any) { delete(r, "id_token") }, "okta's ID token: there is none"},
		"other access token": {func(r map[string]any) { r["access_token"] = "another-access-token" }, "at_hash"},
		"broken signature":   {func(r map[string]any) { id := r["id_token"].(string); r["id_token"] = id[:len(id)-8] + "AAAAAAAA" }, "failed to verify signature"},
		"access token as id": {func(r map[string]any) { r["id_token"] = r["access_token"] }, "audience"},
		"DPoP":               {func(r map[string]any) { r["token_type"] = "DPoP" }, "fix: sign in with --dpop"},
		"other type":         {func(r map[string]any) { r["token_type"] = "mac" }, `type "MAC", not Bearer`},
		"no expiry":          {func(r map[string]any) { delete(r, "expires_in") }, "does not say when"},
		"control characters": {func(r map[string]any) { r["access_token"] = "split\r\nX-Header: y" }, "okta's access token"},
		"refresh blanks":     {func(r map[string]any) { r["refresh_token"] = "two words" }, "okta's refresh token"},
		"no access token":    {func(r map[string]any) { delete(r, "access_token") }, "access_token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var seen []string
			w.between(t, func(reply map[string]any) {
				for _, key := range []string{"access_token", "id_token", "refresh_token"} {
					seen = append(seen, reply[key].(string))
				}
				tt.edit(reply)
			})
			w.Steps = true
			alice := newPerson(t)
			w.Browser = alice.signIn
			_, err := Login(t.Context(), w.Options)
			<-alice.done
			says(t, err, nil, tt.says)
			if errors.Is(err, ErrUnreachable) {
				t.Error("it passes for a dead okta")
			}
			code := alice.callback.Load().Query().Get("code")
			holdsNone(t, "the output", w.out.String()+err.Error(), append(seen, code)...)
			if alice.last.status != http.StatusBadRequest {
				t.Errorf("the page says %d", alice.last.status)
			}
			w.isEmpty(t)
		})
	}
}

// An ID token of another login is refused: the browser asked with another nonce.
func TestForeignNonce(t *testing.T) {
	t.Parallel()
	for name, nonce := range map[string]string{"other": "another", "none": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			alice := newPerson(t)
			w.Browser = func(address string) error {
				u, err := url.Parse(address)
				if err != nil {
					return err
				}
				q := u.Query()
				q.Set("nonce", nonce)
				u.RawQuery = q.Encode()
				return alice.signIn(u.String())
			}
			_, err := Login(t.Context(), w.Options)
			<-alice.done
			says(t, err, nil, "its nonce is not the one of this login")
			w.isEmpty(t)
		})
	}
}

// A server that repeats what it was sent does not make us show it.
func TestEchoedSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var sent []string
	w.okta.Respond(oktatest.Token, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.FormValue("code"), r.FormValue("code_verifier"))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"error":"invalid_grant","error_description":"no %s"}`, strings.Join(sent, " "))
	}))
	alice := newPerson(t)
	w.Browser = alice.signIn
	_, err := Login(t.Context(), w.Options)
	<-alice.done
	says(t, err, nil, "invalid_grant: no [removed] [removed]")
	holdsNone(t, "error and page", err.Error()+alice.last.body+w.out.String(), slices.Compact(sent)...)
}
