package token_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/durward/durward/policy/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// modes in which the server is asked, and all.
var (
	asking = []token.Mode{token.ByIntrospection, token.ByBoth}
	modes  = []token.Mode{token.ByIntrospection, token.ByBoth, token.ByJWT}
)

// call is one question that reached a server.
type call struct {
	token    string
	priority token.Priority
	at       time.Time
}

// server answers by a function and keeps the questions.
type server struct {
	answer func(ctx context.Context, t token.Token, p token.Priority) (token.Introspection, error)
	mu     sync.Mutex
	calls  []call
}

func (s *server) Introspect(ctx context.Context, t token.Token, p token.Priority) (token.Introspection, error) {
	s.mu.Lock()
	s.calls = append(s.calls, call{t.Reveal(), p, time.Now()})
	s.mu.Unlock()
	return s.answer(ctx, t, p)
}

func (s *server) asked() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]call(nil), s.calls...)
}

func (s *server) mustBeAsked(t *testing.T, n int) {
	t.Helper()
	if got := len(s.asked()); got != n {
		t.Errorf("the server was asked %d times, want %d", got, n)
	}
}

// answers is a server with one answer, given at once.
func answers(i token.Introspection, err error) *server {
	return &server{answer: func(context.Context, token.Token, token.Priority) (token.Introspection, error) { return i, err }}
}

func active(c token.Claims) token.Introspection {
	return token.Introspection{Active: true, Claims: c, Took: time.Millisecond}
}

// slow is a server that says the same of every token after a while.
func slow(latency time.Duration, c token.Claims) *server {
	return &server{answer: func(ctx context.Context, _ token.Token, _ token.Priority) (token.Introspection, error) {
		if err := wait(ctx, latency); err != nil {
			return token.Introspection{}, err
		}
		return active(c), nil
	}}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return token.Unavailablef("%w", ctx.Err())
	}
}

// reader reads every token as a JWT with the claims it is told, and good ones by default.
type reader struct {
	said       func(text string) (token.Claims, error)
	prove      func(ctx context.Context, text string) error
	generation atomic.Uint64
	proofs     atomic.Int64
}

func (r *reader) Read(t token.Token) (token.Claims, func(context.Context) error, error) {
	c, err := r.said(t.Reveal())
	return c, func(ctx context.Context) error {
		r.proofs.Add(1)
		if r.prove == nil {
			return nil
		}
		return r.prove(ctx, t.Reveal())
	}, err
}

func (r *reader) Generation() uint64 { return r.generation.Load() }

func reads(c token.Claims) *reader {
	return &reader{said: func(string) (token.Claims, error) { return c, nil }}
}

// fresh is good by the clock of the test's bubble.
func fresh() token.Claims {
	c := good()
	c.IssuedAt, c.NotBefore, c.ExpiresAt = time.Now().Truncate(time.Second), time.Time{}, time.Now().Add(time.Hour).Truncate(time.Second)
	return c
}

// verifier closes itself at the end of the test. An opaque one has no reader.
func verifier(t testing.TB, s token.Introspector, r *reader, clock func() time.Time) *token.Verifier {
	t.Helper()
	c, p := config(), token.Parts{Server: s, Now: clock}
	if r == nil {
		c.Opaque = true
	} else {
		p.Reader = r
	}
	v, err := token.NewVerifier(c, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func within(age time.Duration) token.Demand {
	return token.Demand{Mode: token.ByIntrospection, MaxAge: age}
}

func mustFail(t *testing.T, fact token.Fact, err error, want token.Failure) {
	t.Helper()
	known := &token.Error{}
	if !errors.As(err, &known) || known.Failure != want {
		t.Errorf("error is %v, want %q", err, want)
	}
	if diff := cmp.Diff(token.Fact{}, fact); diff != "" {
		t.Errorf("a fact beside the error: %s", diff)
	}
}

func mustBelieve(t *testing.T, fact token.Fact, err error) {
	t.Helper()
	if err != nil || fact.Claims.ClientID == "" {
		t.Errorf("not believed: %v", err)
	}
}

// clock has a wall and a monotonic reading that part ways. A bare one has none of the
// latter.
type clock struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Duration
	bare bool
}

func newClock() *clock { return &clock{wall: now, mono: time.Hour} }

func (c *clock) step(wall, mono time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.mono = c.wall.Add(wall), c.mono+mono
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bare {
		return c.wall
	}
	return reading(c.wall, c.mono)
}

// reading makes what time.Now would return at that wall time and monotonic reading, for
// which package time has no means.
func reading(wall time.Time, mono time.Duration) time.Time {
	const from1885 = 2682288000 // seconds from 1885 to 1970
	t := time.Now()
	parts := (*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t))
	parts.wall = 1<<63 | uint64(wall.Unix()+from1885)<<30 | uint64(wall.Nanosecond())
	parts.ext = int64(mono)
	return t
}

func TestReadingsPartWays(t *testing.T) {
	t.Parallel()
	c := newClock()
	before := c.now()
	c.step(-time.Hour, time.Minute)
	after := c.now()
	if got := after.Sub(before); got != time.Minute {
		t.Errorf("monotonic: %s", got)
	}
	if got := after.Round(0).Sub(before.Round(0)); got != -time.Hour || !after.Equal(now.Add(-time.Hour)) && after.Unix() != now.Add(-time.Hour).Unix() {
		t.Errorf("wall: %s, %s", got, after)
	}
}
