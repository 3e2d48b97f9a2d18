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
	"github.com/durward/durward/policy/clientkey"
)

// Sizes of the largest files that are read.
const (
	maxSecretBytes = 4 << 10
	maxKeyBytes    = 64 << 10
)

// ReadSecret reads what a server's client authenticates with, without a final newline:
// its secret, or the text of its private key, which has been parsed. A public client has
// neither. One of the findings is an error where the file is absent, malformed or
// writable by others, and the text is empty then.
func ReadSecret(s *catalog.AuthorizationServer) (string, []catalog.Finding) {
	text, found := readSecret("", s, true)
	for i := range found {
		found[i].Path = "" // s does not know which of the servers it is
	}
	return text, found
}

// readSecret finds at paths below that of the server.
func readSecret(path string, s *catalog.AuthorizationServer, needed bool) (string, []catalog.Finding) {
	client := s.Introspection
	if client.KeyFile == "" {
		secret := named{path + ".introspection.client_secret_file", client.SecretFile, client.SecretAt}
		text, found := secret.private(maxSecretBytes, needed)
		if text == "" {
			return "", found
		}
		if strings.ContainsAny(text, "\r\n\x00") {
			return "", append(found, secret.finding(catalog.SecretFile, fmt.Sprintf("%s has more than one line", client.SecretFile)))
		}
		return text, found
	}
	key := named{path + ".introspection.private_key_file", client.KeyFile, client.KeyAt}
	text, found := key.private(maxKeyBytes, needed)
	if text == "" {
		return "", found
	}
	if _, err := clientkey.Parse([]byte(text), client.KeyID); err != nil {
		return "", append(found, key.finding(badKey, fmt.Sprintf("%s: %s", client.KeyFile, err)))
	}
	return text, found
}

// named is a file that a catalogue names by the key at the end of path.
type named struct {
	path, file string
	at         catalog.Position
}

func (n named) finding(code, message string) catalog.Finding {
	key := n.path[strings.LastIndexByte(n.path, '.')+1:]
	f := catalog.NewFinding(code, n.at, key+": "+message)
	f.Path = n.path
	return f
}

// private reads a file that its owner alone can change, and should alone be able to
// read. The text is empty if the file cannot be used, and where none is named.
func (n named) private(limit int64, needed bool) (string, []catalog.Finding) {
	if n.file == "" {
		return "", nil
	}
	text, mode, err := readGuarded(n.file, limit)
	if err != nil {
		return "", []catalog.Finding{n.unusable(catalog.SecretFile, err, needed)}
	}
	if mode&0o004 != 0 {
		message := fmt.Sprintf("%s can be read by everybody on this machine (mode %04o)", n.file, mode)
		return text, []catalog.Finding{n.finding(catalog.ReadableSecret, message)}
	}
	return text, nil
}

// unusable is a finding of a file that could not be read. Where it is not needed, its
// absence is worth a warning.
func (n named) unusable(code string, err error, needed bool) catalog.Finding {
	f := n.finding(code, err.Error())
	if !needed && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
		f.Severity = catalog.Warning
	}
	return f
}

// readGuarded reads a file that nobody but its owner can change, nor replace, without
// its final newline. It is not empty.
func readGuarded(path string, limit int64) (text string, mode fs.FileMode, err error) {
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
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", 0, err
	}
	text = strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case int64(len(data)) > limit:
		return "", 0, fmt.Errorf("%s is longer than %d bytes", path, limit)
	case text == "":
		return "", 0, fmt.Errorf("%s is empty", path)
	}
	return text, mode, nil
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

// resolveFiles makes the paths of the files that we read absolute: they are relative to
// the file that names them. It comes after the revision was computed, which the place of
// a configuration in the file system does not change.
func resolveFiles(cat *catalog.Catalogue) error {
	for _, s := range cat.Servers {
		if err := resolve(s.At, &s.Introspection.SecretFile, &s.Introspection.KeyFile, &s.CAFile); err != nil {
			return err
		}
	}
	for _, l := range []catalog.Listener{cat.Listeners.Check, cat.Listeners.XDS} {
		if l.TLS == nil {
			continue
		}
		if err := resolve(l.TLS.At, &l.TLS.CertFile, &l.TLS.KeyFile, &l.TLS.ClientCAFile); err != nil {
			return err
		}
	}
	return nil
}

func resolve(at catalog.Position, files ...*string) error {
	for _, file := range files {
		if *file == "" {
			continue
		}
		name := *file
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(at.File), name)
		}
		absolute, err := filepath.Abs(name)
		if err != nil {
			return errors.New("the working directory is unknown, and a file relative to it")
		}
		if *file != absolute { // or it is of a Catalogue that serves already
			*file = absolute
		}
	}
	return nil
}
