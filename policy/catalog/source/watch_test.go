package source_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durward/durward/policy/catalog/source"
)

// reading is what a Watch read last.
type reading struct {
	text   string
	err    error
	counts int
}

// watcher reads what it is told of, as a server does.
type watcher struct {
	mu  sync.Mutex
	now reading
}

// watch watches path until the test ends, and has read it once when it returns.
func watch(t *testing.T, path string) *watcher {
	t.Helper()
	w := new(watcher)
	reader := source.NewReader(path)
	ctx, cancel := context.WithCancel(context.Background())
	var task sync.WaitGroup
	task.Go(func() {
		source.Watch(ctx, path, slog.New(slog.DiscardHandler), func() time.Duration {
			text, err := reader.Read(ctx)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.now = reading{joined(text), err, w.now.counts + 1}
			var unsettled *source.UnsettledError
			if errors.As(err, &unsettled) {
				return 20 * time.Millisecond
			}
			return 0
		})
	})
	t.Cleanup(func() { cancel(); task.Wait() })
	w.until(t, "it has looked once", func(r reading) bool { return r.counts > 0 })
	return w
}

func joined(t source.Text) string {
	var b strings.Builder
	for _, data := range t.Files() {
		b.Write(data)
	}
	return b.String()
}

// until waits for less time than the slow poll takes, and returns how long it was.
func (w *watcher) until(t *testing.T, what string, holds func(reading) bool) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		w.mu.Lock()
		now := w.now
		w.mu.Unlock()
		if holds(now) {
			return time.Since(began)
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("waited in vain: %s; %+v", what, now)
		}
		time.Sleep(time.Millisecond)
	}
}

func (w *watcher) reads(t *testing.T, want string) {
	t.Helper()
	w.until(t, fmt.Sprintf("it reads %q", want), func(r reading) bool { return r.err == nil && r.text == want })
}

func succeed(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// save writes as editors do that never leave a file half written.
func save(t testing.TB, path, text string) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), ".next")
	write(t, next, []byte(text))
	succeed(t, os.Rename(next, path))
}

// TestWatchFile goes through the ways in which a file gets another text.
func TestWatchFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "durward.yaml")
	write(t, path, []byte("one\n"))
	w := watch(t, path)
	w.reads(t, "one\n")

	save(t, path, "renamed\n")
	w.reads(t, "renamed\n")
	write(t, path, []byte("in place\n"))
	w.reads(t, "in place\n")
	// vim: the old file is kept under another name until the new one is whole.
	succeed(t, os.Rename(path, path+"~"))
	write(t, path, []byte("moved away\n"))
	succeed(t, os.Remove(path+"~"))
	w.reads(t, "moved away\n")

	succeed(t, os.Remove(path))
	w.until(t, "it misses the file", func(r reading) bool { return errors.Is(r.err, fs.ErrNotExist) })
	write(t, path, []byte("back\n"))
	w.reads(t, "back\n")
	// An inode that is used again, with the size of what was before it.
	succeed(t, os.Remove(path))
	write(t, path, []byte("bock\n"))
	w.reads(t, "bock\n")
}

// TestWatchDirectory: files come, change and go.
func TestWatchDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "conf")
	succeed(t, os.Mkdir(dir, 0o700))
	write(t, filepath.Join(dir, "a.yaml"), []byte("a\n"))
	w := watch(t, dir)
	w.reads(t, "a\n")
	save(t, filepath.Join(dir, "b.yml"), "b\n")
	w.reads(t, "a\nb\n")
	succeed(t, os.Remove(filepath.Join(dir, "a.yaml")))
	w.reads(t, "b\n")

	// The directory is exchanged for another, which is watched from then on.
	next := dir + ".next"
	succeed(t, os.Mkdir(next, 0o700))
	write(t, filepath.Join(next, "c.yaml"), []byte("c\n"))
	succeed(t, os.Rename(dir, dir+".old"), os.Rename(next, dir))
	w.reads(t, "c\n")
	save(t, filepath.Join(dir, "d.yaml"), "d\n")
	w.reads(t, "c\nd\n")

	succeed(t, os.RemoveAll(dir))
	w.until(t, "it misses the directory", func(r reading) bool { return errors.Is(r.err, fs.ErrNotExist) })
	succeed(t, os.Mkdir(dir, 0o700))
	write(t, filepath.Join(dir, "e.yaml"), []byte("e\n"))
	w.reads(t, "e\n")
}

// configMap lays a version out as Kubernetes does.
func configMap(t *testing.T, dir, version string, files map[string]string) {
	t.Helper()
	succeed(t, os.Mkdir(filepath.Join(dir, version), 0o700))
	for name, text := range files {
		write(t, filepath.Join(dir, version, name), []byte(text))
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			succeed(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
		}
	}
	before, _ := os.Readlink(filepath.Join(dir, "..data"))
	succeed(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")),
		os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	if before != "" {
		succeed(t, os.RemoveAll(filepath.Join(dir, before)))
	}
}

// TestWatchConfigMap: a swap of ..data is seen by a directory and by a file of it, and no
// reading mixes two versions.
func TestWatchConfigMap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	configMap(t, dir, "..0", map[string]string{"a.yaml": "a0\n", "b.yaml": "b0\n"})
	whole, single := watch(t, dir), watch(t, filepath.Join(dir, "a.yaml"))
	reader := source.NewReader(dir)
	for i := 1; i <= 30; i++ {
		a, b := fmt.Sprintf("a%d\n", i), fmt.Sprintf("b%d\n", i)
		done := make(chan struct{})
		go func() {
			defer close(done)
			text, err := reader.Read(t.Context())
			if got := joined(text); err != nil || got != a+b && got != fmt.Sprintf("a%d\nb%d\n", i-1, i-1) {
				t.Errorf("during swap %d: %q, %v", i, got, err)
			}
		}()
		configMap(t, dir, fmt.Sprintf("..%d", i), map[string]string{"a.yaml": a, "b.yaml": b})
		<-done
	}
	whole.reads(t, "a30\nb30\n")
	single.reads(t, "a30\n")
}

// TestWatchLinkedDirectory: a link to a checkout is pointed to another, as git-sync does.
func TestWatchLinkedDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, version := range []string{"one", "two"} {
		succeed(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "a.yaml"), []byte(version+"\n"))
	}
	link := filepath.Join(dir, "current")
	succeed(t, os.Symlink("one", link))
	w := watch(t, link)
	w.reads(t, "one\n")
	succeed(t, os.Symlink("two", link+".next"), os.Rename(link+".next", link))
	w.reads(t, "two\n")
	save(t, filepath.Join(dir, "two", "a.yaml"), "three\n")
	w.reads(t, "three\n")
}

// TestReadWaitsForTheWriter (P15): whatever a writer has written so far is not read before
// the writer has closed the file, however long it goes on writing.
func TestReadWaitsForTheWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "durward.yaml")
	write(t, path, []byte("the old text\n"))
	w := watch(t, path)
	w.reads(t, "the old text\n")
	text := strings.Repeat("the new text is longer than one write\n", 10)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	succeed(t, err)
	for _, part := range strings.SplitAfter(text, "\n") {
		_, err := f.WriteString(part)
		succeed(t, err)
		time.Sleep(500 * time.Millisecond)
		w.until(t, "anything", func(r reading) bool {
			if r.err == nil && r.text != "the old text\n" {
				t.Errorf("it reads %q", r.text)
			}
			return true
		})
	}
	w.until(t, "it says that the file is being written", func(r reading) bool {
		var unsettled *source.UnsettledError
		return errors.As(r.err, &unsettled) && unsettled.File == path
	})
	succeed(t, f.Close())
	w.reads(t, text)
}

// TestWatchStorm (C13): of a hundred edits a second, of two kinds, the last one wins, and
// no reading is of a part of one.
func TestWatchStorm(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "durward.yaml")
	text := func(i int) string { return strings.Repeat(fmt.Sprintf("edit %d\n", i), 1000) }
	write(t, path, []byte(text(0)))
	w := watch(t, path)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	const edits = 200
	for i := 1; i <= edits; i++ {
		<-tick.C
		if i%2 == 0 {
			save(t, path, text(i))
		} else {
			write(t, path, []byte(text(i)))
		}
		w.until(t, "anything", func(r reading) bool {
			if first, _, _ := strings.Cut(r.text, "\n"); r.err == nil && r.text != strings.Repeat(first+"\n", 1000) {
				t.Errorf("it reads a part of %s", first)
			}
			return true
		})
	}
	w.reads(t, text(edits))
	w.until(t, "it looked many times", func(r reading) bool { return r.counts > 10 })
}

// TestReadMissesWhatIsMovedAway: an editor that moves the old file away before it writes
// the new one removes no API in between. What stays away is gone.
func TestReadMissesWhatIsMovedAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	write(t, a, []byte("a\n"))
	write(t, b, []byte("b\n"))
	for path, want := range map[string]string{a: "new\n", dir: "new\nb\n"} {
		reader := source.NewReader(path)
		read := func() string {
			t.Helper()
			text, err := reader.Read(t.Context())
			succeed(t, err)
			return joined(text)
		}
		read()
		succeed(t, os.Rename(a, a+"~"))
		saved := make(chan error, 1)
		go func() {
			time.Sleep(50 * time.Millisecond)
			saved <- os.WriteFile(a, []byte("new\n"), 0o600)
		}()
		got := read()
		succeed(t, <-saved)
		if got != want {
			t.Errorf("%s: it reads %q between, want %q", path, got, want)
		}
	}
	reader := source.NewReader(dir)
	_, err := reader.Read(t.Context())
	succeed(t, err, os.Remove(a))
	if text, err := reader.Read(t.Context()); err != nil || joined(text) != "b\n" {
		t.Errorf("without a.yaml: %q, %v", joined(text), err)
	}
}
