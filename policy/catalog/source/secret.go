package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/durward/durward/policy/catalog"
)

// maxSecretBytes is the size of the largest secret file that is read.
const maxSecretBytes = 4 << 10

// ReadSecret reads a server's client secret, without a final newline. A public client
// has none. One of the findings is an error where the file is absent, malformed or
// writable by others, and the secret is empty then.
func ReadSecret(s *catalog.AuthorizationServer) (string, []catalog.Finding) {
	return readSecret(s, true)
}

func readSecret(s *catalog.AuthorizationServer, needed bool) (string, []catalog.Finding) {
	path := s.Introspection.SecretFile
	if path == "" {
		return "", nil
	}
	secret, mode, err := readPrivate(path)
	if err != nil {
		f := catalog.NewFinding(catalog.SecretFile, s.Introspection.SecretAt, "client_secret_file: "+err.Error())
		if !needed && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
			f.Severity = catalog.Warning
		}
		return "", []catalog.Finding{f}
	}
	if mode&0o004 != 0 {
		message := fmt.Sprintf("client_secret_file: %s can be read by everybody on this machine (mode %04o)", path, mode)
		return secret, []catalog.Finding{catalog.NewFinding(catalog.ReadableSecret, s.Introspection.SecretAt, message)}
	}
	return secret, nil
}

// readPrivate reads a file that nobody but its owner can change, nor replace.
func readPrivate(path string) (secret string, mode fs.FileMode, err error) {
	if err := checkDirectories(path); err != nil {
		return "", 0, err
	}
	// Without blocking: a named pipe must not stop a reload.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = f.Close() }()
	at, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	mode = at.Mode().Perm()
	switch {
	case !at.Mode().IsRegular():
		return "", 0, fmt.Errorf("%s is not a regular file", path)
	case mode&0o022 != 0:
		return "", 0, fmt.Errorf("%s can be written by others (mode %04o)", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", 0, err
	}
	secret = strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case len(text) > maxSecretBytes:
		return "", 0, fmt.Errorf("%s is longer than %d bytes", path, maxSecretBytes)
	case secret == "":
		return "", 0, fmt.Errorf("%s is empty", path)
	case strings.ContainsAny(secret, "\r\n\x00"):
		return "", 0, fmt.Errorf("%s has more than one line", path)
	}
	return secret, mode, nil
}

// checkDirectories refuses a file that everybody may put another in the place of:
// where it is named, and where a symbolic link leads. A sticky bit keeps others off.
func checkDirectories(path string) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(target)} {
		at, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if at.Mode().Perm()&0o002 != 0 && at.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("%s can be replaced by everybody: its directory %s has mode %04o", path, dir, at.Mode().Perm())
		}
	}
	return nil
}
