package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/durward/durward/policy/catalog/source"
)

const (
	// manifestName is the file that says what the last good configuration is. It comes into
	// its place last, and in one step.
	manifestName = "last-good.json"
	// Suffixes of files that are one text each, named by their hash, and of files that are
	// not whole yet.
	textSuffix, newSuffix = ".durward", ".durward-new"

	maxManifest = 1 << 20
	// As much as a configuration may hold: files, bytes of one and of all.
	maxTexts, maxText, maxTextTotal = 1024, 4 << 20, 64 << 20
)

// lastGood is a directory with a copy of the configuration that was accepted last. Secrets
// are not in it: a configuration has their paths only.
type lastGood struct {
	dir string
	// path is the configuration's, absolute: a copy of another is no use.
	path string
	// kept are the names of the files that this process knows to be whole, keep's alone.
	kept map[string]bool
}

// manifest lists the files of the copy in their order.
type manifest struct {
	// Path is that of the configuration, Hash that of its source.Text.
	Path  string         `json:"path"`
	Hash  string         `json:"hash"`
	Files []manifestFile `json:"files"`
}

type manifestFile struct {
	// Name is relative to the configuration's path: "." where that is a file itself.
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// newLastGood is nil without a directory.
func newLastGood(dir, path string) (*lastGood, error) {
	if dir == "" {
		return nil, nil
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("last good configuration: %w", err)
	}
	return &lastGood{dir: dir, path: absolute}, nil
}

// startDegraded starts with the copy. rejected is why the present configuration is not
// used, and the error where the copy is of no use either.
func startDegraded(ctx context.Context, reader *source.Reader, copies *lastGood, log *slog.Logger, rejected error) (*Server, error) {
	text, err := copies.read()
	if err != nil {
		log.Error("there is no last good configuration to start with", "error", err.Error())
		return nil, rejected
	}
	s, err := start(ctx, reader, text, log)
	if err != nil {
		log.Error("the last good configuration cannot serve any more", "error", err.Error())
		return nil, rejected
	}
	s.lastGood = copies
	s.judged = "" // the present one is tried again: what it lacked may not be in its text
	s.state.degrade(rejected)
	s.told = rejected.Error()
	for _, why := range reasons(rejected) {
		log.Error("degraded: the configuration is rejected; the last good copy serves", why.key, why.told, "fix", why.fix, "revision", s.cat.Revision)
	}
	return s, nil
}

// keep makes text the copy, and writes of it what is not there. However it ends, also by a
// kill, what read returns is whole: the text from before, or this one. An error says that a
// start could find none.
func (l *lastGood) keep(text source.Text) error {
	there, err := l.prepare()
	if err != nil {
		return err
	}
	m := manifest{Path: l.path, Hash: text.Hash}
	needed := map[string]bool{manifestName: true}
	for name, data := range text.Files() {
		relative, err := l.relative(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		f := manifestFile{relative, hex.EncodeToString(sum[:])}
		m.Files = append(m.Files, f)
		file := f.SHA256 + textSuffix
		needed[file] = true
		if there[file] && l.kept[file] {
			continue
		}
		if _, err := l.text(f); err == nil {
			continue
		}
		if err := l.write(file, data); err != nil {
			return err
		}
	}
	list, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := l.write(manifestName, append(list, '\n')); err != nil {
		return err
	}
	l.kept = needed
	return l.sweep(there)
}

// prepare makes the directory, where it is not there, and lists it.
func (l *lastGood) prepare() (there map[string]bool, err error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, err
	}
	if err := l.checkDirectory(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	there = make(map[string]bool, len(entries))
	for _, e := range entries {
		there[e.Name()] = true
	}
	return there, nil
}

// checkDirectory refuses a directory in which others than we and root can write, or in
// whose place everybody can put another: where it is named, and where a symbolic link
// leads. A sticky bit keeps others off.
func (l *lastGood) checkDirectory() error {
	at, err := os.Stat(l.dir)
	if err != nil {
		return err
	}
	if !at.IsDir() {
		return fmt.Errorf("%s is not a directory", l.dir)
	}
	if err := checkGuarded(l.dir, at); err != nil {
		return err
	}
	target, err := filepath.EvalSymlinks(l.dir)
	if err != nil {
		return err
	}
	for _, parent := range []string{filepath.Dir(filepath.Clean(l.dir)), filepath.Dir(target)} {
		at, err := os.Stat(parent)
		if err != nil {
			return err
		}
		if at.Mode().Perm()&0o002 != 0 && at.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("%s can be replaced by everybody: it is in %s, of mode %04o", l.dir, parent, at.Mode().Perm())
		}
	}
	return nil
}

// checkGuarded refuses what others than we and root could have written.
func checkGuarded(path string, at fs.FileInfo) error {
	switch {
	case !isOurs(at):
		return fmt.Errorf("%s belongs to somebody else", path)
	case at.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s can be written by others (mode %04o)", path, at.Mode().Perm())
	}
	return nil
}

func (l *lastGood) relative(name string) (string, error) {
	absolute, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	return filepath.Rel(l.path, absolute)
}

// write puts a file into its place whole, and onto the disk before.
func (l *lastGood) write(name string, data []byte) (err error) {
	f, err := os.CreateTemp(l.dir, "*"+newSuffix) // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(l.dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDirectory(l.dir)
}

// syncDirectory makes a rename outlive a loss of power, where the system can.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	_ = d.Sync()
	return nil
}

// sweep removes what older copies, and writes that were cut short, have left.
func (l *lastGood) sweep(there map[string]bool) (err error) {
	for name := range there {
		ours := strings.HasSuffix(name, textSuffix) || strings.HasSuffix(name, newSuffix)
		if ours && !l.kept[name] {
			err = errors.Join(err, os.Remove(filepath.Join(l.dir, name)))
		}
	}
	return err
}

// read returns the copy if it is whole, of this configuration, and nobody else could have
// written it.
func (l *lastGood) read() (source.Text, error) {
	text, err := l.open()
	if err != nil {
		return source.Text{}, fmt.Errorf("last good configuration: %w", err)
	}
	return text, nil
}

func (l *lastGood) open() (source.Text, error) {
	if err := l.checkDirectory(); err != nil {
		return source.Text{}, err
	}
	list, err := readBounded(filepath.Join(l.dir, manifestName), maxManifest)
	if err != nil {
		return source.Text{}, err
	}
	var m manifest
	strict := json.NewDecoder(bytes.NewReader(list))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&m); err != nil {
		return source.Text{}, fmt.Errorf("%s: %w", manifestName, err)
	}
	if m.Path != l.path {
		return source.Text{}, fmt.Errorf("%s holds a copy of %s", l.dir, m.Path)
	}
	return l.assemble(m)
}

// assemble gives each text the name it had, since positions and the paths of secrets depend
// on it.
func (l *lastGood) assemble(m manifest) (source.Text, error) {
	if len(m.Files) > maxTexts {
		return source.Text{}, fmt.Errorf("%s names more than %d files", manifestName, maxTexts)
	}
	names, texts := make([]string, len(m.Files)), make([][]byte, len(m.Files))
	total := 0
	for i, f := range m.Files {
		var err error
		if texts[i], err = l.text(f); err != nil {
			return source.Text{}, err
		}
		if total += len(texts[i]); total > maxTextTotal {
			return source.Text{}, fmt.Errorf("the copy is longer than %d bytes", maxTextTotal)
		}
		if f.Name != filepath.Base(f.Name) {
			return source.Text{}, fmt.Errorf("%s names the file %q", manifestName, f.Name)
		}
		names[i] = filepath.Join(l.path, f.Name)
	}
	text := source.TextOf(func(yield func(string, []byte) bool) {
		for i, name := range names {
			if !yield(name, texts[i]) {
				return
			}
		}
	})
	if text.Hash != m.Hash {
		return source.Text{}, fmt.Errorf("%s is not what was written", manifestName)
	}
	return text, nil
}

// text reads one file of the copy.
func (l *lastGood) text(f manifestFile) ([]byte, error) {
	sum, err := hex.DecodeString(f.SHA256)
	if err != nil || len(sum) != sha256.Size {
		return nil, fmt.Errorf("%s names no hash for %s", manifestName, f.Name)
	}
	data, err := readBounded(filepath.Join(l.dir, hex.EncodeToString(sum)+textSuffix), maxText)
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(data); !bytes.Equal(got[:], sum) {
		return nil, fmt.Errorf("the copy of %s is not what was written", f.Name)
	}
	return data, nil
}

// readBounded reads a regular file of at most limit bytes that we or root alone could have
// written.
func readBounded(path string, limit int64) ([]byte, error) {
	// Without blocking: a named pipe must not stop the start.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	at, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !at.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := checkGuarded(path, at); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return data, err
}
