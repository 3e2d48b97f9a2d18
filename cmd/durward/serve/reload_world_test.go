package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"

	"github.com/durward/durward/policy/oktatest"
)

// watched is a server that watches its configuration, and a token that it knows.
type watched struct {
	*Server
	config
	okta  *oktatest.Server
	log   *journal
	conn  *grpc.ClientConn
	token string
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	okta, c := newOrg(t)
	l := &watched{config: c, okta: okta, token: mint(t, okta)}
	l.Server, l.log = begin(t, c)
	watching(t, l.Server)
	ready(t, l.Server)
	l.conn = dial(t, l.Catalogue().Listeners.Check.Address)
	l.becomes(t, "allow")
	return l
}

// watching lets a server wait until the test ends.
func watching(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Wait(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// save is what an editor does: a whole file comes into the place of another.
func save(t *testing.T, path, text string) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), ".next")
	writeFile(t, next, text, 0o600)
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// edited is the text with one replacement, which must be one.
func (c config) edited(t *testing.T, old, replacement string) string {
	t.Helper()
	text := c.text()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q is in the configuration %d times", old, strings.Count(text, old))
	}
	return strings.Replace(text, old, replacement, 1)
}

// becomes asks for an order until the outcome is as wanted, and returns how long it took.
func (l *watched) becomes(t *testing.T, want string) time.Duration {
	t.Helper()
	began, got := time.Now(), ""
	for time.Since(began) < 10*time.Second {
		if got = ask(t, l.conn, "orders", "/orders/7", l.token); got == want {
			return time.Since(began)
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s for 10 s, want %s; the log ends with %s", got, want, l.log.lines(t, "configuration rejected; the old one goes on serving"))
	return 0
}

// serves waits until the last accepted configuration has the API.
func (l *watched) serves(t *testing.T, api string) {
	t.Helper()
	eventually(t, "API "+api+" is served", func() bool { return l.Catalogue().API(api) != nil })
}

// alarmed waits until a rejection that says so is told everywhere, with what to do.
func (l *watched) alarmed(t *testing.T, told string) {
	t.Helper()
	verbose := ""
	defer func() {
		if t.Failed() {
			t.Log(verbose)
		}
	}()
	eventually(t, fmt.Sprintf("the rejection %q is told", told), func() bool {
		_, verbose = get(t, l.Server, "/readyz?verbose")
		return strings.Contains(verbose, told) && strings.Contains(verbose, "\n  fix: ") && testutil.ToFloat64(l.state.loaded) == 0
	})
	// The log is written last.
	eventually(t, fmt.Sprintf("the log tells of %q", told), func() bool {
		rejected := l.log.lines(t, "configuration rejected; the old one goes on serving")
		if len(rejected) == 0 {
			return false
		}
		last := rejected[len(rejected)-1]
		return strings.Contains(fmt.Sprint(last["finding"], last["error"]), told) && last["fix"] != "" && last["level"] == "ERROR"
	})
}

func (l *watched) quiet(t *testing.T) {
	t.Helper()
	eventually(t, "the alarm ends", func() bool {
		_, verbose := get(t, l.Server, "/readyz?verbose")
		return !strings.Contains(verbose, "rejected") && testutil.ToFloat64(l.state.loaded) == 1
	})
}
