package source

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// settling is how long nothing must have changed a file of which nobody can say whether
	// it is open for writing: a writer that pauses for longer is not noticed.
	settling = 1500 * time.Millisecond
	// believing is how long after its last change a file is believed to be open for writing:
	// some file systems say so of all, and some processes never close one.
	believing = 3 * time.Second
)

// beingWritten reports whether somebody has f open for writing, and where the kernel does
// not tell, whether somebody may have.
func beingWritten(f *os.File, at fs.FileInfo) bool {
	switch err := lease(f); {
	case err == nil:
		return false
	case errors.Is(err, syscall.EAGAIN):
		return changedWithin(at, believing)
	}
	return !inVolume(f.Name()) && changedWithin(at, settling)
}

// changedWithin judges by the clock, and believes no time far from it.
func changedWithin(at fs.FileInfo, span time.Duration) bool {
	return time.Since(at.ModTime()).Abs() < span || time.Since(changed(at)).Abs() < span
}

// inVolume reports whether name is of a volume of Kubernetes: a link through the link
// ..data, which is put there after the files it leads to, and these are never written again.
func inVolume(name string) bool {
	to, err := os.Readlink(name)
	if err != nil || filepath.Dir(to) != "..data" {
		return false
	}
	_, err = os.Readlink(filepath.Join(filepath.Dir(name), "..data"))
	return err == nil
}

// warnOfWriters says, if it is so, that writers to the files at path cannot be noticed.
func warnOfWriters(path string, log *slog.Logger) {
	names, _, _ := namesAt(path)
	for _, name := range names {
		if inVolume(name) {
			continue
		}
		f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue // whoever reads it says so
		}
		err = lease(f)
		_ = f.Close()
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			log.Warn("whether somebody is writing to the configuration cannot be told; a file is read when it has not changed for "+settling.String(),
				"file", name, "error", err.Error(), "fix", "write whole files and rename them; the owner of the files, and who has CAP_LEASE, need not wait")
			return
		}
	}
}
