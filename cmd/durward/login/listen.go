package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
)

// CallbackPath is the path of the redirect URIs.
const CallbackPath = "/callback"

// DefaultPorts returns the ports of the redirect URIs that are registered at Okta, in
// the order in which they are tried. Okta compares redirect URIs with their ports.
func DefaultPorts() []int { return []int{8765, 18765} }

func redirectURI(port int) string {
	return "http://127.0.0.1:" + strconv.Itoa(port) + CallbackPath
}

// listen binds the first free port on loopback, and says who has those before it.
func listen(ctx context.Context, ports []int, out io.Writer) (net.Listener, error) {
	var busy []string
	for _, port := range ports {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			if len(busy) > 0 {
				_, _ = fmt.Fprintf(out, "port %s; using %d\n", strings.Join(busy, ", port "), port)
			}
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("listen for the callback: %w", err)
		}
		busy = append(busy, fmt.Sprintf("%d is in use by %s", port, owner(port)))
	}
	return nil, fmt.Errorf("no port is free for the callback: %s.\n  fix: end one of them; Okta knows no other redirect URI", strings.Join(busy, ", "))
}
