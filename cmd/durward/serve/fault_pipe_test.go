package serve

import (
	"os"
	"testing"
	"time"
)

// F30, the other half: nobody reads the log's pipe. Decisions go on, and what is lost is
// counted.
func faultStoppedPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := NewLogWriter(w)
	t.Cleanup(func() {
		_ = r.Close() // the writer that hangs gets EPIPE
		<-l.Close()
		_ = w.Close()
	})
	i := newIdp(t)
	s, conn := newEdge(t, i).launchWith(t, l)
	tried(t, s)
	text := i.mint(t, time.Hour)
	const n = 6000 // 64 KiB of pipe and the queue hold less
	got, times := crowd(t, conn, n, 10, 2*time.Second, func(int) (string, string) { return "main-long", text })
	if got["allow"] != n || l.Dropped() == 0 {
		t.Errorf("%v and %d lines dropped, want %d allows and some", got, l.Dropped(), n)
	}
	within(t, conn, "median with a stopped pipe", percentile(times, 50), 5*time.Millisecond)
	t.Logf("%d of %d lines dropped", l.Dropped(), n)
}
