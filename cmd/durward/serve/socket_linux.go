package serve

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"syscall"
)

// bindSocket binds a socket file that nobody can connect to whom mode does not let: bind
// gives the file the mode that the descriptor has, less the umask, so that there is no
// moment at which it is wider.
func bindSocket(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmod error
		err := c.Control(func(fd uintptr) { chmod = syscall.Fchmod(int(fd), uint32(mode.Perm())) })
		return errors.Join(err, chmod)
	}}
	return config.Listen(ctx, "unix", path)
}
