package login

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxHeader     = 16 << 10
	browserWait   = 10 * time.Second
	shutdownGrace = time.Second
	exchangeWait  = 5 * requestTimeout // token, twice for a nonce, keys, lock
)

// answer is what the browser brought back from Okta: a code, or a refusal.
type answer struct {
	code    string
	refusal url.Values
	// page takes the page that ends the login; exactly one is sent.
	page chan<- page
}

// receiver serves the redirect URI of one login. It takes one answer: the first with
// the right state. All else is refused, and the login goes on waiting.
type receiver struct {
	app, host     string
	state, issuer string
	server        *http.Server
	served        chan error

	taken   atomic.Bool
	answers chan answer
	// refused says why a callback was not taken; what nobody reads is dropped.
	refused chan string
}

func receive(l net.Listener, app, state, issuer string) *receiver {
	r := &receiver{
		app: app, host: l.Addr().String(), state: state, issuer: issuer,
		served: make(chan error, 1), answers: make(chan answer, 1), refused: make(chan string, 1),
	}
	r.server = &http.Server{
		Handler:           r,
		ReadHeaderTimeout: browserWait,
		ReadTimeout:       browserWait,
		WriteTimeout:      exchangeWait + browserWait,
		IdleTimeout:       browserWait,
		MaxHeaderBytes:    maxHeader,
	}
	r.server.SetKeepAlivesEnabled(false)
	go func() { r.served <- r.server.Serve(l) }()
	return r
}

// close delivers the page that is being written, then stops listening.
func (r *receiver) close() error {
	// Not the login's context: the page is due after an interrupt, too.
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	err := r.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = r.server.Close() // browsers open connections ahead and leave them unused
	}
	if served := <-r.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.Host != r.host: // DNS rebinding
		page{Title: "This address is not served here"}.write(w, http.StatusMisdirectedRequest)
	case req.URL.Path != CallbackPath:
		page{Title: "There is nothing here"}.write(w, http.StatusNotFound)
	case req.Method == http.MethodHead:
		page{Title: "Waiting for the sign-in"}.write(w, http.StatusOK)
	case req.Method != http.MethodGet:
		w.Header().Set("Allow", "GET, HEAD")
		page{Title: "Only GET is answered here"}.write(w, http.StatusMethodNotAllowed)
	case isPrefetch(req.Header):
		page{Title: "Waiting for the sign-in"}.write(w, http.StatusServiceUnavailable)
	default:
		r.callback(w, req)
	}
}

// isPrefetch reports a visit that nobody made yet, and that may not be made.
func isPrefetch(h http.Header) bool {
	return strings.Contains(h.Get("Sec-Purpose"), "prefetch") || h.Get("Purpose") == "prefetch" || h.Get("X-Moz") == "prefetch"
}

func (r *receiver) callback(w http.ResponseWriter, req *http.Request) {
	q, why := r.judge(req.URL.RawQuery)
	if why != "" {
		select {
		case r.refused <- why:
		default:
		}
		page{Title: "This is not the answer to the sign-in", Text: "It has " + why + ". The sign-in goes on in its own tab."}.write(w, http.StatusBadRequest)
		return
	}
	if !r.taken.CompareAndSwap(false, true) {
		page{Title: "This sign-in has ended", Text: "Its result is shown in the terminal."}.write(w, http.StatusConflict)
		return
	}
	ending := make(chan page, 1)
	a := answer{code: q.Get("code"), page: ending}
	if q.Has("error") {
		a.refusal = q
	}
	r.answers <- a
	select {
	case p := <-ending:
		p.App = r.app
		p.write(w, p.status())
	case <-req.Context().Done():
	}
}

// judge returns the parameters of a callback that belongs to this login, or why it does
// not. RFC 9207: an issuer, where one is named, must be ours.
func (r *receiver) judge(query string) (q url.Values, why string) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, "a malformed query"
	}
	for name, values := range q {
		if len(values) > 1 {
			return nil, fmt.Sprintf("the parameter %q more than once", printable(name))
		}
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(r.state)) != 1:
		return nil, "a foreign state"
	case q.Has("iss") && q.Get("iss") != r.issuer:
		return nil, "a foreign issuer"
	case !q.Has("error") && q.Get("code") == "":
		return nil, "neither a code nor an error"
	case q.Has("error") && q.Has("code"):
		return nil, "both a code and an error"
	}
	return q, ""
}
