//go:build unix

package serve

import (
	"io/fs"
	"os"
	"syscall"
)

// isOurs reports whether a file belongs to us, or to root, who can do everything anyway.
func isOurs(at fs.FileInfo) bool {
	s, ok := at.Sys().(*syscall.Stat_t)
	return ok && (s.Uid == 0 || int(s.Uid) == os.Geteuid())
}
