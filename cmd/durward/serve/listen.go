package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/durward/durward/policy/catalog"
)

// BusyError is a port or socket that another process has.
type BusyError struct {
	// Name is the port's purpose, Address what was asked for.
	Name, Address string
	Err           error
}

// Error names the port and the key that moves it.
func (e *BusyError) Error() string {
	return fmt.Sprintf("the %s address %s is in use by another process; listeners.%s.address in the configuration moves it", e.Name, e.Address, e.Name)
}

// Unwrap returns the system's error.
func (e *BusyError) Unwrap() error { return e.Err }

// Listen binds host:port or unix:/path. A socket file that nobody listens on is
// replaced; the new one has mode, and never had a wider one.
func Listen(ctx context.Context, name, address string, mode fs.FileMode) (l net.Listener, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		l, err = listenAt(ctx, path, mode)
	} else {
		l, err = new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &BusyError{Name: name, Address: address, Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, err)
	}
	return l, nil
}

func listenAt(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := bindSocket(ctx, path, mode)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil { // what the umask took away
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes a socket that a killed process left.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return c.Close() // in use: binding it will say so
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	default: // somebody may be there
		return err
	}
}

// bound returns cat with the addresses that the listeners really have, so that port 0
// can be told to Envoy.
func bound(cat *catalog.Catalogue, check, xds net.Addr) *catalog.Catalogue {
	c := *cat
	c.Listeners.Check.Address = addressOf(check)
	c.Listeners.XDS.Address = addressOf(xds)
	return &c
}

func addressOf(a net.Addr) string {
	if a.Network() == "unix" {
		return "unix:" + a.String()
	}
	return a.String()
}

// moved reports whether what was bound at the start, or whether it speaks TLS, would be
// another now.
func moved(a, b catalog.Listeners) bool {
	return differ(a.Check, b.Check) || differ(a.XDS, b.XDS) || a.Ops != b.Ops || a.Admin != b.Admin
}

func differ(a, b catalog.Listener) bool {
	return a.Address != b.Address || a.Mode != b.Mode || (a.TLS == nil) != (b.TLS == nil)
}

// staying returns now with the TLS or the plaintext that the port was bound with, which
// only a new start changes: Envoy must not be told otherwise. Other files for a port that
// has TLS do count.
func staying(now, was catalog.Listener) catalog.Listener {
	if (now.TLS == nil) != (was.TLS == nil) {
		now.TLS = was.TLS
	}
	return now
}
