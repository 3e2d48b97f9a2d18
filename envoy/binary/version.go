package binary

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// versionLine matches "version: <commit>/<release>[-dev]/<tree>/<build>/<tls>".
var versionLine = regexp.MustCompile(`(?m)version: [0-9a-f]+/(\d{1,4}\.\d{1,4}\.\d{1,4})[/-]`)

// Version runs path with --version, for at most 30 seconds, and returns the
// release that it reports, such as "1.40.0"; a "-dev" suffix is dropped. It does
// not check that the program really is Envoy.
func Version(ctx context.Context, path string) (string, error) {
	out, err := output(ctx, path, "--version")
	if err != nil {
		return "", err
	}
	found := versionLine.FindStringSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("%s --version does not answer as Envoy does: %q", path, out)
	}
	return found[1], nil
}

// Validate asks the Envoy at path whether it would accept bootstrap, which is
// JSON, for at most 30 seconds. The error of a refused one carries Envoy's words.
func Validate(ctx context.Context, path string, bootstrap []byte) error {
	dir, err := os.MkdirTemp("", "durward-validate-")
	if err != nil {
		return fmt.Errorf("validate bootstrap: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "bootstrap.json") // Envoy tells JSON from YAML by the name
	if err := os.WriteFile(file, bootstrap, 0o600); err != nil {
		return fmt.Errorf("validate bootstrap: %w", err)
	}
	if _, err := output(ctx, path, "--mode", "validate", "--log-level", "warn", "-c", file); err != nil {
		return fmt.Errorf("validate bootstrap: %w", err)
	}
	return nil
}

// output runs a command that must end by itself and returns the last of its output.
func output(ctx context.Context, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var out tail
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w%s", path, strings.Join(args, " "), err, out.indented())
	}
	return out.String(), nil
}

// older compares two releases that versionLine has matched.
func older(a, b string) bool {
	return slices.Compare(numbers(a), numbers(b)) < 0
}

func numbers(release string) []int {
	var ns []int
	for part := range strings.SplitSeq(release, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			n = -1 // older than anything
		}
		ns = append(ns, n)
	}
	return ns
}

// tail keeps the last bytes written to it, for an error text. It is not safe for
// concurrent use.
type tail struct{ kept []byte }

const tailSize = 2048

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if extra := len(t.kept) - tailSize; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(bytes.TrimSpace(t.kept)) }

// indented is the text as lines to end an error with, or nothing.
func (t *tail) indented() string {
	if t.String() == "" {
		return ""
	}
	return ":\n  " + strings.ReplaceAll(t.String(), "\n", "\n  ")
}
