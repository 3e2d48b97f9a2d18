package binary

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressOnTerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "half.whl"), make([]byte, 1_500_000), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, "fetching", dir, true)
		time.Sleep(1100 * time.Millisecond)
		p.end("done")
		drawn := strings.Split(out.String(), "\r\x1b[K")
		if len(drawn) < 4 {
			t.Errorf("drawn %d times in 1.1 s: %q", len(drawn), out.String())
		}
		if got, want := drawn[len(drawn)-2], "fetching … 1.5 MB, 1 s"; got != want {
			t.Errorf("last redrawn line %q, want %q", got, want)
		}
		if got, want := drawn[len(drawn)-1], "fetching … done\n"; got != want {
			t.Errorf("last line %q, want %q", got, want)
		}
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Errorf("%d lines, want one redrawn in place", n)
		}
	})
}
