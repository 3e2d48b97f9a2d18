package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const staying = "Ctrl-C stops everything"

// However the demo ends, nothing of it is left: Envoy's command line names its
// directory, which lies in the state directory.
func TestDemoLeavesNothing(t *testing.T) {
	t.Parallel()
	findEnvoy(t)
	for name, tt := range map[string]struct {
		signal syscall.Signal
		code   int
	}{
		"kill":      {syscall.SIGKILL, -1},
		"terminate": {syscall.SIGTERM, 0},
		"interrupt": {syscall.SIGINT, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state := filepath.Join(t.TempDir(), "state")
			p := start(t, durward(append([]string{"demo"}, anywhere(state)...)...))
			p.says(t, staying)
			if n := len(processesWith(t, state)); n != 2 {
				t.Errorf("%d processes name the state directory, want durward and Envoy", n)
			}
			p.signal(t, tt.signal)
			if code := p.exit(t); code != tt.code {
				t.Errorf("exit code %d, want %d:\n%s", code, tt.code, p.stderr.String())
			}
			allGone(t, state)
		})
	}
}

// `go run` hands on no SIGTERM, and its end must be the demo's too.
func TestGoRunTerminated(t *testing.T) {
	t.Parallel()
	findEnvoy(t)
	// What takes long is done before the clock runs.
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	state := filepath.Join(t.TempDir(), "state")
	cmd := exec.Command("go", append([]string{"run", ".", "demo"}, anywhere(state)...)...)
	cmd.Env = durward().Env
	p := start(t, cmd)
	p.says(t, staying)
	p.signal(t, syscall.SIGTERM)
	p.exit(t)
	allGone(t, state)
}
