package serve

import (
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"
)

// F26: servers that came and went leave nothing.
func faultLeaks(t *testing.T) {
	i := newIdp(t)
	cycle := func() {
		s, conn := newEdge(t, i).launch(t)
		tried(t, s)
		expect(t, conn, "main-long", i.mint(t, time.Hour), "allow")
		expect(t, conn, "main-jwt", i.mint(t, time.Hour), "allow")
		expect(t, conn, "main-fresh", "junk", "401 token_malformed")
		_ = conn.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	cycle()
	goroutines, files := settled(t)
	for range 8 {
		cycle()
	}
	after, open := settled(t)
	t.Logf("goroutines %d and %d, descriptors %d and %d, over eight cycles", goroutines, after, files, open)
	if after > goroutines+2 || open > files+2 {
		t.Errorf("goroutines %d, then %d; descriptors %d, then %d", goroutines, after, files, open)
	}
}

// settled counts goroutines and descriptors when they have stopped to fall.
func settled(t testing.TB) (goroutines, files int) {
	t.Helper()
	for range 40 {
		http.DefaultClient.CloseIdleConnections()
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		g, f := runtime.NumGoroutine(), len(entries)
		if g == goroutines && f == files {
			return g, f
		}
		goroutines, files = g, f
		time.Sleep(100 * time.Millisecond)
	}
	return goroutines, files
}

// F30: the log's disk is full, and a scraper never reads.
func faultLog(t *testing.T) {
	t.Run("stopped pipe", faultStoppedPipe)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	i := newIdp(t)
	s, conn := newEdge(t, i).launchWith(t, full)
	tried(t, s)
	stuck, err := net.Dial("tcp", s.OpsAddress())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stuck.Close() })
	for range 200 {
		if _, err := io.WriteString(stuck, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			break
		}
	}
	text := i.mint(t, time.Hour)
	got, times := crowd(t, conn, 500, 10, time.Second, func(int) (string, string) { return "main-long", text })
	if got["allow"] != 500 {
		t.Errorf("outcomes %v", got)
	}
	expect(t, conn, "main-long", i.mint(t, -time.Hour), "401 token_inactive")
	within(t, conn, "median on a full disk", percentile(times, 50), 5*time.Millisecond)
}
