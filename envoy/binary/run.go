package binary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// stopGrace is how long Envoy may take to end after SIGTERM.
const stopGrace = 5 * time.Second

// Command describes one run of Envoy.
type Command struct {
	// Path is what [Find] returned.
	Path string
	// Dir is an existing directory of this run's own, best with mode 0700. Start
	// writes bootstrap.json (0600) and admin-address there, and leaves them.
	Dir string
	// Bootstrap is Envoy's bootstrap configuration as JSON. [Process.Ready] and
	// [Process.ListenerAddr] need an admin listener on TCP, which may have port
	// 0, that answers /ready and /listeners.
	Bootstrap []byte
	// Args are further arguments. -c, --admin-address-path, --disable-hot-restart,
	// --log-level (warn), --concurrency (2) and --drain-time-s (1) are given already,
	// and Envoy refuses to be given one twice.
	Args []string
	// Stdout and Stderr get Envoy's output; nil discards it. They are never
	// written to at the same time, so they may be the same writer.
	Stdout, Stderr io.Writer
}

// Process is an Envoy that [Start] has started. Its methods may be called from
// any goroutine.
type Process struct {
	cmd       *exec.Cmd
	adminFile string
	stopping  atomic.Bool
	lastWords tail // of standard error; read after done only
	err       error
	done      chan struct{} // closed after err is set
}

// Start runs Envoy in a process group of its own. It ends with [Process.Stop],
// or with this process, however that ends: on Linux the kernel sees to it, on
// macOS a shell that waits for the end of a pipe. Start does not wait for Envoy
// to be ready.
func Start(c Command) (*Process, error) {
	bootstrap, admin := filepath.Join(c.Dir, "bootstrap.json"), filepath.Join(c.Dir, "admin-address")
	if c.Dir == "" {
		return nil, errors.New("start envoy: no directory given")
	}
	// What a former run left would be read as this run's.
	if err := errors.Join(remove(bootstrap), remove(admin)); err != nil {
		return nil, fmt.Errorf("start envoy: %w", err)
	}
	if err := os.WriteFile(bootstrap, c.Bootstrap, 0o600); err != nil {
		return nil, fmt.Errorf("start envoy: %w", err)
	}
	// Without hot restart, Envoys on one machine share no base id, socket or memory.
	args := append([]string{
		"-c", bootstrap, "--admin-address-path", admin, "--disable-hot-restart",
		"--log-level", "warn", "--concurrency", "2", "--drain-time-s", "1",
	}, c.Args...)
	p := &Process{
		cmd:       exec.Command(c.Path, args...), //nolint:noctx // Stop and the parent's death end it, not a context
		adminFile: admin, done: make(chan struct{}),
	}
	var mu sync.Mutex
	p.cmd.Stdout = &turns{&mu, orDiscard(c.Stdout)}
	p.cmd.Stderr = &turns{&mu, io.MultiWriter(&p.lastWords, orDiscard(c.Stderr))}
	p.cmd.SysProcAttr = groupAttr()
	p.cmd.WaitDelay = time.Second
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start envoy: %w", err)
	}
	return p, nil
}

// run owns the child from fork to reaping. The thread that forks must live as
// long as the child: it is that thread's death that the kernel reports.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	release, err := guard(p.cmd.Process.Pid)
	if err != nil {
		p.stopping.Store(true)
		err = errors.Join(err, killGroup(p.cmd.Process.Pid), p.cmd.Wait())
		started <- err
		return
	}
	started <- nil
	err = p.cmd.Wait()
	// A wrapper script may end before the Envoy that it started.
	_ = killGroup(p.cmd.Process.Pid)
	release()
	if !p.stopping.Load() {
		p.err = fmt.Errorf("envoy exited (%v)%s", exitReason(err), p.lastWords.indented())
	}
	close(p.done)
}

func exitReason(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// PID is the process id of Envoy, which is also its process group's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when Envoy has ended, for whatever reason.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is nil until Done is closed, and stays nil if Stop was called before Envoy
// ended. Otherwise it tells how Envoy ended, with its last words.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Stop ends the process group: with SIGTERM, after five seconds or at the end of
// ctx with SIGKILL. It returns once Envoy is gone; the error says that it is not.
// Stopping an Envoy that has ended does nothing.
func (p *Process) Stop(ctx context.Context) error {
	p.stopping.Store(true)
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := termGroup(p.PID()); err != nil {
		return fmt.Errorf("stop envoy: %w", err)
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	case <-grace.C:
	}
	if err := killGroup(p.PID()); err != nil {
		return fmt.Errorf("stop envoy: %w", err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopGrace):
		return fmt.Errorf("stop envoy: process %d outlives SIGKILL", p.PID())
	}
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// turns lets writers that share a mutex write one at a time.
type turns struct {
	mu *sync.Mutex
	w  io.Writer
}

func (t *turns) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.Write(p)
}
