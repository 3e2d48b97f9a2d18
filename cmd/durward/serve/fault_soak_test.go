package serve

import (
	"flag"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
)

var soakTime = flag.Duration("soak", 0, "how long TestSoak mixes faults; 0 is five seconds")

const (
	// soakPatience is the caller's timeout.
	soakPatience = 2 * time.Second
	// soakLimits is how long a soak has to be for the issuer to say 429: after it nothing
	// unseen is asked for seconds, which hides the rest.
	soakLimits = 20 * time.Second
)

// soak is a load on a server, judged by what the issuer knows of each token.
type soak struct {
	idp  *idp
	conn *grpc.ClientConn
	// limited counts the answers 429.
	limited atomic.Int64

	mu     sync.Mutex
	pool   []string
	counts map[string]int
	wrong  []string
}

// ages are how old a fact may be by API; jwt and long ones never hear of a revocation in time.
var ages = map[string]time.Duration{"main-short": time.Second, "main-fresh": 0}

var soakAPIs = []string{"main-long", "main-short", "main-fresh", "main-jwt", "main-both"}

// judge compares one answer with what was true from its beginning to its end.
func (s *soak) judge(api, text, got string, began, ended time.Time) (complaint string) {
	if strings.HasPrefix(text, "junk") {
		if got == "allow" || got == unanswered {
			return "junk"
		}
		return ""
	}
	expires, revoked := s.idp.ends(text)
	age, hears := ages[api]
	switch {
	case got == "allow" && !began.Before(expires):
		return "allowed at or after exp"
	case got == "allow" && hears && !revoked.IsZero() && began.After(revoked.Add(age)):
		return "allowed after the revocation"
	case strings.HasPrefix(got, "401") && ended.Before(expires) && revoked.IsZero():
		return "a live token is refused"
	case got != "allow" && !strings.HasPrefix(got, "401") && !strings.HasPrefix(got, "503"):
		return "no proper answer"
	}
	return ""
}

func (s *soak) check(t *testing.T, n int) {
	text := "junk-" + strconv.Itoa(n)
	if rand.IntN(10) > 0 {
		s.mu.Lock()
		text = s.pool[rand.IntN(len(s.pool))]
		s.mu.Unlock()
	}
	api := soakAPIs[rand.IntN(len(soakAPIs))]
	began := time.Now()
	got, took := tell(t.Context(), s.conn, api, text, soakPatience)
	complaint := s.judge(api, text, got, began, began.Add(took))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[got]++
	if complaint != "" && len(s.wrong) < 20 {
		s.wrong = append(s.wrong, api+": "+got+": "+complaint)
	}
}

// renew replaces what expired, now and then something that did not, and revokes.
func (s *soak) renew(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, text := range s.pool {
		if expires, _ := s.idp.ends(text); time.Since(expires) > time.Second || rand.IntN(40) == 0 {
			s.pool[k] = s.idp.mintBy(t, rand.IntN(2), time.Duration(1+rand.IntN(12))*time.Second)
		}
	}
	s.idp.revoke(s.pool[rand.IntN(len(s.pool))])
}

// faults are what may happen to the issuer for a while. Each returns how it ends.
func (s *soak) faults(t *testing.T, server *Server, e *edge) map[string]func() (undo func()) {
	answer := func(h http.HandlerFunc) func() func() {
		return func() func() { s.idp.answer(h); return func() { s.idp.answer(nil) } }
	}
	return map[string]func() func(){
		"none": func() func() { return func() {} },
		"down": func() func() { s.idp.down(); return func() { s.idp.up(t) } },
		"500":  answer(answering(500)),
		"slow": answer(s.idp.delayed(300 * time.Millisecond)),
		"hole": answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		"HTML": answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }),
		"flapping": answer(func(w http.ResponseWriter, r *http.Request) {
			if rand.IntN(2) == 0 {
				w.WriteHeader(503)
				return
			}
			s.idp.introspect(w, r)
		}),
		"keys": func() func() {
			bad := answering(500)
			s.idp.publish.Store(&bad)
			return func() { s.idp.publish.Store(nil) }
		},
		"reload": func() func() {
			e.write(t)
			if err := server.Reload(t.Context()); err != nil {
				t.Error(err)
			}
			return func() {}
		},
	}
}

// limit lets the issuer answer 429 until it has, from a moment when it is asked at all: a
// breaker that an earlier fault opened closes first.
func (s *soak) limit(t *testing.T) {
	soon := func(holds func() bool) {
		for end := time.Now().Add(10 * time.Second); !holds() && time.Now().Before(end); time.Sleep(60 * time.Millisecond) {
			s.renew(t)
		}
	}
	asked := s.idp.asked.Load()
	soon(func() bool { return s.idp.asked.Load() > asked+3 })
	limited := s.limited.Load()
	s.idp.answer(func(w http.ResponseWriter, _ *http.Request) {
		s.limited.Add(1)
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	soon(func() bool { return s.limited.Load() > limited })
	s.idp.answer(nil)
}

// TestSoak mixes load, faults, revocations and reloads. It holds that nothing is allowed
// that must not be, that every check is answered in time, and that all is left as it was.
func TestSoak(t *testing.T) {
	length := *soakTime
	if length == 0 {
		length = 5 * time.Second
	}
	runSoak(t, 500*time.Millisecond) // so that what is made once is there
	goroutines, files := settled(t)
	heap := heapNow()
	runSoak(t, length)
	after, open := settled(t)
	grown := (heapNow() - heap) >> 10
	t.Logf("goroutines %d and %d, descriptors %d and %d, heap %+d KiB", goroutines, after, files, open, grown)
	if after > goroutines+2 || open > files+2 || grown > 8<<10 {
		t.Error("not all is back")
	}
}

// stalls measures, until stop, the longest that the machine kept this process from running,
// in nanoseconds: caller and server share it, and neither can do anything then.
func stalls(tasks *sync.WaitGroup, stop <-chan struct{}) *atomic.Int64 {
	longest := new(atomic.Int64)
	tasks.Go(func() {
		const beat = 5 * time.Millisecond
		for last := time.Now(); ; {
			select {
			case <-stop:
				return
			case <-time.After(beat):
			}
			now := time.Now()
			longest.Store(max(longest.Load(), int64(now.Sub(last)-beat)))
			last = now
		}
	})
	return longest
}

func heapNow() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func runSoak(t *testing.T, length time.Duration) {
	t.Helper()
	i := newIdp(t)
	e := newEdge(t, i)
	e.write(t)
	server, err := Start(t.Context(), e.file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tried(t, server)
	conn, err := grpc.NewClient(server.Catalogue().Listeners.Check.Address, plainText, grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{idp: i, conn: conn, counts: make(map[string]int)}
	for range 60 {
		s.pool = append(s.pool, i.mint(t, time.Duration(1+rand.IntN(12))*time.Second))
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for w := range 8 {
		load.Go(func() {
			for n := w; ; n += 8 {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					s.check(t, n)
				}
			}
		})
	}
	longest := stalls(&load, stop)
	all := s.faults(t, server, e)
	for pass, end := 0, time.Now().Add(length); time.Now().Before(end); pass++ {
		for name, begin := range all { // a map: in any order
			if !time.Now().Before(end) {
				break
			}
			undo := begin()
			for range 3 + rand.IntN(3) {
				s.renew(t)
				time.Sleep(60 * time.Millisecond)
			}
			undo()
			if name != "none" && rand.IntN(3) == 0 {
				time.Sleep(time.Second) // calm, so that the breaker closes
			}
		}
		if length >= soakLimits && pass%4 == 0 {
			s.limit(t)
		}
	}
	close(stop)
	load.Wait()
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	i.down()
	i.minted = nil // the test's cleanup holds the issuer, and it every token ever minted
	for _, complaint := range s.wrong {
		t.Error(complaint)
	}
	if length >= 3*time.Second && (s.counts["allow"] < 100 || i.asked.Load() < 50) || s.counts[unanswered] > 0 {
		t.Errorf("outcomes %v", s.counts)
	}
	if length >= soakLimits && (s.limited.Load() == 0 || s.counts["503 okta_rate_limited"] == 0) {
		t.Errorf("%d answers 429, outcomes %v", s.limited.Load(), s.counts)
	}
	t.Logf("%s: %v, %d questions, %d answered 429; this process stood still for %s at most",
		length, s.counts, i.asked.Load(), s.limited.Load(), ms(time.Duration(longest.Load())))
}
