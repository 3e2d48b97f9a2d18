package okta

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/durward/durward/policy/token"
)

// defaultTimeout bounds one attempt; Okta answers in a few hundred milliseconds.
const defaultTimeout = time.Second

// Config describes one authorization server and our client at it.
type Config struct {
	// Name is the server's name in the metrics; empty means the Issuer.
	Name string
	// Issuer is https://{domain}/oauth2/{id}; endpoints are derived from it by
	// Okta's fixed paths, so no metadata can point us elsewhere.
	Issuer   string
	ClientID string
	Auth     AuthMethod
	// ClientSecret or SecretFile is for SecretBasic and SecretPost, one of them. A file
	// holds the secret alone, at most 64 KiB; Run watches it.
	ClientSecret string
	SecretFile   string
	// KeyFile is for PrivateKeyJWT: one RSA key of 2048 to 8192 bits or one EC key on
	// P-256, as JWK or PEM (PKCS #8, PKCS #1, SEC 1), not encrypted; Run watches it.
	KeyFile string
	// KeyID is the `kid` of client assertions; a JWK has its own.
	KeyID string
	// CAFile is a PEM bundle of the only authorities believed for this server, at most
	// 1 MiB; empty means those of the system. Run watches it.
	CAFile string
	// Timeout bounds one attempt; zero means 1 s. The caller's deadline holds too.
	Timeout time.Duration
	// Transport is used for every request; nil makes one with TLS 1.2 at least and
	// the proxy of the environment. It excludes CAFile.
	Transport http.RoundTripper
	// Budget is shared by all clients of the organization; nil makes one for this client
	// alone.
	Budget *Budget
	// Metrics counts requests; nil counts nothing.
	Metrics *Metrics
	// Leeway is the difference of clocks that tokens are forgiven; a greater one is told in
	// the log. Under 2 s none is.
	Leeway time.Duration
	// Log gets a line when credentials are read again, cannot be, or are refused, and when
	// the clocks differ: one for each change, none for a request. It must not block. nil
	// discards them.
	Log *slog.Logger
}

// Client asks one authorization server. It is safe for concurrent use.
type Client struct {
	config      Config
	host        string
	http        *http.Client
	budget      *Budget
	breaker     *breaker
	credentials *credentials
	trusted     *authorities // nil where the system's are
	skew        skew
	log         *slog.Logger
	// jwksURI is where the keys are, if discovery said so.
	jwksURI atomic.Pointer[string]
	// fetchedAt tells when the keys in use were fetched.
	fetchedAt atomic.Pointer[func() time.Time]
}

// NewClient checks c, reads its files and prepares a client; it sends nothing. The error
// shows no secret.
func NewClient(c Config) (*Client, error) {
	if !isIssuer(c.Issuer) {
		return nil, fmt.Errorf("okta: issuer %q is not a plain http or https URL", c.Issuer)
	}
	if c.ClientID == "" {
		return nil, errors.New("okta: no client id")
	}
	credentials, err := newCredentials(c)
	if err != nil {
		return nil, err
	}
	if c.Transport != nil && c.CAFile != "" {
		return nil, errors.New("okta: a CA file for a transport that is there already")
	}
	var trusted *authorities
	switch {
	case c.CAFile != "":
		if trusted, err = newAuthorities(c.CAFile); err != nil {
			return nil, err
		}
		c.Transport = trusted
	case c.Transport == nil:
		c.Transport = newTransport(nil)
	}
	if c.Budget == nil {
		if c.Budget, err = NewBudget(BudgetConfig{}); err != nil {
			return nil, err
		}
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.Name == "" {
		c.Name = c.Issuer
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	client := &Client{
		config: c, host: hostOf(c.Issuer), budget: c.Budget, breaker: newBreaker(), credentials: credentials, trusted: trusted,
		log: c.Log.With("authorization_server", c.Name),
		http: &http.Client{
			Transport: c.Transport,
			// A 307 would carry token and secret to wherever the answer says.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	c.Metrics.add(client)
	return client, nil
}

// isIssuer reports whether endpoints can be made by appending to the issuer: nothing
// behind the path, which does not end in a slash, and no user before the host, from
// which net/http would make credentials.
func isIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil &&
		!strings.ContainsAny(issuer, "?#") && !strings.HasSuffix(issuer, "/")
}

func hostOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return u.Host
}

// Close drops idle connections and takes the client out of the metrics. Requests under
// way go on.
func (c *Client) Close() {
	c.config.Metrics.remove(c)
	c.http.CloseIdleConnections()
}

// DropConnections ends the connections that wait for the next request, so that an answer
// which belongs to another cannot shift those behind it too.
func (c *Client) DropConnections() { c.http.CloseIdleConnections() }

// ReportKeys lets the metrics tell the age of the keys, by when those in use were
// fetched; the zero time where there are none.
func (c *Client) ReportKeys(fetchedAt func() time.Time) { c.fetchedAt.Store(&fetchedAt) }

var _ token.Introspector = (*Client)(nil)
