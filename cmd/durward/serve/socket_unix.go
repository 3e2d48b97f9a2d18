//go:build unix && !linux

package serve

import (
	"context"
	"io/fs"
	"net"
	"syscall"
)

// bindSocket binds a socket file that nobody can connect to whom mode does not let. The
// umask is the whole process's: what another goroutine creates meanwhile has a narrower
// mode than it asked for, never a wider one.
func bindSocket(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	defer syscall.Umask(syscall.Umask(0o777 &^ int(mode.Perm())))
	return new(net.ListenConfig).Listen(ctx, "unix", path)
}
