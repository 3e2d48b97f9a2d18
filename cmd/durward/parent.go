package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// poll is how often a command looks for its parent, or its terminal.
const poll = 250 * time.Millisecond

// withParent ends the context when `go run`, which passes no SIGTERM on, is gone. A
// durward that was started in any other way may outlive its parent.
func withParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	if exe, err := os.Executable(); err == nil && madeByGoRun(exe) {
		go cancelWhen(ctx, cancel, func() bool { return os.Getppid() != parent })
	}
	return ctx, cancel
}

// withTerminal ends the context when the terminal that a command was started from is
// closed. The hang-up signal cannot say so: it means "read the configuration again".
func withTerminal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if isTerminal(os.Stdin) {
		go cancelWhen(ctx, cancel, func() bool {
			tty, err := os.Open("/dev/tty")
			if err != nil {
				return true
			}
			return tty.Close() != nil
		})
	}
	return ctx, cancel
}

// cancelWhen polls; it ends with ctx.
func cancelWhen(ctx context.Context, cancel context.CancelFunc, gone func() bool) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if gone() {
				cancel()
			}
		}
	}
}

// cachedDir is the directory of an executable in the build cache, wherever that is.
var cachedDir = regexp.MustCompile(`^[0-9a-f]{64}-d$`)

// madeByGoRun reports whether an executable lies where `go run` puts its own: in a
// temporary go-build directory, from the second time on in the build cache.
func madeByGoRun(exe string) bool {
	return strings.Contains(exe, "go-build") || cachedDir.MatchString(filepath.Base(filepath.Dir(exe)))
}
