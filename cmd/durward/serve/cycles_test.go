package serve

import (
	"log/slog"
	"os"
	"runtime"
	"testing"
	"time"
)

// residue is what a process still holds: goroutines, descriptors and bytes of heap.
type residue struct {
	goroutines, files int
	heap              int64
}

// residueNow waits, for at most five seconds, until no less remains than before.
func residueNow(t *testing.T, bound residue) residue {
	t.Helper()
	var r residue
	for range 50 {
		runtime.GC()
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc to count descriptors in")
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		r = residue{runtime.NumGoroutine(), len(entries), int64(m.HeapAlloc)}
		if r.goroutines <= bound.goroutines && r.files <= bound.files && r.heap <= bound.heap {
			return r
		}
		time.Sleep(100 * time.Millisecond)
	}
	return r
}

// cycle is one life of a server: it starts, decides, reloads and closes.
func cycle(t *testing.T, c config, token string) {
	t.Helper()
	s, err := Start(t.Context(), c.file(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, s.Catalogue().Listeners.Check.Address)
	ready(t, s)
	if got := ask(t, conn, "orders", "/orders/7", token); got != "allow" {
		t.Errorf("a live token: %s", got)
	}
	if err := s.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	if got := ask(t, conn, "orders", "/orders/7", ""); got != "401 token_missing" {
		t.Errorf("no token: %s", got)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestP18Cycles (P18): twenty lives of a server leave no more goroutines or descriptors
// than one does, and no heap that grows with them. It runs alone: the counts are the
// process's.
func TestP18Cycles(t *testing.T) {
	const cycles, slack = 20, 1 << 20
	okta, c := newOrg(t)
	text := mint(t, okta)
	cycle(t, c, text) // so that what is made once is there
	// A bound that nothing meets makes it wait until all has settled.
	first := residueNow(t, residue{})
	for range cycles {
		cycle(t, c, text)
	}
	last := residueNow(t, residue{first.goroutines, first.files, first.heap + slack})
	t.Logf("after one cycle %+v, after %d more %+v", first, cycles, last)
	if last.goroutines > first.goroutines || last.files > first.files || last.heap > first.heap+slack {
		t.Errorf("after one cycle %+v, after %d more %+v", first, cycles, last)
	}
}
