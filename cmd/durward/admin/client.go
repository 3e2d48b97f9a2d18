package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// ErrUnreachable is an admin port that does not answer as one.
var ErrUnreachable = errors.New("no durward answers")

const (
	fetchTime = 10 * time.Second
	// maxAnswer is more than any answer of ours: a text grows by escapes in JSON.
	maxAnswer = 6*maxObjects + 1<<20
)

// Fetch reads the status at address, host:port or unix:/path, within 10 seconds. An
// error matches ErrUnreachable, or is the end of ctx.
func Fetch(ctx context.Context, address string) (Status, error) {
	within, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	s, err := fetch(within, address)
	if err != nil && ctx.Err() != nil {
		return Status{}, fmt.Errorf("status: %w", ctx.Err())
	}
	if err != nil {
		return Status{}, fmt.Errorf("%w at %s: %w", ErrUnreachable, address, err)
	}
	return s, nil
}

func fetch(ctx context.Context, address string) (s Status, err error) {
	host, transport := address, &http.Transport{DisableKeepAlives: true}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		host = socketHost
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+Path, nil)
	if err != nil {
		return Status{}, err
	}
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return Status{}, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return Status{}, fmt.Errorf("it answers %s", res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return Status{}, err
	}
	if len(text) > maxAnswer {
		return Status{}, fmt.Errorf("its answer is longer than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return Status{}, fmt.Errorf("its answer is not ours: %w", err)
	}
	return s, nil
}
