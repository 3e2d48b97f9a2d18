package source

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/durward/durward/policy/catalog"
)

// Bounds on what is read at all.
const (
	maxFileBytes  = 4 << 20
	maxTotalBytes = 64 << 20
	maxFiles      = 1024
)

// Codes of the findings about text, schema and the files that a catalogue names, as in
// the table of catalog.Rules.
const (
	badSyntax     = "DW001"
	unknownKey    = "DW002"
	duplicateKey  = "DW003"
	indirection   = "DW004"
	wrongType     = "DW005"
	brokenRule    = "DW006"
	outOfBounds   = "DW007"
	badVersion    = "DW008"
	manyDocuments = "DW009"
	unreadable    = "DW010"
	splitSection  = "DW011"
	notPlainText  = "DW012"
	noExpansion   = "DW013"
	inlineSecret  = "DW310"

	badKey         = "DW317"
	badCertificate = "DW318"
)

// file is the whole text of one catalogue file.
type file struct {
	name string
	data []byte
	// sum is that of data where the file is of a Text.
	sum [sha256.Size]byte
	// at is what was opened, and writing that somebody perhaps was writing to it; both
	// are of a file that was read. calm says that whatever changes it after that changes
	// its times.
	at            fs.FileInfo
	writing, calm bool
}

// readFiles reads the file at path, or those of the directory there.
func readFiles(path string) ([]file, []catalog.Finding, error) {
	names, found, err := namesAt(path)
	if err != nil {
		return nil, nil, err
	}
	if found != nil {
		return nil, []catalog.Finding{*found}, nil
	}
	files, findings, _ := readAll(path, names, nil)
	return files, findings, nil
}

// namesAt lists the files to read, or finds why they cannot make a catalogue.
func namesAt(path string) ([]string, *catalog.Finding, error) {
	at, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	if !at.IsDir() {
		return []string{path}, nil, nil
	}
	names, err := listDirectory(path, false)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: %w", err)
	}
	if len(names) == 0 {
		f := newFinding(unreadable, path, "the directory holds no *.yaml or *.yml file")
		f.Fix = "write a configuration there, or name another file or directory"
		return nil, &f, nil
	}
	if len(names) > maxFiles {
		f := newFinding(outOfBounds, path, fmt.Sprintf("the directory holds more than %d files", maxFiles))
		return nil, &f, nil
	}
	return names, nil, nil
}

// readAll reads files, of which some may be known from before by their names. gone is one
// that was there when they were listed, or a link that leads nowhere.
func readAll(path string, names []string, known map[string]file) (files []file, findings []catalog.Finding, gone string) {
	total := 0
	for _, name := range names {
		f, err := readFile(name, known[name])
		switch {
		case errors.Is(err, errTooLarge):
			findings = append(findings, tooLarge(name))
			continue
		case err != nil:
			if errors.Is(err, fs.ErrNotExist) {
				gone = name
			}
			findings = append(findings, newFinding(unreadable, name, reasonOf(err)))
			continue
		}
		if total += len(f.data); total > maxTotalBytes {
			findings = append(findings, newFinding(outOfBounds, path, "the files are larger than 64 MiB in all"))
			return nil, findings, ""
		}
		files = append(files, f)
	}
	return files, findings, gone
}

// listDirectory returns the paths of the catalogue files, or of the policy tests, in a
// directory, sorted.
func listDirectory(dir string, tests bool) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		extension := filepath.Ext(e.Name())
		if strings.HasPrefix(e.Name(), ".") || extension != ".yaml" && extension != ".yml" || IsTest(e.Name()) != tests {
			continue
		}
		names = append(names, filepath.Join(dir, e.Name()))
	}
	return names, nil
}

// IsTest reports whether a path is that of policy tests, which no catalogue holds:
// *_test.yaml or *_test.yml.
func IsTest(path string) bool {
	return strings.HasSuffix(strings.TrimSuffix(path, filepath.Ext(path)), "_test")
}

// Tests returns the paths of the policy tests beside a catalogue, a file or a directory,
// sorted. The error wraps fs.ErrNotExist where no catalogue is.
func Tests(path string) ([]string, error) {
	at, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("policy tests: %w", err)
	}
	dir := path
	if !at.IsDir() {
		dir = filepath.Dir(path)
	}
	names, err := listDirectory(dir, true)
	if err != nil {
		return nil, fmt.Errorf("policy tests: %w", err)
	}
	if len(names) > maxFiles {
		return nil, fmt.Errorf("policy tests: the directory holds more than %d files of them", maxFiles)
	}
	return names, nil
}

var (
	errTooLarge   = errors.New("the file is too large")
	errNotRegular = errors.New("this is not a regular file")
)

// readFile reads a regular file of at most maxFileBytes. It opens without blocking: a
// named pipe must not stop a reload. What is known of it from before is not read again.
func readFile(name string, known file) (file, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return file{}, err
	}
	defer f.Close()
	at, err := f.Stat()
	if err != nil {
		return file{}, err
	}
	if !at.Mode().IsRegular() {
		return file{}, errNotRegular
	}
	writing := beingWritten(f, at)
	// Again: a writer may have come to an end in between.
	if at, err = f.Stat(); err != nil {
		return file{}, err
	}
	if known.calm && !writing && sameTimes(known.at, at) {
		return known, nil
	}
	if at.Size() > maxFileBytes {
		return file{}, errTooLarge
	}
	calm := isCalm(at, time.Now())
	data := bytes.NewBuffer(make([]byte, 0, at.Size()+bytes.MinRead))
	if _, err := data.ReadFrom(io.LimitReader(f, maxFileBytes+1)); err != nil {
		return file{}, err
	}
	if data.Len() > maxFileBytes {
		return file{}, errTooLarge
	}
	return file{name, data.Bytes(), sha256.Sum256(data.Bytes()), at, writing, calm}, nil
}

// sameTimes reports whether nothing has changed the file since it was a calm one.
func sameTimes(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && changed(a).Equal(changed(b))
}

// granularity is coarser than the times of any file system.
const granularity = 3 * time.Second

// isCalm reports whether the last change of a file was so long before now that another one
// from now on will not have the same time.
func isCalm(at fs.FileInfo, now time.Time) bool {
	then := changed(at)
	return !then.IsZero() && now.Sub(then) > granularity
}

// reasonOf says why a file cannot be read, without repeating its name.
func reasonOf(err error) string {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return "the file cannot be read: " + pathErr.Err.Error()
	}
	return err.Error()
}

func tooLarge(name string) catalog.Finding {
	return newFinding(outOfBounds, name, "the file is larger than 4 MiB")
}

// newFinding is about a file or a directory as a whole.
func newFinding(code, name, message string) catalog.Finding {
	return catalog.NewFinding(code, catalog.Position{File: name}, message)
}
