package binary

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// answering is a listener that needs nobody else: it answers every request with 418.
const answering = `{
  "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "allow_paths": [{"exact": "/ready"}, {"prefix": "/listeners"}]},
  "static_resources": {"listeners": [{
    "name": "edge",
    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
    "filter_chains": [{"filters": [{
      "name": "envoy.filters.network.http_connection_manager",
      "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"],
          "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 418}}]}]},
        "http_filters": [{"name": "envoy.filters.http.router",
          "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}]}
}`

const parentDir = "DURWARD_TEST_PARENT_DIR"

// TestMain is also the process that TestKilledParent kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(parentDir); dir != "" {
		if err := beParent(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func beParent(dir string) error {
	path, err := Find(context.Background(), Options{Progress: os.Stderr})
	if err != nil {
		return err
	}
	p, err := Start(Command{Path: path, Dir: dir, Bootstrap: []byte(answering), Stderr: os.Stderr})
	if err != nil {
		return err
	}
	if err := p.Ready(context.Background()); err != nil {
		return err
	}
	fmt.Println(p.PID())
	<-p.Done()
	return p.Err()
}

func realEnvoy(t *testing.T) string {
	t.Helper()
	path, err := Find(t.Context(), Options{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func start(t *testing.T, c Command) *Process {
	t.Helper()
	c.Dir = t.TempDir()
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// within fails the test if the condition does not hold in time.
func within(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", limit, what)
		}
	}
}

// gone counts a process that nobody has reaped yet as ended.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestRun(t *testing.T) {
	t.Parallel()
	path := realEnvoy(t)
	if err := Validate(t.Context(), path, []byte(answering)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := start(t, Command{Path: path, Bootstrap: []byte(answering), Args: []string{"--component-log-level", "main:info"}, Stdout: &out, Stderr: &out})
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	addr, err := p.ListenerAddr(t.Context(), "edge")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTeapot {
		t.Errorf("listener answers %d, want 418", resp.StatusCode)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if addr, err := p.ListenerAddr(ctx, "absent"); err == nil {
		t.Errorf("listener that is not there has address %s", addr)
	}
	st, err := os.Stat(filepath.Join(filepath.Dir(p.adminFile), "bootstrap.json"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("bootstrap: %v, %v; want mode 0600", st.Mode(), err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err != nil {
		t.Errorf("stopped on purpose, but Err is %v", err)
	}
	if !strings.Contains(out.String(), "caught ENVOY_SIGTERM") {
		t.Errorf("Envoy did not end by SIGTERM; it wrote:\n%s", out.String())
	}
	if resp, err := http.Get("http://" + addr); err == nil {
		resp.Body.Close()
		t.Error("listener still answers after Stop")
	}
}

func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	path := realEnvoy(t)
	for range 2 {
		if err := start(t, Command{Path: path, Bootstrap: []byte(answering)}).Ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestRefusedBootstrap(t *testing.T) {
	t.Parallel()
	path := realEnvoy(t)
	const bad = `{"no_such_field": 1}`
	if err := Validate(t.Context(), path, []byte(bad)); err == nil || !strings.Contains(err.Error(), "no_such_field") {
		t.Errorf("Validate: %v, want an error with Envoy's words", err)
	}
	p := start(t, Command{Path: path, Bootstrap: []byte(bad)})
	if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "no_such_field") {
		t.Errorf("Ready: %v, want an error with Envoy's words", err)
	}
	<-p.Done()
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("Err: %v, want the exit status", err)
	}
}

func TestUnexpectedExit(t *testing.T) {
	t.Parallel()
	p := start(t, Command{Path: realEnvoy(t), Bootstrap: []byte(answering)})
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("Err: %v, want the signal", err)
	}
}

// A stubborn wrapper with a child must not outlive Stop, nor Stop its context.
func TestStopEndsTheGroup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wrapper := script(t, filepath.Join(dir, "wrapper"), "#!/bin/sh\ntrap '' TERM\nsleep 600 &\necho $! >"+dir+"/new\nmv "+dir+"/new "+dir+"/pid\nwait\n")
	p := start(t, Command{Path: wrapper})
	child := 0
	within(t, 10*time.Second, "wrapper has started its child", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "pid"))
		child, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return child != 0
	})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := p.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 200*time.Millisecond || took > stopGrace {
		t.Errorf("SIGKILL after %v, want it at the end of the context", took)
	}
	within(t, 5*time.Second, "the wrapper's child is gone", func() bool { return gone(child) })
}

// The kernel reports the death of the thread that forked. If that were the
// caller's, Envoy would end with it.
func TestCallersThreadMayEnd(t *testing.T) {
	t.Parallel()
	path := realEnvoy(t)
	type result struct {
		p   *Process
		err error
	}
	// Two threads, held at once: the main thread may be one, and it never ends.
	results := make(chan result)
	var held sync.WaitGroup
	held.Add(2)
	for range 2 {
		dir := t.TempDir()
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			held.Done()
			held.Wait()
			p, err := Start(Command{Path: path, Dir: dir, Bootstrap: []byte(answering)})
			results <- result{p, err}
		}()
	}
	first, second := <-results, <-results
	for _, r := range []result{first, second} {
		if r.err != nil {
			t.Error(r.err)
			continue
		}
		defer r.p.Stop(context.Background())
		select {
		case <-r.p.Done():
			t.Errorf("Envoy ended with its caller's thread: %v", r.p.Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func TestKilledParent(t *testing.T) {
	t.Parallel()
	realEnvoy(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	parent := exec.CommandContext(ctx, self)
	parent.Env = append(os.Environ(), parentDir+"="+t.TempDir())
	parent.Stderr = os.Stderr
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(io.LimitReader(stdout, 100)).ReadString('\n')
	killed := parent.Process.Kill()
	_ = parent.Wait() // always an error: it was killed
	if err != nil || killed != nil {
		t.Fatalf("parent said %q: %v; kill: %v", line, err, killed)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "Envoy ended with its killed parent", func() bool { return gone(pid) })
}
