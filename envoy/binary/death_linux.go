package binary

import "syscall"

// groupAttr puts a child into a process group of its own, which the terminal's
// Ctrl-C does not reach, and has the kernel kill it when the thread that forked
// it dies. So the caller locks its goroutine to the thread until the child ended.
func groupAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// guard has nothing to add to the parent-death signal.
func guard(int) (release func(), err error) { return func() {}, nil }
