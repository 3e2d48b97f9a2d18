//go:build !unix

package serve

import (
	"context"
	"errors"
	"io/fs"
	"net"
)

// bindSocket refuses: a mode that the system does not hold would be a promise broken.
func bindSocket(context.Context, string, fs.FileMode) (net.Listener, error) {
	return nil, errors.New("unix sockets need Linux or macOS; on Windows, run durward inside WSL2")
}
