package source

import (
	"io/fs"
	"os"
	"syscall"
)

// beingWritten reports whether anybody has f open for writing. The kernel grants a lease on
// reading only where nobody has, and lets nobody begin to write until f is closed. Where
// it grants none, as on files of others, the time of the last write must do.
func beingWritten(f *os.File, at fs.FileInfo) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return writtenJustNow(at)
	}
	var refused syscall.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, refused = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETLEASE, syscall.F_RDLCK)
	})
	switch {
	case err == nil && refused == 0:
		return false
	case err == nil && refused == syscall.EAGAIN:
		return true
	default:
		return writtenJustNow(at)
	}
}
