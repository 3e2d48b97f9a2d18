package serve

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// F24: the memory limit is far below what the load would take: the cache gives way.
func faultMemory(t *testing.T) {
	i := newIdp(t, func(i *idp) { i.opaque = true })
	e := newEdge(t, i).fixed(t)
	limit := 128 << 20
	if raced {
		limit = 20 << 20 // where fewer tokens come in the same time
	}
	c := e.spawn(t, fmt.Sprintf("GOMEMLIMIT=%d", limit))
	conn := connect(t, e.check, patient...)
	known := i.mint(t, time.Hour)
	expect(t, conn, "main-long", known, "allow")
	pad := strings.Repeat("a", 200)
	texts := make([]string, 12_000)
	for k := range texts {
		texts[k] = i.mint(t, time.Hour)
		audience := make([]string, 40)
		for a := range audience {
			audience[a] = fmt.Sprintf("%d-%d-%s", k, a, pad)
		}
		i.minted[texts[k]].claims["aud"] = append(audience, "api://default")
	}
	bound := func() int { return int(metric(t, e.ops, "durward_cache_bound_bytes")) }
	most := bound()
	end, latest := time.Now().Add(4*time.Second), time.Now().Add(8*time.Second)
	var gaveWay atomic.Bool
	var next, other atomic.Int64
	var load sync.WaitGroup
	for range 16 {
		load.Go(func() {
			for time.Now().Before(end) || !gaveWay.Load() && time.Now().Before(latest) {
				k := int(next.Add(1)) % len(texts)
				if got, _ := tell(t.Context(), conn, "main-long", texts[k], 2*time.Second); got != "allow" && !strings.HasPrefix(got, "503") {
					other.Add(1)
					t.Errorf("under pressure: %s", got)
				}
			}
		})
	}
	for time.Now().Before(latest) && !gaveWay.Load() {
		gaveWay.Store(bound() < most)
		time.Sleep(100 * time.Millisecond)
	}
	load.Wait()
	resident, left := c.resident(t), bound()
	t.Logf("%d distinct tokens of 8 KiB; resident %d MiB under a limit of %d MiB, the cache bound to %d of %d MiB", next.Load(), resident>>20, limit>>20, left>>20, most>>20)
	if !raced && resident > 2*limit {
		t.Errorf("resident %d MiB", resident>>20)
	}
	if left > limit {
		t.Errorf("the cache did not give way: bound to %d MiB", left>>20)
	}
	within(t, conn, "a check under memory pressure", expect(t, conn, "main-long", known, "allow"), 50*time.Millisecond)
}

// F25: no processor time for two seconds, and too little for a while.
func faultStarved(t *testing.T) {
	i := newIdp(t)
	e := newEdge(t, i).fixed(t)
	c := e.spawn(t)
	conn := connect(t, e.check, patient...)
	known := i.mint(t, time.Hour)
	expect(t, conn, "main-long", known, "allow")
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	got, _ := crowd(t, conn, 300, 100, 200*time.Millisecond, func(int) (string, string) { return "main-long", known })
	if got[unanswered] != 300 {
		t.Errorf("stopped: %v", got)
	}
	time.Sleep(time.Second)
	if err := c.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	expect(t, conn, "main-long", known, "allow")
	within(t, conn, "the first check after a stop of two seconds", time.Since(start), 200*time.Millisecond)

	stop := make(chan struct{})
	var spin sync.WaitGroup
	for range 4 {
		spin.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	got, times := crowd(t, conn, 160, 8, 2*time.Second, func(k int) (string, string) {
		if k%10 == 0 {
			return "main-long", i.mint(t, time.Hour)
		}
		return "main-long", known
	})
	close(stop)
	spin.Wait()
	if got["allow"]+got["503 okta_unavailable"]+got["503 overloaded"] != 160 || got["allow"] < 120 {
		t.Errorf("starved: %v", got)
	}
	t.Logf("starved: %v, median %s, p99 %s", got, ms(percentile(times, 50)), ms(percentile(times, 99)))
}
