package okta

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// maxBody is the largest answer about a token read, in bytes. Okta's are under
	// 4 KiB; custom claims and a hundred groups fit many times over.
	maxBody = 64 << 10
	// maxDocument is the largest document of keys or metadata read.
	maxDocument = 1 << 20
)

// userAgent names us in Okta's System Log.
const userAgent = "durward"

// newTransport believes the authorities in roots, nil for those of the system.
func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    2 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    maxFlying,
		MaxConnsPerHost:        2 * maxFlying,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// reply is one answer. The zero reply is none.
type reply struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
}

// send counts and times a request, and reads its whole answer of at most limit bytes; what
// that says of the clocks is learned, whatever it says of the question. The
// reply has a status where one came, even beside an error.
func (c *Client) send(endpoint string, req *http.Request, limit int64) (reply, error) {
	start := time.Now()
	answer, err := c.roundTrip(req, limit)
	answer.took = time.Since(start)
	c.config.Metrics.observe(endpoint, codeOf(answer, err), answer.took)
	c.learnClock(answer, start)
	return answer, err
}

func (c *Client) roundTrip(req *http.Request, limit int64) (reply, error) {
	req.Header.Set("Accept", "application/json")
	// Compressed answers are neither asked for nor unpacked: no bombs.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", userAgent)
	res, err := c.http.Do(req)
	if err != nil {
		return reply{}, withoutURL(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer := reply{status: res.StatusCode, header: res.Header}
	answer.body, err = io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return answer, fmt.Errorf("read answer: %w", err)
	}
	if int64(len(answer.body)) > limit {
		return answer, &oversizeError{limit}
	}
	return answer, nil
}

// oversizeError is an answer too large to be one; asking again would not help.
type oversizeError struct{ limit int64 }

func (e *oversizeError) Error() string { return fmt.Sprintf("answer over %d bytes", e.limit) }

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

// codeOf names how a request ended: the status, where it is one that HTTP knows, or the
// reason why there was none. The list is closed.
func codeOf(r reply, err error) string {
	switch {
	case err == nil && http.StatusText(r.status) != "":
		return strconv.Itoa(r.status)
	case err == nil:
		return "other"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case isTLS(err):
		return "tls"
	case isTimeout(err):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case isA[*net.DNSError](err):
		return "dns"
	case isA[*oversizeError](err):
		return "oversize"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "reset"
	}
	return "none"
}

// isTLS reports that the peer could not prove to be the server, or speaks no TLS that we
// do. Most errors of a handshake have no type of their own, but all have this prefix.
func isTLS(err error) bool {
	if isA[*tls.CertificateVerificationError](err) || isA[tls.RecordHeaderError](err) {
		return true
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return strings.HasPrefix(err.Error(), "tls: ")
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
