package login

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

const maxSecret = 4 << 10

// readPrivate reads a regular file of at most limit bytes whose mode has none of the
// forbidden bits.
func readPrivate(path string, limit int64, forbidden fs.FileMode) ([]byte, error) {
	// Without blocking: a named pipe must not stop us.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if mode := stat.Mode().Perm(); mode&forbidden != 0 {
		return nil, fmt.Errorf("others can read or write %s (mode %04o)\n  fix: chmod 600 %s, and sign in again if they may have", path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return text, err
}

// readSecret reads a client secret, without a final newline. No path is no secret. A
// file that others can write is refused.
func readSecret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := readPrivate(path, maxSecret, 0o022)
	if err != nil {
		return "", fmt.Errorf("client secret: %w", err)
	}
	secret := string(bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")))
	if secret == "" || strings.ContainsAny(secret, "\r\n\x00") {
		return "", errors.New("client secret: " + path + " is empty or has more than one line")
	}
	return secret, nil
}

// escape makes a directory's name mean itself in a pattern of filepath.Glob.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}
