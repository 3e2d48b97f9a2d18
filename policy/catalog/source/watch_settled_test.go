package source_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/durward/durward/policy/catalog/source"
)

// TestReadBesideAnIdleWriter: a process that keeps a file open for writing, and a file
// system that says so of every file, put a reading off, and do not prevent it.
func TestReadBesideAnIdleWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "durward.yaml")
	write(t, path, []byte("text\n"))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	succeed(t, err)
	defer f.Close()
	began := time.Now()
	text, err := source.NewReader(path).Read(t.Context())
	if took := time.Since(began); err != nil || joined(text) != "text\n" || runtime.GOOS == "linux" && took < 2*time.Second {
		t.Errorf("after %v it reads %q, %v", took, joined(text), err)
	}
}

// TestReadMissesAfterFailures: a reading that fails, of a directory that is gone or empty,
// does not make it forget which files there were before.
func TestReadMissesAfterFailures(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "conf")
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	for name, spoil := range map[string]func(){
		"gone":  func() { succeed(t, os.RemoveAll(dir)) },
		"empty": func() { succeed(t, os.Remove(a), os.Remove(b)) },
	} {
		succeed(t, os.MkdirAll(dir, 0o700))
		write(t, a, []byte("a\n"))
		write(t, b, []byte("b\n"))
		reader := source.NewReader(dir)
		_, err := reader.Read(t.Context())
		succeed(t, err)
		spoil()
		if text, err := reader.Read(t.Context()); joined(text) != "" || name == "gone" && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s: it reads %q, %v", name, joined(text), err)
		}
		succeed(t, os.MkdirAll(dir, 0o700))
		write(t, a, []byte("a\n"))
		saved := make(chan error, 1)
		go func() {
			time.Sleep(50 * time.Millisecond)
			saved <- os.WriteFile(b, []byte("b\n"), 0o600)
		}()
		text, err := reader.Read(t.Context())
		succeed(t, err, <-saved)
		if joined(text) != "a\nb\n" {
			t.Errorf("%s: it reads %q", name, joined(text))
		}
	}
}

// readAsOther names, in a process that readingAsOther started, what to read again and again.
const readAsOther = "DURWARD_TEST_READ_AS_OTHER"

// readingAsOther starts a process of a user who may read the files of a root and have no
// lease on them. What it returns waits for the next text, says how long it was read, and how
// many warnings came before.
func readingAsOther(t *testing.T, path string) func() (took time.Duration, text string, warnings int) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", "-test.run=^TestReadOfOthers$")
	cmd.Env = append(os.Environ(), readAsOther+"="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	succeed(t, err)
	stop, err := cmd.StdinPipe()
	succeed(t, err, cmd.Start())
	t.Cleanup(func() { succeed(t, stop.Close(), cmd.Wait()) })
	lines := bufio.NewReader(out)
	return func() (took time.Duration, text string, warnings int) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			succeed(t, err)
			if !strings.Contains(line, "level=WARN") {
				_, err = fmt.Sscanf(line, "%d %q", &took, &text)
				succeed(t, err)
				return took, text, warnings
			}
			warnings++
		}
	}
}

// readAgain is that process. It ends with its input.
func readAgain(t *testing.T, path string) {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	reader, last := source.NewReader(path), ""
	source.Watch(t.Context(), path, slog.New(slog.NewTextHandler(os.Stdout, nil)), func() time.Duration {
		began := time.Now()
		text, err := reader.Read(t.Context())
		if err == nil && text.Hash != last {
			last = text.Hash
			fmt.Printf("%d %q\n", time.Since(began), joined(text))
		}
		return 5 * time.Millisecond
	})
}

// openTempDir is a directory that everybody may look into.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	succeed(t, os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755))
	return dir
}

// TestReadOfOthers: of files of another user, a text is whole although its writer pauses,
// and a volume of Kubernetes is read without waiting for anybody.
func TestReadOfOthers(t *testing.T) {
	if path := os.Getenv(readAsOther); path != "" {
		readAgain(t, path)
	}
	t.Parallel()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("only root on Linux can have a file read by another user")
	}
	path := filepath.Join(openTempDir(t), "durward.yaml")
	succeed(t, os.WriteFile(path, []byte("old\n"), 0o644))
	next := readingAsOther(t, path)
	if took, text, warnings := next(); text != "old\n" || took < time.Second || warnings != 1 {
		t.Errorf("after %v and %d warnings it reads %q", took, warnings, text)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	succeed(t, err)
	for range 4 {
		_, err := f.WriteString("new\n")
		succeed(t, err)
		time.Sleep(600 * time.Millisecond)
	}
	succeed(t, f.Close())
	if took, text, warnings := next(); text != strings.Repeat("new\n", 4) || warnings > 0 {
		t.Errorf("after %v and %d warnings it reads %q", took, warnings, text)
	}

	volume := openTempDir(t)
	configMap(t, volume, "..0", map[string]string{"a.yaml": "a0\n", "b.yaml": "b0\n"})
	succeed(t, os.Chmod(filepath.Join(volume, "..0"), 0o755), os.Chmod(filepath.Join(volume, "a.yaml"), 0o644), os.Chmod(filepath.Join(volume, "b.yaml"), 0o644))
	if took, text, warnings := readingAsOther(t, volume)(); text != "a0\nb0\n" || took > time.Second || warnings > 0 {
		t.Errorf("a volume: after %v and %d warnings it reads %q", took, warnings, text)
	}
}

// TestReadWaitsForTheSwap: a link that leads nowhere for a moment, as those through ..data do
// while the version that they led to is removed, is no mistake; one that goes on is.
func TestReadWaitsForTheSwap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b.yaml"), []byte("b\n"))
	succeed(t, os.Symlink("target", filepath.Join(dir, "a.yaml")))
	text, err := source.NewReader(dir).Read(t.Context())
	if got := joined(text); err != nil || got != "b\n" {
		t.Errorf("a link that leads nowhere: %q, %v", got, err)
	}
	time.AfterFunc(50*time.Millisecond, func() {
		if err := os.WriteFile(filepath.Join(dir, "target"), []byte("a\n"), 0o600); err != nil {
			t.Error(err)
		}
	})
	text, err = source.NewReader(dir).Read(t.Context())
	if got := joined(text); err != nil || got != "a\nb\n" {
		t.Errorf("a link that led nowhere for 50 ms: %q, %v", got, err)
	}
}
