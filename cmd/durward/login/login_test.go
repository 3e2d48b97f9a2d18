package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/oktatest"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, alice := w.signIn(t)
	w.nobodyListens(t)

	path, f := w.stored(t)
	if one.User != "alice@example.com" || one.Application != "retail/mobile" || time.Until(one.Expiry) < 55*time.Minute {
		t.Errorf("the session is %+v", one)
	}
	want := []string{"offline_access", "openid", "orders.read", "orders.write"}
	if diff := cmp.Diff(want, one.Scopes); diff != "" {
		t.Error(diff)
	}
	for name, mode := range map[string]fs.FileMode{w.dir: 0o700 | fs.ModeDir, path: 0o600} {
		if stat, err := os.Stat(name); err != nil || stat.Mode() != mode {
			t.Errorf("%s: %v %v, want %v", name, stat.Mode(), err, mode)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(w.dir, "new-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if !w.isActive(t, f.AccessToken) {
		t.Error("okta does not know the stored token")
	}
	req := &http.Request{Header: http.Header{}}
	if err := one.Authorize(req); err != nil || req.Header.Get("Authorization") != "Bearer "+f.AccessToken || len(req.Header) != 1 {
		t.Errorf("the header has another token than the store, or more: %v", err)
	}
	for _, part := range []string{"<strong>alice@example.com</strong> is signed in to <strong>mobile</strong>", "You may close this tab.", `datetime="` + one.Expiry.UTC().Format("2006-01-02T15:04:05Z")} {
		if !strings.Contains(alice.last.body, part) {
			t.Errorf("the page has no %q:\n%s", part, alice.last.body)
		}
	}
	if !strings.Contains(w.out.String(), w.okta.Issuer("default")+"/v1/authorize?") {
		t.Errorf("the address is not printed:\n%s", w.out)
	}
	code := alice.callback.Load().Query().Get("code")
	holdsNone(t, "the output", w.out.String(), code, f.AccessToken, f.RefreshToken)
	holdsNone(t, "the page", alice.last.body, code, f.AccessToken, f.RefreshToken, alice.callback.Load().Query().Get("state"))
}

// Pages say nothing to caches, frames and other sites, and run no script but their own.
func TestPageHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, alice := w.signIn(t)
	h := alice.last.header
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		"X-Frame-Options": "DENY", "Content-Type": "text/html; charset=utf-8",
	} {
		if h.Get(name) != want {
			t.Errorf("%s is %q", name, h.Get(name))
		}
	}
	policy := h.Get("Content-Security-Policy")
	nonce := regexp.MustCompile(`script-src 'nonce-([A-Z0-9]{20,})';`).FindStringSubmatch(policy)
	if nonce == nil || !strings.HasPrefix(policy, "default-src 'none';") || strings.Count(alice.last.body, `nonce="`+nonce[1]+`"`) != 2 {
		t.Errorf("the policy is %q", policy)
	}
}

var printedVerifier = regexp.MustCompile(`code_verifier = (\S+)\n`)

// The steps have the real values, and none of those that let somebody in.
func TestSteps(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"mobile", "web"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Steps = true
			secrets := []string{}
			if name == "web" {
				w.Target.ClientID, w.SecretFile = web, w.secretFile(t, w.okta.Client("web").Secret)
				secrets = append(secrets, w.okta.Client("web").Secret)
			}
			_, alice := w.signIn(t)
			out := w.out.String()
			_, f := w.stored(t)
			holdsNone(t, "the steps", out, append(secrets, f.AccessToken, f.RefreshToken, alice.callback.Load().Query().Get("code"))...)
			if strings.Contains(out, "eyJ") {
				t.Error("the steps hold what looks like a token")
			}
			verifier := printedVerifier.FindStringSubmatch(out)
			if verifier == nil {
				t.Fatalf("no verifier:\n%s", out)
			}
			sum := sha256.Sum256([]byte(verifier[1]))
			challenge := base64.RawURLEncoding.EncodeToString(sum[:])
			state := alice.callback.Load().Query().Get("state")
			for _, part := range []string{
				"code_challenge = " + challenge + "\n", "&code_challenge=" + challenge + "&", "&state=" + state,
				"redirect_uri          = " + w.redirectURIs()[0], "POST " + w.okta.Issuer("default") + "/v1/token",
				"code          = <43 characters, sha256 ", "refresh_token = <43 characters", "sub   = " + w.okta.User("alice@example.com").ID,
			} {
				if !strings.Contains(out, part) {
					t.Errorf("the steps have no %q:\n%s", part, out)
				}
			}
			if basic := strings.Contains(out, "Authorization: Basic"); basic != (name == "web") {
				t.Errorf("client authentication: %t", basic)
			}
		})
	}
}

func (w *world) secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfidentialClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Target.ClientID, w.SecretFile = web, w.secretFile(t, w.okta.Client("web").Secret)
	w.signIn(t)
	w.rewrite(t, func(f *file) { f.ExpiresAt = time.Now() })
	app, err := Application(shop(t, w.okta.Issuer("default")), "web")
	if err != nil {
		t.Fatal(err)
	}
	one, err := w.Store.Session(t.Context(), app, w.okta.Issuer("default"))
	if err != nil || !one.fresh() {
		t.Fatalf("renew: %v", err)
	}
	if err := w.Store.Logout(t.Context(), one); err != nil {
		t.Error(err)
	}

	w.SecretFile = w.secretFile(t, "another-secret")
	alice := newPerson(t)
	w.Browser = alice.signIn
	_, err = Login(t.Context(), w.Options)
	says(t, err, nil, "okta refuses: invalid_client", "the secret in "+w.SecretFile)
	holdsNone(t, "the error", err.Error(), "another-secret")
	<-alice.done

	// The secret is in the header alone (client_secret_basic).
	basic := make(chan bool, 1)
	w.okta.Respond(oktatest.Token, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		id, secret, ok := r.BasicAuth()
		basic <- ok && id == web && secret == "another-secret" && r.PostFormValue("client_secret") == "" && r.PostFormValue("code_verifier") != ""
		rw.WriteHeader(http.StatusBadRequest)
	}))
	alice = newPerson(t)
	w.Browser = alice.signIn
	_, err = Login(t.Context(), w.Options)
	<-alice.done
	says(t, err, nil, "okta's token endpoint answers 400 Bad Request")
	if !<-basic {
		t.Error("the client does not authenticate by client_secret_basic")
	}

	if err := os.Chmod(w.SecretFile, 0o622); err != nil {
		t.Fatal(err)
	}
	_, err = Login(t.Context(), w.Options)
	says(t, err, nil, "others can read or write "+w.SecretFile)
}

func TestBusyPorts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var taken []net.Listener
	take := func(port int) {
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, l)
		t.Cleanup(func() { _ = l.Close() })
	}
	us := "another program"
	if _, err := os.Stat("/proc/net/tcp"); err == nil {
		us = "(pid " + strconv.Itoa(os.Getpid()) + ")"
	}
	take(w.Ports[0])
	_, alice := w.signIn(t)
	if got := alice.callback.Load().Port(); got != strconv.Itoa(w.Ports[1]) {
		t.Errorf("the callback came to port %s", got)
	}
	line, _, _ := strings.Cut(w.out.String(), "\n")
	if !strings.HasPrefix(line, "port "+strconv.Itoa(w.Ports[0])+" is in use by ") || !strings.HasSuffix(line, us+"; using "+strconv.Itoa(w.Ports[1])) {
		t.Errorf("it says %q", line)
	}

	take(w.Ports[1])
	w.Force = true
	_, err := Login(t.Context(), w.Options)
	says(t, err, nil, "no port is free", strconv.Itoa(w.Ports[0])+" is in use by", strconv.Itoa(w.Ports[1])+" is in use by", us, "fix: ")
	if strings.Count(err.Error(), us) != 2 {
		t.Errorf("both owners are not named: %v", err)
	}
	for _, l := range taken {
		_ = l.Close()
	}
}

// Two logins at once use both ports, and do not take each other's answer.
func TestSecondLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := newPerson(t), newPerson(t)
	ended := make(chan error, 1)
	w.Browser = func(address string) error {
		other := w.Options
		other.Force, other.Browser, other.Store = true, second.signIn, NewStore(t.TempDir())
		go func() {
			_, err := Login(t.Context(), other)
			ended <- err
		}()
		<-second.done
		return first.signIn(address)
	}
	if _, err := Login(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	<-first.done
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if a, b := first.callback.Load().Port(), second.callback.Load().Port(); a != strconv.Itoa(w.Ports[0]) || b != strconv.Itoa(w.Ports[1]) {
		t.Errorf("ports %s and %s", a, b)
	}
	w.nobodyListens(t)
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Timeout = 30 * time.Millisecond
	_, err := Login(t.Context(), w.Options)
	says(t, err, nil, "no answer from the browser within 30ms", "redirect_uri", w.redirectURIs()[0], w.redirectURIs()[1])
	w.nobodyListens(t)
	w.isEmpty(t)
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.Browser = func(string) error { cancel(); return nil }
	_, err := Login(ctx, w.Options)
	says(t, err, context.Canceled, "interrupted")
	w.nobodyListens(t)

	alice := newPerson(t)
	ctx, cancel = context.WithCancel(t.Context())
	w.Browser = alice.signIn
	over := make(chan struct{})
	w.okta.Respond(oktatest.Token, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		<-over
	}))
	_, err = Login(ctx, w.Options)
	close(over)
	<-alice.done
	says(t, err, context.Canceled)
	if errors.Is(err, ErrUnreachable) {
		t.Error("an interrupt passes for a dead okta")
	}
	w.nobodyListens(t)
}

// A browser that cannot be opened is said, and does not end the login.
func TestNoBrowserToOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := newPerson(t)
	w.Browser = func(address string) error {
		time.AfterFunc(50*time.Millisecond, func() { _ = alice.signIn(address) })
		return errors.New("no \x1b[31mdisplay")
	}
	if _, err := Login(t.Context(), w.Options); err != nil {
		t.Fatal(err)
	}
	<-alice.done
	if !strings.Contains(w.out.String(), "no browser could be opened (no  [31mdisplay); open the address yourself\n") {
		t.Errorf("it says %q", w.out)
	}
}

// On a terminal the wait is a line that goes away; elsewhere one that stays.
func TestCountdown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn(t)
	if !strings.Contains(w.out.String(), "waiting for the browser, up to 20s\n") || strings.Contains(w.out.String(), "\x1b") {
		t.Errorf("elsewhere: %q", w.out)
	}
	w.Terminal, w.Force = true, true
	w.signIn(t)
	if !strings.Contains(w.out.String(), "\r\x1b[Kwaiting for the browser, 20s left") || !strings.HasSuffix(w.out.String(), "\r\x1b[K") {
		t.Errorf("on a terminal: %q", w.out)
	}
}

// A token with the scopes is enough, until it is forced, or more is asked.
func TestSignedInAlready(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Scopes = []string{"orders.read"}
	w.signIn(t)
	before := w.okta.Calls(oktatest.Authorize)
	w.Browser = func(string) error { t.Error("a browser was opened"); return nil }
	if _, err := Login(t.Context(), w.Options); err != nil || !strings.Contains(w.out.String(), "alice@example.com is signed in already") {
		t.Errorf("%v\n%s", err, w.out)
	}
	if w.okta.Calls(oktatest.Authorize) != before {
		t.Error("okta was asked")
	}
	w.Scopes = []string{"orders.write", "orders.read", "orders.read"}
	if one, _ := w.signIn(t); !slices.Contains(one.Scopes, "orders.write") {
		t.Errorf("the scopes are %q", one.Scopes)
	}
	w.Scopes, w.Force = nil, true
	w.signIn(t)
	if got := w.okta.Calls(oktatest.Authorize); got != before+4 {
		t.Errorf("%d calls, want %d", got, before+4)
	}
}

func TestAskedScopes(t *testing.T) {
	t.Parallel()
	of := Target{Scopes: []string{"orders.read", "orders.write"}}
	for want, o := range map[string]Options{
		"openid offline_access orders.read orders.write": {Target: of},
		"openid orders.read orders.write":                {Target: of, NoRefresh: true},
		"openid offline_access a b":                      {Target: of, Scopes: []string{"b", "a", "openid", "b"}},
		"openid offline_access":                          {},
	} {
		if got := strings.Join(o.scopes(), " "); got != want {
			t.Errorf("asked %q, want %q", got, want)
		}
	}
}

// The state is of the characters Okta takes, and all of it is fresh.
func TestAuthorizeURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := map[string]bool{}
	for range 2 {
		p := &provider{issuer: w.okta.Issuer("default")}
		p.endpoint.AuthURL = w.okta.Issuer("default") + "/v1/authorize"
		a, err := newAttempt(w.Options, p, "", w.redirectURIs()[0])
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(a.url)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if !regexp.MustCompile(`^[A-Za-z0-9,._-]{26,}$`).MatchString(q.Get("state")) || q.Get("code_challenge_method") != "S256" || q.Get("response_type") != "code" {
			t.Errorf("the request is %q", u)
		}
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			if len(q.Get(name)) < 26 || seen[q.Get(name)] {
				t.Errorf("%s is %q", name, q.Get(name))
			}
			seen[q.Get(name)] = true
		}
	}
}
