package binary

import (
	"os/exec"
	"strconv"
	"syscall"
)

// groupAttr puts a child into a process group of its own, which the terminal's
// Ctrl-C does not reach. macOS has no parent-death signal; see guard.
func groupAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// guard starts a shell that kills the process group when this process has died,
// which it knows from the end of a pipe that only this process holds open. A
// death between the child's start and the shell's leaves the child behind.
func guard(pgid int) (release func(), err error) {
	watch := exec.Command("/bin/sh", "-c", `read -r _; kill -KILL "-$0"`, strconv.Itoa(pgid))
	watch.SysProcAttr = groupAttr()
	if _, err := watch.StdinPipe(); err != nil {
		return nil, err
	}
	if err := watch.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = watch.Process.Kill()
		_ = watch.Wait() // closes the pipe
	}, nil
}
