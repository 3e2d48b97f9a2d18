package okta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/durward/durward/policy/token"
)

const metadataPath = "/.well-known/oauth-authorization-server"

const (
	// documentTimeout bounds one request for metadata or keys, which no check waits for
	// as a rule.
	documentTimeout = 5 * time.Second
	// maxLifetime is the longest max-age believed.
	maxLifetime = 365 * 24 * time.Hour
)

// FetchKeys reads the server's JWKS document (RFC 7517), at most 1 MiB of JSON, which it
// does not look into. Where the document is it learns from the server's metadata (OpenID
// Connect Discovery section 4), which must name the configured issuer and a jwks_uri of
// the same scheme, host and port; no redirect is followed. lifetime is the max-age of its
// Cache-Control, zero where there is none; noCache says that it must not be cached.
// Neither request is limited by Okta, and neither spends the budget.
func (c *Client) FetchKeys(ctx context.Context) (document []byte, lifetime time.Duration, noCache bool, err error) {
	where, err := c.discover(ctx)
	if err != nil {
		return nil, 0, false, fmt.Errorf("okta: discovery: %w", err)
	}
	answer, err := c.get(ctx, "keys", where)
	if err == nil {
		err = answer.isKeySet()
	}
	if err != nil {
		c.jwksURI.Store(nil)
		return nil, 0, false, fmt.Errorf("okta: keys: %w", err)
	}
	lifetime, noCache = cacheControl(answer.header)
	return answer.body, lifetime, noCache, nil
}

// get asks for a document of the server's own.
func (c *Client) get(ctx context.Context, endpoint, where string) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return reply{}, fmt.Errorf("request: %w", err)
	}
	answer, err := c.send(endpoint, req, maxDocument)
	if err == nil && answer.status != http.StatusOK {
		err = fmt.Errorf("status %d", answer.status)
	}
	return answer, err
}

// discover returns where the keys are, asking once as long as that is right.
func (c *Client) discover(ctx context.Context) (string, error) {
	if known := c.jwksURI.Load(); known != nil {
		return *known, nil
	}
	// The library follows whatever its client does, and reads without end.
	pinned := &http.Client{Transport: metadata{c}, CheckRedirect: c.http.CheckRedirect}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, pinned), c.config.Issuer)
	if err != nil {
		var other *oidc.IssuerMismatchError
		if errors.As(err, &other) {
			return "", fmt.Errorf("the server calls itself %.200q, the configuration %q", other.Discovered, c.config.Issuer)
		}
		return "", fmt.Errorf("%.300w", withoutURL(err))
	}
	var text json.RawMessage
	if err := provider.Claims(&text); err != nil {
		return "", fmt.Errorf("metadata: %w", err)
	}
	where, err := c.pinnedKeys(text)
	if err != nil {
		return "", err
	}
	c.jwksURI.Store(&where)
	return where, nil
}

// pinnedKeys returns the jwks_uri of strict metadata, if it is at the issuer's own host.
func (c *Client) pinnedKeys(text []byte) (string, error) {
	object, err := token.ParseObject(text)
	if err != nil {
		return "", fmt.Errorf("metadata: %w", err)
	}
	where, err := object.Text("jwks_uri")
	if err != nil {
		return "", fmt.Errorf("metadata: %w", err)
	}
	issuer, err := url.Parse(c.config.Issuer)
	if err != nil {
		return "", fmt.Errorf("issuer: %w", err)
	}
	u, err := url.Parse(where)
	if err != nil || u.Scheme != issuer.Scheme || u.Host != issuer.Host || u.User != nil || u.Fragment != "" {
		return "", fmt.Errorf("jwks_uri %.200q is not at the issuer's host", where)
	}
	return where, nil
}

// metadata lets the discovery library send requests as this package sends them.
type metadata struct{ client *Client }

// RoundTrip answers with the whole document or an error, nothing between.
func (m metadata) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := m.client.get(r.Context(), "metadata", r.URL.String())
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: answer.status, Header: answer.header, Request: r,
		Body: io.NopCloser(strings.NewReader(string(answer.body))),
	}, nil
}

func (r reply) isKeySet() error {
	media, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil || media != "application/json" && media != "application/jwk-set+json" {
		return errors.New("the content type is not JSON")
	}
	return nil
}

// cacheControl reads the directives of RFC 9111 section 5.2.2 that a private cache of
// keys heeds; of several max-ages the shortest holds.
func cacheControl(h http.Header) (lifetime time.Duration, noCache bool) {
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-cache", "no-store":
			noCache = true
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 63)
			if err != nil {
				continue
			}
			age := time.Duration(min(seconds, uint64(maxLifetime/time.Second))) * time.Second
			if age == 0 {
				noCache = true
			}
			if lifetime == 0 || age < lifetime {
				lifetime = age
			}
		}
	}
	return lifetime, noCache
}

// Probe asks the server for its metadata (RFC 8414) and compares the issuer in it with
// the configured one. It is for start-up: the error says in a sentence what is wrong.
func (c *Client) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.config.Issuer+metadataPath, nil)
	if err != nil {
		return fmt.Errorf("okta: request: %w", err)
	}
	answer, err := c.send("metadata", req, maxBody)
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
