package source

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestReadAgain: what has not changed for long is not read again; what has is, whatever its
// size and the time of its last write say.
func TestReadAgain(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a.yaml")
	old := time.Now().Add(-time.Hour)
	write := func(text string) {
		t.Helper()
		time.Sleep(20 * time.Millisecond) // more than the clock of file systems takes for a step
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	read := func(known file) file {
		t.Helper()
		f, err := readFile(name, known)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	write("one\n")
	first := read(file{})
	if first.calm {
		t.Error("a file that was changed just now is calm")
	}
	if again := read(first); &again.data[0] == &first.data[0] {
		t.Error("a file that was changed just now is not read again")
	}
	if changed(first.at).IsZero() {
		t.Skip("this system does not say when a file was changed")
	}
	first.calm = true
	if again := read(first); &again.data[0] != &first.data[0] || again.sum != first.sum {
		t.Error("a calm file is read again")
	}
	write("two\n")
	if again := read(first); string(again.data) != "two\n" || again.sum == first.sum {
		t.Errorf("it reads %q", again.data)
	}
}

// TestIsCalm holds that a file is calm once no later change can have the time of its last.
func TestIsCalm(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(name, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if changed(at).IsZero() {
		t.Skip("this system does not say when a file was changed")
	}
	for after, want := range map[time.Duration]bool{-time.Hour: false, 0: false, granularity: false, granularity + 1: true, time.Hour: true} {
		if isCalm(at, changed(at).Add(after)) != want {
			t.Errorf("%v after its last change: calm is %v", after, !want)
		}
	}
}
