package call

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Request is what a person wants to send.
type Request struct {
	Method string
	// Path is the path with the query, as it goes over the wire.
	Path string
	// Headers are lines "Name: value". Host is among them where it is not the gateway's.
	Headers []string
	// Body is sent if it is not nil. Its content type, unless named, is JSON where it is
	// JSON and octets otherwise.
	Body []byte
}

// New makes the request for a gateway, without credentials. Its errors are the
// person's.
func New(ctx context.Context, gateway *url.URL, r Request) (*http.Request, error) {
	if !strings.HasPrefix(r.Path, "/") || strings.ContainsAny(r.Path, "# ") {
		return nil, fmt.Errorf("path %q is not a path with a query: it begins with / and has no blank or #", r.Path)
	}
	target := strings.TrimSuffix(gateway.String(), "/") + r.Path
	req, err := http.NewRequestWithContext(ctx, r.Method, target, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	if r.Body == nil {
		req.Body, req.GetBody = nil, nil
	}
	req.Header.Set("User-Agent", "durward-call")
	for _, line := range r.Headers {
		if err := setHeader(req, line); err != nil {
			return nil, err
		}
	}
	if r.Body != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", contentType(r.Body))
	}
	return req, nil
}

func setHeader(req *http.Request, line string) error {
	name, value, ok := strings.Cut(line, ":")
	value = textproto.TrimString(value)
	if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
		return errors.New(`a header is not of the form "Name: value"`) // it may hold a credential
	}
	switch {
	case strings.EqualFold(name, "Authorization"):
		return errors.New("the authorization header is the application's own token; to send another, use curl")
	case strings.EqualFold(name, "Host"):
		req.Host = value
	default:
		req.Header.Add(name, value)
	}
	return nil
}

func contentType(body []byte) string {
	if json.Valid(body) {
		return "application/json"
	}
	return "application/octet-stream"
}
