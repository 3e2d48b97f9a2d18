package okta

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/durward/durward/policy/token"
)

const (
	introspectPath = "/v1/introspect"
	metadataPath   = "/.well-known/oauth-authorization-server"
)

// maxRetryAfter caps the wait that an answer may ask of our callers.
const maxRetryAfter = 5 * time.Minute

// Introspect asks the server about t. It asks once more, within ctx, after a
// connection failure or a 5xx, and never after anything else. Every error is a
// *token.Error.
func (c *Client) Introspect(ctx context.Context, t token.Token) (token.Introspection, error) {
	form := url.Values{"token": {t.Reveal()}, "token_type_hint": {"access_token"}}
	if c.config.Auth != SecretBasic {
		form.Set("client_id", c.config.ClientID)
	}
	if c.config.Auth == SecretPost {
		form.Set("client_secret", c.config.ClientSecret)
	}
	start := time.Now()
	answer, err := c.postTwice(ctx, form)
	took := time.Since(start)
	if err != nil {
		return token.Introspection{}, token.Unavailablef("introspect: %w", without(t, err))
	}
	parsed, err := answer.introspection()
	if err != nil {
		return token.Introspection{}, err
	}
	parsed.Took = took
	return parsed, nil
}

// without keeps t out of an error: net/http quotes what it cannot read of an answer.
func without(t token.Token, err error) error {
	if strings.Contains(err.Error(), t.Reveal()) {
		return errors.New("an unreadable answer that repeats the token")
	}
	return err
}

func (c *Client) postTwice(ctx context.Context, form url.Values) (reply, error) {
	answer, err := c.introspectOnce(ctx, form)
	if ctx.Err() == nil && (answer.status >= 500 || isCut(err)) {
		return c.introspectOnce(ctx, form)
	}
	return answer, err
}

// isCut reports a connection failure. An attempt that took all its time is none: a slow
// server must not get twice the work.
func isCut(err error) bool {
	var oversize *oversizeError
	return err != nil && !errors.As(err, &oversize) && !errors.Is(err, context.DeadlineExceeded)
}

func (c *Client) introspectOnce(ctx context.Context, form url.Values) (reply, error) {
	start := time.Now()
	answer, err := c.post(ctx, introspectPath, form)
	c.config.Metrics.observe("introspect", answer.status, time.Since(start))
	return answer, err
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
		return &token.Error{Failure: token.RateLimited, RetryAfter: r.retryAfter(), Cause: errors.New("introspect: status 429")}
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return token.Unavailablef("introspect: status %d: our client credentials were refused", r.status)
	case r.status != http.StatusOK:
		return token.Unavailablef("introspect: status %d", r.status)
	case !r.isJSON():
		return token.Unavailablef("introspect: the content type is not application/json")
	}
	return nil
}

// retryAfter is Retry-After in seconds if it is there, else Okta's reset instant seen
// from Okta's own clock; our clock takes no part. Zero if nothing usable was said.
func (r reply) retryAfter() time.Duration {
	const most = int64(maxRetryAfter / time.Second)
	var seconds int64
	if s, err := strconv.ParseInt(r.header.Get("Retry-After"), 10, 64); err == nil {
		seconds = s
	} else if reset, err := strconv.ParseInt(r.header.Get("X-Rate-Limit-Reset"), 10, 64); err == nil {
		if date, err := http.ParseTime(r.header.Get("Date")); err == nil {
			// Capped before the subtraction, which could overflow.
			seconds = min(max(reset, date.Unix()-1), date.Unix()+most) - date.Unix() + 1
		}
	}
	return time.Duration(min(max(seconds, 0), most)) * time.Second
}

// Probe asks the server for its metadata and compares the issuer in it with the
// configured one. It is for start-up: the error says in a sentence what is wrong.
func (c *Client) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.config.Issuer+metadataPath, nil)
	if err != nil {
		return fmt.Errorf("okta: request: %w", err)
	}
	start := time.Now()
	answer, err := c.send(req)
	c.config.Metrics.observe("metadata", answer.status, time.Since(start))
	if err != nil {
		return fmt.Errorf("okta: metadata: %w", err)
	}
	if answer.status != http.StatusOK {
		return fmt.Errorf("okta: metadata: status %d; is the issuer right?", answer.status)
	}
	object, err := token.ParseObject(answer.body)
	if err != nil {
		return fmt.Errorf("okta: metadata: %w", err)
	}
	issuer, err := object.Text("issuer")
	if err != nil || issuer != c.config.Issuer {
		return fmt.Errorf("okta: the server calls itself %.200q, the configuration %q", issuer, c.config.Issuer)
	}
	return nil
}
