package login

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/durward/durward/policy/oktatest"
)

// What does not belong to the login is refused, and the login goes on.
func TestForeignCallbacks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		// change makes the right request a wrong one; q are its parameters.
		change func(r *http.Request, q url.Values)
		status int
		// said is a part of the page, and of the terminal if it is a callback.
		said     string
		terminal bool
	}{
		"foreign state":    {func(_ *http.Request, q url.Values) { q.Set("state", strings.Repeat("A", 26)) }, 400, "a foreign state", true},
		"no state":         {func(_ *http.Request, q url.Values) { q.Del("state") }, 400, "a foreign state", true},
		"nothing":          {func(_ *http.Request, q url.Values) { clear(q) }, 400, "a foreign state", true},
		"error, no state":  {func(_ *http.Request, q url.Values) { clear(q); q.Set("error", "access_denied") }, 400, "a foreign state", true},
		"two states":       {func(_ *http.Request, q url.Values) { q.Add("state", "x") }, 400, "more than once", true},
		"two codes":        {func(_ *http.Request, q url.Values) { q.Add("code", "other") }, 400, "more than once", true},
		"no code":          {func(_ *http.Request, q url.Values) { q.Del("code") }, 400, "neither a code nor an error", true},
		"empty code":       {func(_ *http.Request, q url.Values) { q.Set("code", "") }, 400, "neither a code nor an error", true},
		"code and error":   {func(_ *http.Request, q url.Values) { q.Set("error", "access_denied") }, 400, "both a code and an error", true},
		"foreign issuer":   {func(_ *http.Request, q url.Values) { q.Set("iss", "https://evil.example") }, 400, "a foreign issuer", true},
		"foreign host":     {func(r *http.Request, _ url.Values) { r.Host = "evil.example:" + r.URL.Port() }, 421, "not served here", false},
		"localhost":        {func(r *http.Request, _ url.Values) { r.Host = "localhost:" + r.URL.Port() }, 421, "not served here", false},
		"host alone":       {func(r *http.Request, _ url.Values) { r.Host = "127.0.0.1" }, 421, "not served here", false},
		"foreign path":     {func(r *http.Request, _ url.Values) { r.URL.Path = "/callback/" }, 404, "nothing here", false},
		"icon":             {func(r *http.Request, _ url.Values) { r.URL.Path = "/favicon.ico" }, 404, "nothing here", false},
		"POST":             {func(r *http.Request, _ url.Values) { r.Method = http.MethodPost }, 405, "Only GET", false},
		"HEAD":             {func(r *http.Request, _ url.Values) { r.Method = http.MethodHead }, 200, "", false},
		"prefetch":         {func(r *http.Request, _ url.Values) { r.Header.Set("Sec-Purpose", "prefetch;prerender") }, 503, "Waiting", false},
		"prefetch by name": {func(r *http.Request, _ url.Values) { r.Header.Set("Purpose", "prefetch") }, 503, "Waiting", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			alice, mallory := newPerson(t), newPerson(t)
			w.Browser = func(address string) error {
				u, err := url.Parse(address)
				if err != nil {
					return err
				}
				q := url.Values{"state": {u.Query().Get("state")}, "code": {"a-guess"}}
				req, err := http.NewRequest(http.MethodGet, w.redirectURIs()[0], nil)
				if err != nil {
					return err
				}
				tt.change(req, q)
				req.URL.RawQuery = q.Encode()
				mallory.last = mallory.send(t, req)
				return alice.signIn(address)
			}
			one, err := Login(t.Context(), w.Options)
			if err != nil || one.User != "alice@example.com" {
				t.Fatalf("the login ended: %v", err)
			}
			<-alice.done
			if mallory.last.status != tt.status || !strings.Contains(mallory.last.body, tt.said) {
				t.Errorf("it answers %d:\n%s", mallory.last.status, mallory.last.body)
			}
			if told := strings.Contains(w.out.String(), "refused a callback that does not belong to this login"); told != tt.terminal {
				t.Errorf("the terminal is told: %t\n%s", told, w.out)
			}
			if alice.last.status != http.StatusOK {
				t.Errorf("the right callback is answered with %d", alice.last.status)
			}
		})
	}
}

// send does one request as it is.
func (p *person) send(t *testing.T, req *http.Request) reply {
	t.Helper()
	res, err := p.http.Do(req)
	if err != nil {
		t.Error(err)
		return reply{}
	}
	defer func() { _ = res.Body.Close() }()
	var body strings.Builder
	if err := res.Write(&body); err != nil {
		t.Error(err)
	}
	return reply{res.StatusCode, res.Header, body.String()}
}

// The first callback with the right state is the only one, also while its code is being
// redeemed.
func TestOneCallback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, late := newPerson(t), newPerson(t)
	second := make(chan reply, 1)
	w.okta.Respond(oktatest.Token, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		answer, _ := late.do(http.MethodGet, alice.callback.Load().String(), nil)
		second <- answer
		panic(http.ErrAbortHandler)
	}))
	w.Browser = alice.signIn
	_, err := Login(t.Context(), w.Options)
	<-alice.done
	says(t, err, ErrUnreachable, "exchange the code")
	if got := <-second; got.status != http.StatusConflict || !strings.Contains(got.body, "This sign-in has ended") {
		t.Errorf("the second callback is answered with %d:\n%s", got.status, got.body)
	}
	if alice.last.status != http.StatusBadRequest || !strings.Contains(alice.last.body, "The sign-in failed") {
		t.Errorf("the first callback is answered with %d:\n%s", alice.last.status, alice.last.body)
	}
}

// What a server sent is text on the page and on the terminal, whatever it looks like.
func TestPageEscapes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := newPerson(t)
	w.Browser = func(address string) error {
		defer close(alice.done)
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		q := url.Values{
			"state": {u.Query().Get("state")}, "error": {"<b>\x1b[2J"},
			"error_description": {"<script>alert(1)</script>\u202e" + strings.Repeat("long", 1000)},
		}
		alice.last, err = alice.do(http.MethodGet, w.redirectURIs()[0]+"?"+q.Encode(), nil)
		return err
	}
	_, err := Login(t.Context(), w.Options)
	<-alice.done
	says(t, err, nil, "<script>alert(1)</script>")
	if strings.ContainsAny(err.Error(), "\x1b\u202e") || len(err.Error()) > 2*maxShown {
		t.Errorf("the error is %q", err)
	}
	if strings.Contains(alice.last.body, "<script>") || strings.Contains(alice.last.body, "<b>") || !strings.Contains(alice.last.body, "&lt;script&gt;alert(1)") {
		t.Errorf("the page is %s", alice.last.body)
	}
}
