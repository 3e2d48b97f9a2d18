package binary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	adminWait  = 30 * time.Second      // for Ready and ListenerAddr where ctx has no earlier end
	adminPause = 20 * time.Millisecond // between two questions
	adminMax   = 4 << 20               // bytes of an answer
)

// adminClient goes straight to the address, whatever proxy the environment names.
var adminClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	Timeout:       5 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// AdminAddr returns the bound host:port of the admin listener, once Envoy has
// written it; before that, and for an admin listener that is not on TCP, an error.
func (p *Process) AdminAddr() (string, error) {
	f, err := os.Open(p.adminFile)
	if err != nil {
		return "", fmt.Errorf("envoy admin address: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return "", fmt.Errorf("envoy admin address: %w", err)
	}
	addr, err := netip.ParseAddrPort(strings.TrimSpace(string(text)))
	if err != nil {
		return "", fmt.Errorf("envoy admin address: %w", err)
	}
	return addr.String(), nil
}

// Ready waits until Envoy says that it is live: it has the configuration it
// waits for at start, and its listeners accept. At the end of ctx, after 30
// seconds, or when Envoy exits, it returns an error with the last obstacle.
func (p *Process) Ready(ctx context.Context) error {
	err := p.poll(ctx, func(ctx context.Context) error {
		body, err := p.get(ctx, "/ready")
		if err == nil && strings.TrimSpace(string(body)) != "LIVE" {
			err = fmt.Errorf("/ready says %.40q", body)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for envoy to be ready: %w", err)
	}
	return nil
}

// ListenerAddr waits for the listener of that name and returns its bound
// host:port, which is how to learn the port of one configured with port 0. It
// ends as Ready does. It does not check that the listener accepts already.
func (p *Process) ListenerAddr(ctx context.Context, name string) (string, error) {
	var addr string
	err := p.poll(ctx, func(ctx context.Context) error {
		body, err := p.get(ctx, "/listeners?format=json")
		if err != nil {
			return err
		}
		addr, err = boundAddr(body, name)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("address of envoy listener %q: %w", name, err)
	}
	return addr, nil
}

// boundAddr reads envoy.admin.v3.Listeners in its JSON form.
func boundAddr(body []byte, name string) (string, error) {
	var listeners struct {
		Statuses []struct {
			Name  string `json:"name"`
			Local struct {
				Socket struct {
					Address string `json:"address"`
					Port    uint16 `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &listeners); err != nil {
		return "", fmt.Errorf("listeners: %w", err)
	}
	for _, l := range listeners.Statuses {
		if socket := l.Local.Socket; l.Name == name && socket.Port != 0 {
			return net.JoinHostPort(socket.Address, strconv.Itoa(int(socket.Port))), nil
		}
	}
	return "", errors.New("it is not bound to a port")
}

// poll repeats ask until it succeeds, Envoy ends, or time is up.
func (p *Process) poll(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, adminWait)
	defer cancel()
	pause := time.NewTicker(adminPause)
	defer pause.Stop()
	var obstacle error
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			obstacle = err
		}
		select {
		case <-p.done:
			return errors.Join(errors.New("envoy is not running"), p.err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), obstacle)
		case <-pause.C:
		}
	}
}

func (p *Process) get(ctx context.Context, path string) ([]byte, error) {
	addr, err := p.AdminAddr()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := adminClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, adminMax))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d: %.80q", path, resp.StatusCode, body)
	}
	return body, nil
}
