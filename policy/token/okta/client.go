package okta

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/durward/durward/policy/token"
)

// maxBody is the largest answer read, in bytes. Okta's are under 4 KiB; custom claims
// and a hundred groups fit many times over.
const maxBody = 64 << 10

// userAgent names us in Okta's System Log.
const userAgent = "durward"

// AuthMethod is how the client authenticates (RFC 8414, token endpoint methods).
type AuthMethod string

// The methods. The zero AuthMethod is refused.
const (
	SecretBasic AuthMethod = "client_secret_basic"
	SecretPost  AuthMethod = "client_secret_post"
	Public      AuthMethod = "none"
)

// Config describes one authorization server and our client at it.
type Config struct {
	// Issuer is https://{domain}/oauth2/{id}; endpoints are derived from it by
	// Okta's fixed paths, so no metadata can point us elsewhere.
	Issuer   string
	ClientID string
	// ClientSecret is empty for Public alone.
	ClientSecret string
	Auth         AuthMethod
	// Timeout bounds one attempt; zero means 1 s. The caller's deadline holds too.
	Timeout time.Duration
	// Transport is used for every request; nil makes one with TLS 1.2 at least and
	// the proxy of the environment.
	Transport http.RoundTripper
	// Metrics counts requests; nil counts nothing.
	Metrics *Metrics
}

// Client asks one authorization server. It is safe for concurrent use.
type Client struct {
	config Config
	http   *http.Client
}

// NewClient checks c and prepares a client; it sends nothing.
func NewClient(c Config) (*Client, error) {
	if !isIssuer(c.Issuer) {
		return nil, fmt.Errorf("okta: issuer %q is not a plain http or https URL", c.Issuer)
	}
	if c.ClientID == "" {
		return nil, errors.New("okta: no client id")
	}
	switch c.Auth {
	case SecretBasic, SecretPost:
		if c.ClientSecret == "" {
			return nil, fmt.Errorf("okta: %s without a client secret", c.Auth)
		}
	case Public:
		if c.ClientSecret != "" {
			return nil, errors.New("okta: a public client has no secret")
		}
	default:
		return nil, fmt.Errorf("okta: unknown client authentication %q", c.Auth)
	}
	if c.Timeout <= 0 {
		c.Timeout = time.Second
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	return &Client{config: c, http: &http.Client{
		Transport: c.Transport,
		// A 307 would carry token and secret to wherever the answer says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// isIssuer reports whether endpoints can be made by appending to the issuer: nothing
// behind the path, which does not end in a slash, and no user before the host, from
// which net/http would make credentials.
func isIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil &&
		!strings.ContainsAny(issuer, "?#") && !strings.HasSuffix(issuer, "/")
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    2 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    64,
		MaxConnsPerHost:        256,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// Close drops idle connections. Requests under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// reply is one complete answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// post sends a form and reads the whole answer within one attempt's timeout.
func (c *Client) post(ctx context.Context, endpoint string, form url.Values) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.Issuer+endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, fmt.Errorf("request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.config.Auth == SecretBasic {
		req.Header.Set("Authorization", "Basic "+basic(c.config.ClientID, c.config.ClientSecret))
	}
	return c.send(req)
}

// basic encodes client credentials as RFC 6749 section 2.3.1 asks: form-encoded first.
func basic(id, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id) + ":" + url.QueryEscape(secret)))
}

func (c *Client) send(req *http.Request) (reply, error) {
	req.Header.Set("Accept", "application/json")
	// Compressed answers are neither asked for nor unpacked: no bombs.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", userAgent)
	res, err := c.http.Do(req)
	if err != nil {
		return reply{}, withoutURL(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return reply{}, fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxBody {
		return reply{}, &oversizeError{}
	}
	return reply{status: res.StatusCode, header: res.Header, body: body}, nil
}

// oversizeError is an answer too large to be one; asking again would not help.
type oversizeError struct{}

func (*oversizeError) Error() string { return fmt.Sprintf("answer over %d bytes", maxBody) }

// withoutURL drops the method and URL that net/http puts before every cause.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// isJSON reports whether the answer calls itself JSON.
func (r reply) isJSON() bool {
	media, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	return err == nil && media == "application/json"
}

var _ token.Introspector = (*Client)(nil)
