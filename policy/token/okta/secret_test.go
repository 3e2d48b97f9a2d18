package okta_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/okta"
)

// rotation is a server that knows some secrets, and a client that reads one from a file.
type rotation struct {
	t      *testing.T
	path   string
	client *okta.Client
	metric *prometheus.Registry

	mu    sync.Mutex
	known map[string]bool
	calls []string
	log   journal
}

// rotate runs f in a bubble beside a running client whose file holds "one".
func rotate(t *testing.T, f func(*rotation)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rotation{t: t, path: filepath.Join(t.TempDir(), "secret"), metric: prometheus.NewPedanticRegistry()}
		r.knows("one")
		r.write("one\n")
		b := unlimited(t)
		r.client = client(t, "https://example.okta.com", func(c *okta.Config) {
			c.Name, c.ClientSecret, c.SecretFile = "main", "", r.path
			c.Transport, c.Budget, c.Metrics = roundTrip(r.answer), b, okta.NewMetrics(r.metric)
			c.Log = r.log.logger()
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.client.Run(ctx) }()
		f(r)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (r *rotation) answer(req *http.Request) (*http.Response, error) {
	_, secret, _ := req.BasicAuth()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, secret)
	if !r.known[secret] {
		return plain(401, "application/json", `{"error":"invalid_client"}`)
	}
	return plain(200, "application/json", `{"active":false}`)
}

func (r *rotation) knows(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = make(map[string]bool)
	for _, s := range secrets {
		r.known[s] = true
	}
}

func (r *rotation) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// asks asks once and holds which secrets that took, and how it ended.
func (r *rotation) asks(want token.Failure, secrets ...string) {
	r.t.Helper()
	r.calls = nil
	got, err := r.client.Introspect(r.t.Context(), parsed(r.t, canary), token.Known)
	if want == "" && err != nil {
		r.t.Error(err)
	}
	if want != "" {
		mustFail(r.t, got, err, want)
	}
	if strings.Join(r.calls, " ") != strings.Join(secrets, " ") {
		r.t.Errorf("asked with %q, want %q", r.calls, secrets)
	}
}

func (r *rotation) alarms(rejected, stale string) {
	r.t.Helper()
	want := `# HELP durward_okta_credentials_rejected 1 while the server refuses our client credentials.
# TYPE durward_okta_credentials_rejected gauge
durward_okta_credentials_rejected{server="main"} ` + rejected + `
# HELP durward_okta_credentials_stale 1 while the secret or key file cannot be used and what was read before is.
# TYPE durward_okta_credentials_stale gauge
durward_okta_credentials_stale{server="main"} ` + stale + "\n"
	if err := testutil.GatherAndCompare(r.metric, strings.NewReader(want), "durward_okta_credentials_rejected", "durward_okta_credentials_stale"); err != nil {
		r.t.Error(err)
	}
}

// tick lets the poll see the file.
func (r *rotation) tick() {
	time.Sleep(time.Second + time.Millisecond)
	synctest.Wait()
}

func TestRotation(t *testing.T) {
	t.Parallel()
	t.Run("server first", func(t *testing.T) {
		t.Parallel()
		rotate(t, func(r *rotation) {
			r.asks("", "one")
			r.knows("one", "two")
			r.write("two")
			r.asks("", "one")
			r.tick()
			r.asks("", "two")
			r.knows("two")
			r.asks("", "two")
			r.alarms("0", "0")
			r.log.mustBe(t, readAgain)
		})
	})
	t.Run("file first", func(t *testing.T) {
		t.Parallel()
		rotate(t, func(r *rotation) {
			r.write("two")
			r.tick()
			r.asks("", "two", "one") // not known yet
			r.asks("", "one")        // and not tried again for every token
			r.knows("one", "two")
			r.asks("", "one")
			r.knows("two") // the old one ends
			r.asks("", "one", "two")
			r.asks("", "two")
			r.alarms("0", "0")
		})
	})
	t.Run("half written", func(t *testing.T) {
		t.Parallel()
		rotate(t, func(r *rotation) {
			r.write("tw")
			r.tick()
			r.asks("", "tw", "one")
			r.write("two")
			r.knows("two")
			r.tick()
			r.asks("", "two")
		})
	})
	t.Run("undone", func(t *testing.T) {
		t.Parallel()
		rotate(t, func(r *rotation) {
			r.write("two")
			r.tick()
			r.write("one")
			r.tick()
			r.asks("", "one")
		})
	})
	t.Run("T44 wrong", func(t *testing.T) {
		t.Parallel()
		rotate(t, func(r *rotation) {
			r.knows()
			for range 20 {
				r.asks(token.Unavailable, "one")
			}
			r.alarms("1", "0")
			r.log.mustBe(t, refusing)
			r.write("two")
			r.tick()
			r.asks(token.Unavailable, "two", "one")
			r.alarms("1", "0")
			r.knows("two")
			r.asks("", "two")
			r.asks("", "two")
			r.alarms("0", "0")
			r.log.mustBe(t, refusing, readAgain, accepting)
			if text := r.log.String(); strings.Contains(text, canary) || !strings.Contains(text, "fix=") {
				t.Errorf("the log shows the token or no fix:\n%s", text)
			}
		})
	})
	t.Run("T44 now and then", func(t *testing.T) {
		t.Parallel()
		rotate(t, func(r *rotation) {
			for range 30 { // 30 s
				r.knows()
				r.asks(token.Unavailable, "one")
				r.knows("one")
				r.asks("", "one")
				time.Sleep(time.Second)
			}
			r.knows()
			r.asks(token.Unavailable, "one")
			r.alarms("1", "0")
			r.log.mustBe(t, refusing, accepting)
			time.Sleep(30 * time.Second)
			r.asks(token.Unavailable, "one")
			r.asks(token.Unavailable, "one")
			r.log.mustBe(t, refusing, accepting, refusing)
		})
	})
}

// TestBadFile: a file that is gone or bad leaves what was read, and is told once.
func TestBadFile(t *testing.T) {
	t.Parallel()
	rotate(t, func(r *rotation) {
		for _, spoil := range []func() error{
			func() error { return os.Remove(r.path) },
			func() error { return os.Mkdir(r.path, 0o700) },
			func() error { return os.Remove(r.path) },
			func() error { r.write("\n"); return nil },
			func() error { r.write(strings.Repeat("x", 64<<10+1)); return nil },
		} {
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			r.tick()
			r.tick()
			r.asks("", "one")
			r.alarms("0", "1")
		}
		r.log.mustBe(t, unread, unread, unread, unread, unread)
		r.write("one")
		r.tick()
		r.alarms("0", "0")
		r.log.mustBe(t, unread, unread, unread, unread, unread, readAgain)
		if strings.Contains(r.log.String(), "xxx") {
			t.Error("what was read is in the log")
		}
	})
}

// TestRunWithoutFile: there is nothing to do but to wait.
func TestRunWithoutFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cl := client(t, "https://example.okta.com")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := cl.Run(ctx); err != nil || ctx.Err() == nil {
			t.Errorf("%v, %v", err, ctx.Err())
		}
	})
}
