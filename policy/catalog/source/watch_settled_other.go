//go:build !linux

package source

import (
	"io/fs"
	"os"
)

// beingWritten guesses whether anybody is writing to f.
func beingWritten(_ *os.File, at fs.FileInfo) bool { return writtenJustNow(at) }
