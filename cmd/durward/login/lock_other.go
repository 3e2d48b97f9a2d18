//go:build !linux && !darwin

package login

import (
	"context"
	"errors"
)

// lock refuses: there is no lock here that the end of a process releases, and no file
// mode that keeps tokens from others.
func lock(context.Context, string) (unlock func(), err error) {
	return nil, errors.New("tokens are kept on linux and macOS alone; on windows use WSL2")
}
