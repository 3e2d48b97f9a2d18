package binary

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"
)

// progress is one line about a fetch. Who starts it must end it.
type progress struct {
	out   io.Writer
	text  string
	dir   string // where the bytes arrive
	live  bool   // redrawn in place
	quit  chan struct{}
	ended chan struct{}
}

func startProgress(out io.Writer, text, dir string) *progress {
	if out == nil {
		out = io.Discard
	}
	return newProgress(out, text, dir, isTerminal(out))
}

func newProgress(out io.Writer, text, dir string, live bool) *progress {
	p := &progress{out: out, text: text, dir: dir, live: live, quit: make(chan struct{}), ended: make(chan struct{})}
	if !live {
		fmt.Fprintf(out, "%s …\n", text)
		close(p.ended)
		return p
	}
	go p.redraw()
	return p
}

func (p *progress) redraw() {
	defer close(p.ended)
	began := time.Now()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		fmt.Fprintf(p.out, "\r\x1b[K%s … %.1f MB, %d s", p.text, float64(arrived(p.dir))/1e6, int(time.Since(began).Seconds()))
		select {
		case <-p.quit:
			return
		case <-tick.C:
		}
	}
}

// end replaces the line by its last words and waits for its goroutine.
func (p *progress) end(result string) {
	close(p.quit)
	<-p.ended
	if p.live {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintf(p.out, "%s … %s\n", p.text, result)
}

// arrived is how much of the wheel there is. Pip may keep it twice for a while, in
// its temporary directory and in its destination.
func arrived(dir string) int64 {
	var largest int64
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".whl" {
			return nil //nolint:nilerr // files come and go while we look
		}
		if st, err := d.Info(); err == nil {
			largest = max(largest, st.Size())
		}
		return nil
	})
	return largest
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
