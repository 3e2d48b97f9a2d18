package login

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// ErrUnreachable is an authorization server that does not answer, or answers that it
// cannot: status 429 and 5xx.
var ErrUnreachable = errors.New("okta cannot be reached")

const (
	requestTimeout = 10 * time.Second
	maxReply       = 1 << 20
)

// provider is an authorization server as its metadata describes it.
type provider struct {
	issuer     string
	http       *http.Client
	endpoint   oauth2.Endpoint
	keys       string
	revocation string
}

// discover reads the metadata of an issuer (OpenID Connect Discovery 1.0). Endpoints on
// another origin than the issuer's are refused.
func discover(ctx context.Context, issuer string) (*provider, error) {
	p := &provider{issuer: issuer, http: newHTTPClient()}
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.http), issuer)
	if err != nil {
		return nil, fmt.Errorf("read the metadata of %s: %w", issuer, tame(err))
	}
	var more struct {
		Keys       string `json:"jwks_uri"`
		Revocation string `json:"revocation_endpoint"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, fmt.Errorf("read the metadata of %s: %w", issuer, err)
	}
	p.endpoint, p.keys, p.revocation = found.Endpoint(), more.Keys, more.Revocation
	for _, endpoint := range []string{p.endpoint.AuthURL, p.endpoint.TokenURL, p.keys, p.revocation} {
		if !sameOrigin(issuer, endpoint) {
			return nil, fmt.Errorf("the metadata of %s names the endpoint %q on another origin", issuer, printable(endpoint))
		}
	}
	return p, nil
}

func sameOrigin(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && ua.Scheme == ub.Scheme && ua.Host == ub.Host && ub.User == nil
}

// config is the OAuth client. With a secret it is confidential and authenticates by
// client_secret_basic.
func (p *provider) config(clientID, secret, redirectURI string, scopes []string) *oauth2.Config {
	c := &oauth2.Config{ClientID: clientID, ClientSecret: secret, RedirectURL: redirectURI, Scopes: scopes, Endpoint: p.endpoint}
	c.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	if secret != "" {
		c.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	return c
}

// context makes package oauth2 use our HTTP client, with proofs of a key if there is one.
func (p *provider) context(ctx context.Context, key *ecdsa.PrivateKey) context.Context {
	client := p.http
	if key != nil {
		client = &http.Client{Transport: Prover{p.http.Transport, key}, CheckRedirect: p.http.CheckRedirect}
	}
	return context.WithValue(ctx, oauth2.HTTPClient, client)
}

// revoke ends a token (RFC 7009).
func (p *provider) revoke(ctx context.Context, clientID, secret, token, hint string) error {
	form := url.Values{"token": {token}, "token_type_hint": {hint}}
	if secret == "" {
		form.Set("client_id", clientID)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		req.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(secret)) // RFC 6749 section 2.3.1
	}
	res, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("revoke: okta answers %s", res.Status)
	}
	return nil
}

func newHTTPClient() *http.Client {
	next := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DisableKeepAlives:   true, // a few requests in a short life
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: requestTimeout,
	}
	return &http.Client{
		Transport:     transport{next, requestTimeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// transport reads whole replies, up to a limit and within a timeout, so that every
// failure to get one shows here and is an ErrUnreachable. (http.Client's own timeout
// would hide the cause.) What the caller cancelled is no failure of Okta's.
type transport struct {
	next    http.RoundTripper
	timeout time.Duration
}

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), t.timeout)
	defer cancel()
	res, err := t.reply(req.WithContext(ctx))
	if err != nil && req.Context().Err() != nil {
		return nil, req.Context().Err()
	}
	return res, err
}

func (t transport) reply(req *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= http.StatusInternalServerError {
		return nil, fmt.Errorf("%w: it answers %s", ErrUnreachable, res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if len(body) > maxReply {
		return nil, fmt.Errorf("the reply of %s is longer than %d bytes", req.URL.Host, maxReply)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// keySet remembers why keys were not to be had, which package oidc does not pass on.
type keySet struct {
	oidc.KeySet
	err error
}

func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	k.err = err
	return payload, err
}
