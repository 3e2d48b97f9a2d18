package okta

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/durward/durward/policy/token"
)

// introspectURL is beside a custom server's issuer, and below /oauth2 for the org's own.
func (c *Client) introspectURL() string {
	if u, err := url.Parse(c.config.Issuer); err == nil && u.Path == "" {
		return c.config.Issuer + "/oauth2/v1/introspect"
	}
	return c.config.Issuer + "/v1/introspect"
}

// Introspect asks the server about t, if p is worth what is left of the budget. It asks
// once more, within ctx and budget, after a connection failure or a 5xx, and once with
// the previous credential after a 401; never after anything else. Every error is a
// *token.Error: RateLimited where the budget or the server says no, Overloaded where too
// many calls are under way, Unavailable at once where the server was out of order a
// moment ago.
func (c *Client) Introspect(ctx context.Context, t token.Token, p token.Priority) (token.Introspection, error) {
	used := c.credentials.get()
	a := c.attempt(ctx, t, p, used, false)
	if ctx.Err() == nil && a.isCut() {
		if again := c.attempt(ctx, t, p, used, true); again.sent {
			a = again
		}
	}
	if a.reply.status == http.StatusUnauthorized && ctx.Err() == nil {
		if other := c.credentials.instead(used); other != nil {
			if again := c.attempt(ctx, t, p, other, false); again.sent {
				a, used = again, other
			}
		}
	}
	c.learnCredential(used, a.reply)
	if a.err != nil {
		return token.Introspection{}, asTokenError(t, a.err)
	}
	a.answer.Took = a.reply.took
	return a.answer, nil
}

// learnCredential notes what an answer says of our credential.
func (c *Client) learnCredential(used *credential, r reply) {
	switch r.status {
	case http.StatusOK:
		c.credentials.accepted(used)
		if c.credentials.alarm.turn(false) {
			c.log.Info("the server accepts our client credentials again")
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		c.credentials.reject()
		if c.credentials.alarm.turn(true) {
			c.log.Error("the server refuses our client credentials; checks that must ask it are denied with 503",
				"status", r.status, "client_id", c.config.ClientID, "authentication", string(c.config.Auth),
				"fix", "compare introspection.client_id, its authentication, and its secret or key with the application in Okta, and see that it is active")
		}
	}
}

// attempt is one question and what came of it.
type attempt struct {
	answer token.Introspection
	// reply has no status where none came, and may be incomplete beside an error.
	reply reply
	err   error
	// sent says that the question left.
	sent bool
}

// attempt asks once, where breaker, bulkhead and budget let it.
func (c *Client) attempt(ctx context.Context, t token.Token, p token.Priority, used *credential, retry bool) attempt {
	if err := ctx.Err(); err != nil {
		return attempt{err: token.Unavailablef("introspect: %w", err)}
	}
	if err := c.breaker.check(); err != nil {
		return c.notAsked(p, "breaker", err)
	}
	if err := c.budget.admit(p, retry); err != nil {
		return c.notAsked(p, "budget", err)
	}
	leave, err := c.budget.enter(ctx, p)
	if err != nil {
		c.budget.refund(p, retry)
		return c.notAsked(p, "bulkhead", err)
	}
	defer leave()
	if err := c.budget.check(); err != nil {
		c.budget.refund(p, retry)
		return c.notAsked(p, "budget", err)
	}
	permit, err := c.breaker.acquire()
	if err != nil {
		c.budget.refund(p, retry)
		return c.notAsked(p, "breaker", err)
	}
	a := attempt{sent: true}
	a.reply, err = c.post(ctx, t, used)
	c.budget.learn(a.reply)
	if err != nil {
		a.err = fmt.Errorf("introspect: %w", err)
	} else {
		a.answer, a.err = a.reply.introspection()
	}
	c.breaker.record(permit, a.outcome(ctx))
	return a
}

func (c *Client) notAsked(p token.Priority, cause string, err error) attempt {
	c.config.Metrics.notAsked(c.host, p, cause)
	return attempt{err: err}
}

// outcome tells what the attempt says of the server. What Okta finds wrong with a token,
// with us or with how often we ask is no disorder: else a token could put the server out
// of reach for everybody.
func (a attempt) outcome(caller context.Context) outcome {
	incomplete := a.err != nil && failureOf(a.err) == ""
	switch status := a.reply.status; {
	case incomplete && caller.Err() != nil:
		return unknown
	case incomplete || status >= 500:
		return broken
	case status == http.StatusOK && failureOf(a.err) == token.Unavailable:
		return broken
	}
	return alive
}

// isCut reports a 5xx or a connection failure. An attempt that took all its time is none:
// a slow server must not get twice the work.
func (a attempt) isCut() bool {
	if failureOf(a.err) != "" {
		return a.reply.status >= 500
	}
	return a.err != nil && !isA[*oversizeError](a.err) && !isTimeout(a.err) && !isTLS(a.err)
}

func failureOf(err error) token.Failure {
	if known, ok := errors.AsType[*token.Error](err); ok {
		return known.Failure
	}
	return ""
}

// asTokenError keeps t out of an error: net/http quotes what it cannot read of an answer.
func asTokenError(t token.Token, err error) error {
	known, ok := errors.AsType[*token.Error](err)
	if !ok {
		known = token.Unavailablef("%w", err)
	}
	if strings.Contains(known.Error(), t.Reveal()) {
		return &token.Error{
			Failure: known.Failure, RetryAfter: known.RetryAfter,
			Cause: errors.New("introspect: an unreadable answer that repeats the token"),
		}
	}
	return known
}

// post sends the question and reads the whole answer within one attempt's timeout.
func (c *Client) post(ctx context.Context, t token.Token, used *credential) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	endpoint := c.introspectURL()
	form := url.Values{"token": {t.Reveal()}, "token_type_hint": {"access_token"}}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if err := used.authenticate(form, header, endpoint); err != nil {
		return reply{}, token.Unavailablef("%w", err) // ours alone: nothing was cut
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, fmt.Errorf("request: %w", err)
	}
	req.Header = header
	return c.send("introspect", req, maxBody)
}

// introspection reads an answer. What is not plainly an answer about the token is an
// outage: the caller cannot help it, and must not be told that the token is bad.
func (r reply) introspection() (token.Introspection, error) {
	if err := r.usable(); err != nil {
		return token.Introspection{}, err
	}
	object, err := token.ParseObject(r.body)
	if err != nil {
		return token.Introspection{}, token.Unavailablef("introspect: %w", err)
	}
	active, err := object.Bool("active")
	if err != nil {
		return token.Introspection{}, token.Unavailablef("introspect: %w", err)
	}
	if !active {
		return token.Introspection{}, nil
	}
	claims, err := token.ParseClaims(object)
	var refused *token.Error
	if errors.As(err, &refused) {
		return token.Introspection{}, refused
	}
	if err != nil {
		return token.Introspection{}, token.Unavailablef("introspect: %w", err)
	}
	return token.Introspection{Active: true, Claims: claims}, nil
}

func (r reply) usable() error {
	switch {
	case r.status == http.StatusTooManyRequests:
		return &token.Error{Failure: token.RateLimited, RetryAfter: r.stop(), Cause: errors.New("introspect: status 429")}
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return token.Unavailablef("introspect: status %d: our client credentials were refused", r.status)
	case r.status != http.StatusOK:
		return token.Unavailablef("introspect: status %d", r.status)
	case !r.isJSON():
		return token.Unavailablef("introspect: the content type is not application/json")
	}
	return nil
}
