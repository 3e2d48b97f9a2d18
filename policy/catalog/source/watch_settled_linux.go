package source

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

// lease fails with EAGAIN where somebody has f open for writing. Where nobody has, it
// succeeds, and the kernel lets nobody begin to write until f is closed. Other errors say
// nothing of writers: a lease is for a file's owner and who has CAP_LEASE, and not every
// file system knows it. NFS and SMB say EAGAIN of almost any file.
func lease(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var refused syscall.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, refused = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETLEASE, syscall.F_RDLCK)
	})
	if err == nil && refused != 0 {
		err = refused
	}
	return err
}

// changed is when the file was last changed in any way; no caller can set that time. It is
// zero where it is not known.
func changed(at fs.FileInfo) time.Time {
	if s, ok := at.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctim.Unix())
	}
	return time.Time{}
}
