package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/durward/durward/policy/catalog"
)

const (
	// patience is how long a reading waits for whoever is writing: longer than for anybody
	// who perhaps is.
	patience = believing + time.Second
	// recheck is the first pause between two looks at files that are not ready, and
	// maxRecheck the longest.
	recheck, maxRecheck = 10 * time.Millisecond, 80 * time.Millisecond
	// absence is how long a file must be gone: editors move it away before they write the
	// new one.
	absence = 200 * time.Millisecond
)

// UnsettledError says that the files are changing just now.
type UnsettledError struct{ File, Why string }

// Error names the file.
func (e *UnsettledError) Error() string { return e.File + " " + e.Why }

// Text is a configuration before it is parsed: whole files, all of one moment. The zero
// Text is of nothing.
type Text struct {
	// Hash is the hex SHA-256 of the files' names, without directory, and bytes.
	Hash string

	files    []file
	findings []catalog.Finding // of what could not be read
}

// TextOf is the text of files in memory, in that order. Their names stand in positions.
func TextOf(files iter.Seq2[string, []byte]) Text {
	var t Text
	for name, data := range files {
		t.files = append(t.files, file{name: name, data: data, sum: sha256.Sum256(data)})
	}
	t.Hash = t.hash()
	return t
}

// Files are the names and the bytes of the files, which are not to be changed.
func (t Text) Files() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, f := range t.files {
			if !yield(f.name, f.data) {
				return
			}
		}
	}
}

func (t Text) hash() string {
	sum := sha256.New()
	for _, f := range t.files {
		_, _ = fmt.Fprintf(sum, "%q %x\n", filepath.Base(f.name), f.sum)
	}
	for _, f := range t.findings {
		_, _ = fmt.Fprintf(sum, "%q\n", f.String())
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Reader reads one configuration again and again. It is for one goroutine at a time.
type Reader struct {
	path string
	// read is what was read last, by name. Readings that failed do not count.
	read     map[string]file
	parts    map[content]*part
	compiler catalog.Compiler
}

// content identifies what was parsed.
type content struct {
	name string
	sum  [sha256.Size]byte
}

// NewReader is a reader of what Load reads. It has read nothing yet.
func NewReader(path string) *Reader { return &Reader{path: path} }

// Path is what it reads.
func (r *Reader) Path() string { return r.path }

// Read reads all files, none of which seems to be being written, or was changed or moved
// while the others were read. For that it waits up to four seconds, then fails with an
// *UnsettledError. Else it fails like Load; a file that is there no more is missed for 200
// ms before.
//
// Linux says of our own files, of any to who has CAP_LEASE, whether somebody has them open
// for writing. That is believed for 3 s after the last change, so that neither a file system
// that always says so nor a process that never closes a file keeps it from being read. Of
// others' files nothing is known: they are read once nothing has changed them for 1.5 s, but
// at once in a volume of Kubernetes. Who writes in place and pauses for longer than that, or
// is killed, leaves what nobody can tell from a shorter text. Who renames a whole file to its
// place does not have that trouble.
func (r *Reader) Read(ctx context.Context) (Text, error) {
	began := time.Now()
	for pause := recheck; ; pause = min(2*pause, maxRecheck) {
		text, err := r.attempt(time.Since(began) < absence)
		var unsettled *UnsettledError
		if !errors.As(err, &unsettled) || time.Since(began) > patience {
			if err == nil && len(text.findings) == 0 {
				r.read = byName(text.files)
			}
			return text, err
		}
		select {
		case <-ctx.Done():
			return Text{}, err
		case <-time.After(pause):
		}
	}
}

func byName(files []file) map[string]file {
	named := make(map[string]file, len(files))
	for _, f := range files {
		named[f.name] = f
	}
	return named
}

// attempt reads once. miss says that what is gone may come back.
func (r *Reader) attempt(miss bool) (Text, error) {
	names, found, err := namesAt(r.path)
	if gone := r.missing(names); miss && gone != "" {
		return Text{}, &UnsettledError{File: gone, Why: "has been moved away"}
	}
	if err != nil {
		return Text{}, err
	}
	var text Text
	if found != nil {
		text.findings = []catalog.Finding{*found}
	} else {
		var gone string
		if text.files, text.findings, gone = readAll(r.path, names, r.read); miss && gone != "" {
			// So it is for a moment while ..data is swapped.
			return Text{}, &UnsettledError{File: gone, Why: "is not there"}
		}
	}
	if err := settled(r.path, names, text.files); err != nil {
		return Text{}, err
	}
	text.Hash = text.hash()
	return text, nil
}

// missing is the first of the files that were read and are not among names, or "".
func (r *Reader) missing(names []string) string {
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(r.read)) {
		if !there[name] {
			return name
		}
	}
	return ""
}

// settled returns an *UnsettledError unless files still are what is there.
func settled(path string, names []string, files []file) error {
	for _, f := range files {
		if f.writing {
			return &UnsettledError{File: f.name, Why: "is being written"}
		}
		at, err := os.Stat(f.name)
		if err != nil || !os.SameFile(at, f.at) || at.Size() != f.at.Size() || !at.ModTime().Equal(f.at.ModTime()) {
			return &UnsettledError{File: f.name, Why: "changed while it was read"}
		}
	}
	if now, _, err := namesAt(path); err != nil || !slices.Equal(now, names) {
		return &UnsettledError{File: path, Why: "changed while it was read"}
	}
	return nil
}

// Compile is the rest of Load. Files whose bytes were the same the last time are not parsed
// again, and what the change does not touch is not compiled again.
func (r *Reader) Compile(t Text) (*catalog.Catalogue, []catalog.Finding) {
	parsed := make(map[content]*part, len(t.files))
	parts := make([]*part, len(t.files))
	for i, f := range t.files {
		parts[i] = r.parts[content{f.name, f.sum}]
	}
	readParts(t.files, parts)
	for i, f := range t.files {
		parsed[content{f.name, f.sum}] = parts[i]
	}
	r.parts = parsed
	return compile(&r.compiler, newPositions(parts...), slices.Clone(t.findings))
}
