package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// Options say how to sign in.
type Options struct {
	Target Target
	// Scopes, if any, are asked in place of the target's.
	Scopes []string
	// NoRefresh asks no refresh token.
	NoRefresh bool
	// SecretFile holds the client secret of a confidential client.
	SecretFile string
	Store      Store
	// DPoP binds the tokens to a key that is made for the login (RFC 9449).
	DPoP bool
	// ACRValues are the authentication context classes to sign in by, any of them, and
	// MaxAge is how many seconds ago the person may have signed in; nil for any time. With
	// either, a token at hand is not enough.
	ACRValues []string
	MaxAge    *int
	// Force signs in even where a token is at hand.
	Force bool
	// Ports are tried in turn for the callback.
	Ports []int
	// Browser shows a URL to the user; it may take as long as it likes. Without one the
	// user opens it.
	Browser func(url string) error
	// Timeout bounds the wait for the browser.
	Timeout time.Duration
	// Steps prints what happens on the wire.
	Steps bool
	// Out takes what is said to the user; on a Terminal the wait is counted down.
	Out      io.Writer
	Terminal bool
}

// scopes are the asked ones: openid and, for a refresh token, offline_access first.
func (o Options) scopes() []string {
	asked := []string{"openid"}
	if !o.NoRefresh {
		asked = append(asked, "offline_access")
	}
	of := o.Target.Scopes
	if len(o.Scopes) > 0 {
		of = slices.Compact(slices.Sorted(slices.Values(o.Scopes)))
	}
	for _, scope := range of {
		if !slices.Contains(asked, scope) {
			asked = append(asked, scope)
		}
	}
	return asked
}

func (o Options) redirectURIs() []string {
	uris := make([]string, len(o.Ports))
	for i, port := range o.Ports {
		uris[i] = redirectURI(port)
	}
	return uris
}

func (o Options) printf(format string, args ...any) { _, _ = fmt.Fprintf(o.Out, format, args...) }

// Login signs the user in and stores the tokens, unless a stored token has the scopes
// already. When it returns nothing listens any more. The error is an *OAuthError where
// Okta refuses, and an ErrUnreachable where it does not answer.
func Login(ctx context.Context, o Options) (Session, error) {
	if !o.Force && !o.stepUp() {
		one, err := o.Store.fresh(ctx, o.Store.path(o.Target.Server.Issuer, o.Target.ClientID))
		if err == nil && one.covers(o.scopes()) && (one.Bound() || !o.DPoP) {
			o.printf("%s is signed in already; --force signs in again\n", one.User)
			return one, nil
		}
		if errors.Is(err, ErrUnreachable) {
			return Session{}, err
		}
	}
	secret, err := readSecret(o.SecretFile)
	if err != nil {
		return Session{}, err
	}
	l, err := listen(ctx, o.Ports, o.Out)
	if err != nil {
		return Session{}, err
	}
	p, err := discover(ctx, o.Target.Server.Issuer)
	if err != nil {
		return Session{}, errors.Join(err, l.Close())
	}
	a, err := newAttempt(o, p, secret, redirectURI(l.Addr().(*net.TCPAddr).Port))
	if err != nil {
		return Session{}, errors.Join(err, l.Close())
	}
	return a.run(ctx, l)
}

// run serves the callback for one sign-in.
func (a *attempt) run(ctx context.Context, l net.Listener) (one Session, err error) {
	r := receive(l, a.Target.Application.Name, a.state, a.provider.issuer)
	defer func() { err = errors.Join(err, r.close()) }()
	a.explainRequest()
	a.printf("Open this address in a browser to sign in to %s:\n\n  %s\n\n", a.Target.Application.Name, a.url)
	back, err := a.wait(ctx, r)
	if err != nil {
		return Session{}, err
	}
	one, err = a.finish(ctx, back)
	if err != nil {
		problem, _, _ := strings.Cut(err.Error(), "\n")
		back.page <- page{Title: "The sign-in failed", Problem: problem}
		return Session{}, err
	}
	back.page <- page{Title: "Signed in", User: one.User, Until: one.Expiry}
	return one, nil
}

// wait returns the browser's answer.
func (a *attempt) wait(ctx context.Context, r *receiver) (answer, error) {
	opened := make(chan error, 1)
	if a.Browser != nil {
		// Nobody waits for it: a browser may outlive the login.
		go func() { opened <- a.Browser(a.url) }()
	}
	deadline := time.Now().Add(a.Timeout)
	timeout := time.NewTimer(a.Timeout)
	defer timeout.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	line := countdown{a.Out, a.Terminal}
	line.begin(a.Timeout)
	defer line.clear()
	for {
		select {
		case back := <-r.answers:
			return back, nil
		case why := <-r.refused:
			line.clear()
			a.printf("refused a callback that does not belong to this login: it has %s; still waiting\n", why)
		case err := <-opened:
			if err != nil {
				line.clear()
				a.printf("no browser could be opened (%s); open the address yourself\n", printable(err.Error()))
			}
		case <-tick.C:
			line.show(time.Until(deadline))
		case <-timeout.C:
			return answer{}, fmt.Errorf("no answer from the browser within %v\n  fix: if Okta showed an error about redirect_uri, "+
				"register %s as login redirect URIs of the application; else sign in faster, or give --timeout",
				a.Timeout, strings.Join(a.redirectURIs(), " and "))
		case <-ctx.Done():
			return answer{}, fmt.Errorf("the login was interrupted: %w", ctx.Err())
		}
	}
}

// countdown is a line that is replaced in place on a terminal, and one line elsewhere.
type countdown struct {
	out      io.Writer
	terminal bool
}

func (c countdown) begin(whole time.Duration) {
	if !c.terminal {
		_, _ = fmt.Fprintf(c.out, "waiting for the browser, up to %v\n", whole)
		return
	}
	c.show(whole)
}

func (c countdown) show(left time.Duration) {
	if c.terminal {
		_, _ = fmt.Fprintf(c.out, "\r\x1b[Kwaiting for the browser, %v left", left.Round(time.Second))
	}
}

func (c countdown) clear() {
	if c.terminal {
		_, _ = fmt.Fprint(c.out, "\r\x1b[K")
	}
}
