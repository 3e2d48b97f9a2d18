package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/durward/durward/envoy/binary"
)

// beDurward makes the test binary the program itself.
const beDurward = "DURWARD_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(beDurward) != "" {
		main()
	}
	os.Exit(m.Run())
}

// output is what a program has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is a durward that runs beside the test.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	ended          chan struct{}
}

// start runs durward, or another program that does, until it ends, at the latest with
// the test.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.ended); _ = cmd.Wait() }() // ProcessState tells
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

// durward is a command line of ours. Of the variables that set flags, only the one that
// names an Envoy is handed on.
func durward(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	for _, v := range append(os.Environ(), beDurward+"=1") {
		if !strings.HasPrefix(v, envPrefix) || strings.HasPrefix(v, beDurward) || strings.HasPrefix(v, binary.EnvPath+"=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	return cmd
}

// says waits until standard output or error holds text.
func (p *process) says(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !strings.Contains(p.stdout.String()+p.stderr.String(), text) {
		select {
		case <-p.ended:
			t.Fatalf("it ended without saying %q:\n%s%s", text, p.stdout.String(), p.stderr.String())
		case <-deadline:
			t.Fatalf("it does not say %q:\n%s%s", text, p.stdout.String(), p.stderr.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code, -1 for a signal.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		t.Fatalf("it does not end:\n%s%s", p.stdout.String(), p.stderr.String())
		return 0
	}
}

// anywhere are the flags of a demo that collides with nothing.
func anywhere(state string) []string {
	args := []string{"--state", state}
	for _, flag := range []string{"gateway", "okta", "backend", "check", "xds", "ops", "admin"} {
		args = append(args, "--"+flag, "127.0.0.1:0")
	}
	return args
}

// freeAddress is one that nobody listens on just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func takenAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// site is what a configuration of the tests leaves open.
type site struct {
	check, xds, issuer, client, backend string
}

// write puts the configuration into a directory of its own, with the secret beside it.
func (s site) write(t *testing.T, secret string) (file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "durward.yaml")
	text := fmt.Sprintf(`version: 1
gateways: [ { name: edge, listen: "127.0.0.1:0", url: "http://127.0.0.1:10000" } ]
listeners: { check: { address: %q }, xds: { address: %q }, ops: { address: "127.0.0.1:0" }, admin: { address: "127.0.0.1:0" } }
authorization_servers:
  - name: default
    issuer: %s
    audience: api://default
    introspection: { client_id: %s, client_secret_file: secret }
token_policies: [ { name: okta-users, authorization_server: default, verify: introspection } ]
organizations: [ { name: retail, applications: [ { name: mobile, client_ids: [0oaMOBILE] } ] } ]
apis:
  - name: orders
    frontend: { hosts: ["*"], path: /orders }
    backend: { url: %q }
    token_policy: okta-users
    operations: [ { methods: [GET], path: "/{id}", scopes: { all: [orders.read] } } ]
grants: [ { api: orders, organization: retail, applications: [mobile] } ]
`, s.check, s.xds, s.issuer, s.client, s.backend)
	err := errors.Join(
		os.WriteFile(file, []byte(text), 0o600),
		os.WriteFile(filepath.Join(dir, "secret"), []byte(secret), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// somewhere is a good configuration that is never served.
func somewhere() site {
	return site{"127.0.0.1:9001", "127.0.0.1:18000", "https://example.okta.com/oauth2/default", "0oaGATEWAY", "http://127.0.0.1:1"}
}

// processesWith lists the processes whose command line mentions the marker.
func processesWith(t *testing.T, marker string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Skip("there is no /proc to look for processes in")
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		pid, noPID := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && noPID == nil && bytes.Contains(line, []byte(marker)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// allGone waits until no process mentions the marker, which only those of the test do.
func allGone(t *testing.T, marker string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := processesWith(t, marker)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, pid := range left {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			t.Fatalf("processes %v are left; they are killed now", left)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// runs executes one short command line in this process's stead.
func runs(t *testing.T, dir string, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	short := durward(args...)
	cmd := exec.CommandContext(ctx, short.Path, short.Args[1:]...)
	cmd.Dir, cmd.Env = dir, append(short.Env, env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if failure := cmd.Run(); failure != nil && !errors.As(failure, new(*exec.ExitError)) {
		t.Fatal(failure)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}
