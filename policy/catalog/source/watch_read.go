package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/durward/durward/policy/catalog"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const (
	// patience is how long a reading waits for whoever is writing.
	patience = time.Second
	// recheck is the pause between two looks at files that are not ready.
	recheck = 10 * time.Millisecond
	// absence is how long a file must be gone: editors move it away before they write the
	// new one.
	absence = 200 * time.Millisecond
	// settling is how old the last write must be where nothing better is known.
	settling = 250 * time.Millisecond
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
		t.files = append(t.files, file{name: name, data: data})
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
		content := sha256.Sum256(f.data)
		_, _ = fmt.Fprintf(sum, "%q %x\n", filepath.Base(f.name), content)
	}
	for _, f := range t.findings {
		_, _ = fmt.Fprintf(sum, "%q\n", f.String())
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Reader reads one configuration again and again. It is for one goroutine at a time.
type Reader struct {
	path  string
	names []string
	parts map[content]*part
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

// Read reads all files, none of which is being written, or was changed or moved while the
// others were read. For that it waits up to a second, then fails with an *UnsettledError.
// Else it fails like Load; a file that is there no more is missed for 200 ms before.
//
// A process that is killed while it writes to a file in place leaves what nobody can tell
// from a shorter text. Who renames a whole file to its place does not have that trouble.
func (r *Reader) Read(ctx context.Context) (Text, error) {
	began := time.Now()
	for {
		text, err := r.read(time.Since(began) < absence)
		var unsettled *UnsettledError
		if !errors.As(err, &unsettled) || time.Since(began) > patience {
			r.names = namesIn(text)
			return text, err
		}
		select {
		case <-ctx.Done():
			return Text{}, err
		case <-time.After(recheck):
		}
	}
}

func namesIn(t Text) (names []string) {
	for _, f := range t.files {
		names = append(names, f.name)
	}
	return names
}

// read is one attempt. miss says that what is gone may come back.
func (r *Reader) read(miss bool) (Text, error) {
	names, found, err := namesAt(r.path)
	for _, name := range r.names {
		if miss && !slices.Contains(names, name) {
			return Text{}, &UnsettledError{File: name, Why: "has been moved away"}
		}
	}
	if err != nil {
		return Text{}, err
	}
	var text Text
	if found != nil {
		text.findings = []catalog.Finding{*found}
	} else {
		text.files, text.findings = readAll(r.path, names)
	}
	if err := settled(r.path, names, text.files); err != nil {
		return Text{}, err
	}
	text.Hash = text.hash()
	return text, nil
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

// writtenJustNow judges by the clock, and believes no time far from it.
func writtenJustNow(at fs.FileInfo) bool {
	return time.Since(at.ModTime()).Abs() < settling
}

// Compile is the rest of Load. Files whose bytes were the same the last time are not parsed
// again.
func (r *Reader) Compile(t Text) (*catalog.Catalogue, []catalog.Finding) {
	parsed := make(map[content]*part, len(t.files))
	parts := make([]*part, len(t.files))
	for i, f := range t.files {
		key := content{f.name, sha256.Sum256(f.data)}
		p := r.parts[key]
		if p == nil {
			p = readPart(f, new(durwardv1.Config))
		}
		parsed[key], parts[i] = p, p
	}
	r.parts = parsed
	return compile(newPositions(parts...), slices.Clone(t.findings))
}
