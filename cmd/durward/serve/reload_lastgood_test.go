package serve

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/durward/durward/policy/catalog/source"
)

// restart starts with a copy kept in dir; the caller closes it.
func restart(t *testing.T, c config, dir string) (*Server, *journal, error) {
	t.Helper()
	log := new(journal)
	s, err := StartWithLastGood(t.Context(), c.file(), dir, slog.New(slog.NewJSONHandler(log, nil)))
	return s, log, err
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestLastGood: a mistake and a restart are no outage, and nobody can miss that they
// happened.
func TestLastGood(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	dir := filepath.Join(t.TempDir(), "kept")
	token := mint(t, okta)
	s, _, err := restart(t, c, dir)
	if err != nil {
		t.Fatal(err)
	}
	// What is kept is what was accepted last, not what was there at the start.
	c.apis = append(c.apis, "returns")
	good := c.text() + "# a comment is kept too\n"
	writeFile(t, c.file(), good, 0o600)
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	revision := s.Catalogue().Revision
	stop(t, s)
	holdsOnly(t, dir, good, okta.Client("gateway").Secret)

	for what, spoil := range map[string]func(){
		"a typo": func() { writeFile(t, c.file(), strings.Replace(good, "apis:", "apos:", 1), 0o600) },
		"a path": func() {
			writeFile(t, c.file(), strings.Replace(good, "client_secret_file: secret", "client_secret_file: absent", 1), 0o600)
		},
		"gone": func() { _ = os.Remove(c.file()) },
	} {
		spoil()
		s, log, err := restart(t, c, dir)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		conn := dial(t, s.Catalogue().Listeners.Check.Address)
		if got := ask(t, conn, "returns", "/returns/7", token); got != "allow" || s.Catalogue().Revision != revision {
			t.Errorf("%s: %s by revision %s", what, got, s.Catalogue().Revision)
		}
		ready(t, s)
		_, verbose := get(t, s, "/readyz?verbose")
		if degraded := testutil.ToFloat64(s.state.copied); degraded != 1 || testutil.ToFloat64(s.state.loaded) != 0 || !strings.Contains(verbose, "degraded") || !strings.Contains(verbose, "  fix: ") {
			t.Errorf("%s: metric %v, %s", what, degraded, verbose)
		}
		if lines := log.lines(t, "degraded: the configuration is rejected; the last good copy serves"); len(lines) == 0 || lines[0]["level"] != "ERROR" {
			t.Errorf("%s: the log says %s", what, log)
		}
		// Once it is good again, nothing is degraded any more.
		writeFile(t, c.file(), good, 0o600)
		if err := s.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		_, verbose = get(t, s, "/readyz?verbose")
		if testutil.ToFloat64(s.state.copied) != 0 || strings.Contains(verbose, "degraded") || strings.Contains(verbose, "rejected") {
			t.Errorf("%s, mended: %s", what, verbose)
		}
		stop(t, s)
	}
}

// holdsOnly looks through the directory of a copy.
func holdsOnly(t *testing.T, dir, text, secret string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v in the directory, %v", entries, err)
	}
	found := false
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil || strings.Contains(string(data), secret) {
			t.Errorf("%s holds a secret, %v", e.Name(), err)
		}
		found = found || string(data) == text
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 || !found {
		t.Errorf("the directory has mode %v, %v; the text is there byte for byte: %v", info.Mode(), err, found)
	}
}

// TestLastGoodIsNotTrusted: a copy that is not what was written, not of this configuration,
// or could be anybody's, is no reason to start.
func TestLastGoodIsNotTrusted(t *testing.T) {
	t.Parallel()
	_, c := newOrg(t)
	_, other := newOrg(t)
	for what, spoil := range map[string]func(dir string, list, text string) error{
		"nothing":  func(dir, _, _ string) error { return os.RemoveAll(dir) },
		"no list":  func(_, list, _ string) error { return os.Remove(list) },
		"no text":  func(_, _, text string) error { return os.Remove(text) },
		"cut list": func(_, list, _ string) error { return os.Truncate(list, 100) },
		"cut text": func(_, _, text string) error { return os.Truncate(text, 100) },
		"other list": func(_, list, _ string) error {
			data, err := os.ReadFile(list)
			return errors.Join(err, os.WriteFile(list, []byte(strings.Replace(string(data), `"name": "."`, `"name": "x.yaml"`, 1)), 0o600))
		},
		"a way out": func(_, list, _ string) error {
			data, err := os.ReadFile(list)
			return errors.Join(err, os.WriteFile(list, []byte(strings.Replace(string(data), `"name": "."`, `"name": "../other/durward.yaml"`, 1)), 0o600))
		},
		"another's": func(dir, _, _ string) error {
			s, _, err := restart(t, other, dir)
			if err == nil {
				stop(t, s)
			}
			return err
		},
		"everybody's":      func(dir, _, _ string) error { return os.Chmod(dir, 0o777) },
		"in everybody's":   func(dir, _, _ string) error { return os.Chmod(filepath.Dir(dir), 0o777) },
		"everybody's list": func(_, list, _ string) error { return os.Chmod(list, 0o666) },
		"the group's text": func(_, _, text string) error { return os.Chmod(text, 0o620) },
		"list is a pipe":   func(_, list, _ string) error { return errors.Join(os.Remove(list), syscall.Mkfifo(list, 0o600)) },
		"text is a pipe":   func(_, _, text string) error { return errors.Join(os.Remove(text), syscall.Mkfifo(text, 0o600)) },
	} {
		dir := filepath.Join(t.TempDir(), "kept")
		c.write(t)
		s, _, err := restart(t, c, dir)
		if err != nil {
			t.Fatal(err)
		}
		stop(t, s)
		texts, err := filepath.Glob(filepath.Join(dir, "*"+textSuffix))
		if err != nil || len(texts) != 1 {
			t.Fatalf("%q, %v", texts, err)
		}
		if err := spoil(dir, filepath.Join(dir, manifestName), texts[0]); err != nil {
			t.Fatal(err)
		}
		writeFile(t, c.file(), "version: 1\napos: []\n", 0o600)
		s, log, err := restart(t, c, dir)
		var config *ConfigError
		if !errors.As(err, &config) || len(log.lines(t, "there is no last good configuration to start with")) != 1 {
			t.Errorf("%s: error %v, log %s", what, err, log)
		}
		if err == nil {
			stop(t, s)
		}
	}
}

// TestKeepRefusesWhatReadWould: a directory that a start would not read from is told of while
// there is time.
func TestKeepRefusesWhatReadWould(t *testing.T) {
	t.Parallel()
	_, c := newOrg(t)
	for what, mode := range map[string][2]os.FileMode{
		"everybody's": {0o755, 0o777}, "the group's": {0o755, 0o775}, "in everybody's": {0o777, 0o700}, "good": {0o777 | os.ModeSticky, 0o700},
	} {
		dir := filepath.Join(t.TempDir(), "kept")
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(filepath.Dir(dir), mode[0]), os.Chmod(dir, mode[1])); err != nil {
			t.Fatal(err)
		}
		s, log, err := restart(t, c, dir)
		if err != nil {
			t.Fatal(err)
		}
		_, verbose := get(t, s, "/readyz?verbose")
		told := strings.Contains(verbose, "the last good one cannot be kept") && len(log.lines(t, "the last good configuration cannot be kept; a restart would find an older one or none")) == 1
		_, unread := s.lastGood.read()
		if told != (what != "good") || (unread != nil) != told {
			t.Errorf("%s: told %t, and at the next start: %v\n%s", what, told, unread, verbose)
		}
		stop(t, s)
	}
}

// TestLastGoodOfAnother: only root can make a file of another owner.
func TestLastGoodOfAnother(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	l := &lastGood{dir: filepath.Join(t.TempDir(), "kept"), path: "/etc/durward"}
	text := copies(l.path)[0]
	if err := l.keep(text); err != nil {
		t.Fatal(err)
	}
	texts, err := filepath.Glob(filepath.Join(l.dir, "*"+textSuffix))
	if err != nil || len(texts) != 3 {
		t.Fatalf("%q, %v", texts, err)
	}
	for _, path := range []string{l.dir, filepath.Join(l.dir, manifestName), texts[0]} {
		if err := os.Chown(path, 12345, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := l.read(); err == nil || !strings.Contains(err.Error(), "somebody else") {
			t.Errorf("%s of another: error %v", path, err)
		}
		if err := os.Chown(path, 0, -1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.read(); err != nil {
		t.Error(err)
	}
}

// TestLastGoodIsBounded: a copy is not larger than what was copied could be.
func TestLastGoodIsBounded(t *testing.T) {
	t.Parallel()
	l := &lastGood{dir: filepath.Join(t.TempDir(), "kept"), path: "/etc/durward"}
	for want, text := range map[string]source.Text{
		"the copy is longer than": source.TextOf(func(yield func(string, []byte) bool) {
			for i := range maxTextTotal/maxText + 1 {
				if !yield(filepath.Join(l.path, fmt.Sprint(i)), bytes.Repeat([]byte("#"), maxText)) {
					return
				}
			}
		}),
		"names more than": source.TextOf(func(yield func(string, []byte) bool) {
			for i := range maxTexts + 1 {
				if !yield(filepath.Join(l.path, fmt.Sprint(i)), []byte("#")) {
					return
				}
			}
		}),
	} {
		if err := l.keep(text); err != nil {
			t.Fatal(err)
		}
		if _, err := l.read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestKeepWritesWhatIsNew: what this process has kept is neither read nor written again, as
// long as it is there.
func TestKeepWritesWhatIsNew(t *testing.T) {
	t.Parallel()
	l := &lastGood{dir: filepath.Join(t.TempDir(), "kept"), path: "/etc/durward"}
	text := copies(l.path)[0]
	if err := l.keep(text); err != nil {
		t.Fatal(err)
	}
	texts, err := filepath.Glob(filepath.Join(l.dir, "*"+textSuffix))
	if err != nil || len(texts) != 3 {
		t.Fatalf("%q, %v", texts, err)
	}
	// What keep does not read it does not mend.
	if err := errors.Join(os.Truncate(texts[0], 1), os.Remove(texts[1]), l.keep(text)); err != nil {
		t.Fatal(err)
	}
	if at, err := os.Stat(texts[0]); err != nil || at.Size() != 1 {
		t.Errorf("it was written again: %v, %v", at, err)
	}
	if at, err := os.Stat(texts[1]); err != nil || at.Size() < 2 {
		t.Errorf("it was not written again: %v, %v", at, err)
	}
	// Another process trusts nothing.
	again := &lastGood{dir: l.dir, path: l.path}
	if err := again.keep(text); err != nil {
		t.Fatal(err)
	}
	if _, err := again.read(); err != nil {
		t.Error(err)
	}
}

// TestLastGoodIsNotForPorts: a busy port is no mistake in the configuration.
func TestLastGoodIsNotForPorts(t *testing.T) {
	t.Parallel()
	_, c := newOrg(t)
	dir := filepath.Join(t.TempDir(), "kept")
	s, _, err := restart(t, c, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, s)
	c.check = s.Catalogue().Listeners.Check.Address
	c.write(t)
	again, _, err := restart(t, c, dir)
	var busy *BusyError
	if !errors.As(err, &busy) || again != nil {
		t.Errorf("error %v", err)
	}
}

// copies are two texts of a configuration of three files.
func copies(path string) [2]source.Text {
	var texts [2]source.Text
	for i := range texts {
		texts[i] = source.TextOf(func(yield func(string, []byte) bool) {
			for _, name := range []string{"a.yaml", "b.yaml", "c.yaml"} {
				if !yield(filepath.Join(path, name), []byte(strings.Repeat(name+string(rune('0'+i)), 5000))) {
					return
				}
			}
		})
	}
	return texts
}

// keptDir names the directory in which a child process keeps copies.
const keptDir = "DURWARD_TEST_KEEP"

// TestKeepAsChild is no test but a writer, for the test that kills it.
func TestKeepAsChild(t *testing.T) {
	dir := os.Getenv(keptDir)
	if dir == "" {
		t.Skip("keeps only as a child of another test")
	}
	l := &lastGood{dir: dir, path: "/etc/durward"}
	for texts := copies(l.path); ; {
		for _, text := range texts {
			if err := l.keep(text); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestP15KilledWhileKeeping (P15): whenever the writer is killed, the copy is whole, and
// what was left half written goes with the next.
func TestP15KilledWhileKeeping(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kept")
	l := &lastGood{dir: dir, path: "/etc/durward"}
	texts := copies(l.path)
	if err := l.keep(texts[0]); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		child := exec.Command(os.Args[0], "-test.run=^TestKeepAsChild$", "-test.timeout=60s")
		child.Env = append(os.Environ(), keptDir+"="+dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(60+7*i) * time.Millisecond)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // killed
		text, err := l.read()
		if err != nil || text.Hash != texts[0].Hash && text.Hash != texts[1].Hash {
			t.Fatalf("kill %d: %v", i, err)
		}
	}
	if err := l.keep(texts[1]); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Errorf("%d files are left, %v", len(entries), err)
	}
	text, err := l.read()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files(texts[1]), files(text)); diff != "" {
		t.Errorf("the copy (-want +got):\n%s", diff)
	}
}

// TestP15PrefixOfCopy (P15): no part of a file of the copy is taken for the whole.
func TestP15PrefixOfCopy(t *testing.T) {
	t.Parallel()
	l := &lastGood{dir: filepath.Join(t.TempDir(), "kept"), path: "/etc/durward"}
	want := copies(l.path)[0]
	if err := l.keep(want); err != nil {
		t.Fatal(err)
	}
	err := fs.WalkDir(os.DirFS(l.dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		path := filepath.Join(l.dir, name)
		whole, err := os.ReadFile(path)
		for cut := 0; cut < len(whole); cut += 1 + len(whole)/300 {
			err = errors.Join(err, os.WriteFile(path, whole[:cut], 0o600))
			if text, err := l.read(); err == nil && text.Hash != want.Hash {
				t.Errorf("%d bytes of %s are taken for a copy", cut, name)
			}
		}
		return errors.Join(err, os.WriteFile(path, whole, 0o600))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.read(); err != nil {
		t.Error(err)
	}
}

func files(t source.Text) map[string]string {
	all := make(map[string]string)
	for name, data := range t.Files() {
		all[name] = string(data)
	}
	return all
}
