package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durward/durward/envoy/binary"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/oktatest"
)

// crowded is a server that watches a directory of many APIs, behind a real Envoy.
type crowded struct {
	*Server
	okta    *oktatest.Server
	ledger  *ledger
	backend *counter
	envoy   *binary.Process
	// dir holds durward.yaml, probe.yaml, which tests change, and the others.
	dir, gateway string
}

// ledger is a log that keeps of each decision what tests compare.
type ledger struct {
	mu        sync.Mutex
	decisions map[string][]entry // by decision id
	changes   int
}

type entry struct{ Revision, Outcome, Reason string }

func (l *ledger) Write(p []byte) (int, error) {
	var line struct {
		Msg string
		ID  string `json:"decision_id"`
		entry
	}
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch line.Msg {
	case "decision":
		l.decisions[line.ID] = append(l.decisions[line.ID], line.entry)
	case "catalogue_changed":
		l.changes++
	}
	return len(p), nil
}

func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.decisions = make(map[string][]entry)
}

// counter is a backend that knows the decision by which each request came.
type counter struct {
	mu        sync.Mutex
	seen      map[string]int
	unguarded int
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(contract.HeaderDecisionID)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[id]++; id == "" || r.Header.Get(contract.HeaderSubject) == "" {
		c.unguarded++
	}
	_, _ = io.WriteString(w, "backend")
}

func (c *counter) requests() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.seen {
		n += times
	}
	return n
}

// newBackend serves until the test ends.
func newBackend(t *testing.T) (*counter, string) {
	t.Helper()
	c := &counter{seen: make(map[string]int)}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return c, server.URL
}

// fill writes n APIs, a hundred to a file, each on one of a hundred hosts.
func fill(t *testing.T, dir, backend string, n int) {
	t.Helper()
	for first := 0; first < n; first += 100 {
		var apis, grants strings.Builder
		for i := first; i < min(n, first+100); i++ {
			fmt.Fprintf(&apis, `  - name: api-%[1]d
    frontend: { hosts: [h%[2]d.example.com], path: /api-%[1]d }
    backend: { url: %[3]q }
    token_policy: okta-users
    operations: [ { methods: [GET], path: "/{id}", scopes: { all: [orders.read] } } ]
`, i, i%100, backend)
			fmt.Fprintf(&grants, "  - { api: api-%d, organization: retail, applications: [mobile] }\n", i)
		}
		writeFile(t, filepath.Join(dir, fmt.Sprintf("apis-%05d.yaml", first)), "version: 1\napis:\n"+apis.String()+"grants:\n"+grants.String(), 0o600)
	}
}

// newCrowded starts a server of n APIs and those of probe, with edits to the rest, and waits
// until Envoy has all.
func newCrowded(t *testing.T, n int, probe func(backend string) string, edits ...*strings.Replacer) *crowded {
	t.Helper()
	okta, c := newOrg(t)
	w := &crowded{okta: okta, dir: c.dir, ledger: &ledger{decisions: make(map[string][]entry)}}
	var url string
	w.backend, url = newBackend(t)
	c.apis = nil
	text := strings.NewReplacer("apis:\n", "", "grants:\n", "").Replace(c.text())
	for _, edit := range edits {
		text = edit.Replace(text)
	}
	writeFile(t, c.file(), text, 0o600)
	fill(t, c.dir, url, n)
	writeFile(t, w.probe(), probe(url), 0o600)
	var err error
	if w.Server, err = Start(t.Context(), c.dir, slog.New(slog.NewJSONHandler(w.ledger, nil))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	watching(t, w.Server)
	ready(t, w.Server)
	w.envoy = startEnvoy(t, w.Server)
	w.acked(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if w.gateway, err = w.envoy.ListenerAddr(ctx, "edge"); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *crowded) probe() string { return filepath.Join(w.dir, "probe.yaml") }

func (w *crowded) acked(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := w.WaitAcked(ctx, "edge"); err != nil {
		t.Fatal(err)
	}
}

// answered is what a caller got; status 0 is no answer, and id the error.
type answered struct {
	api    string
	status int
	id     string
	took   time.Duration
}

// caller asks over one connection to the gateway, one request after another.
type caller struct {
	http.Client
	base string
	got  []answered
}

func newCaller(gateway string) *caller {
	return &caller{base: "http://" + gateway, Client: http.Client{
		Timeout: 20 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 1},
	}}
}

// ask is one GET of an item of an API, on host if it is not empty.
func (c *caller) ask(host, api, text string) answered {
	req, err := http.NewRequest(http.MethodGet, c.base+"/"+api+"/7", nil)
	if err != nil {
		return answered{api: api, id: err.Error()}
	}
	req.Host = host
	if text != "" {
		req.Header.Set("Authorization", "Bearer "+text)
	}
	start := time.Now()
	res, err := c.Do(req)
	if err != nil {
		return answered{api: api, id: err.Error(), took: time.Since(start)}
	}
	_, err = io.Copy(io.Discard, res.Body)
	a := answered{api, res.StatusCode, res.Header.Get(contract.HeaderDecisionID), time.Since(start)}
	if closing := res.Body.Close(); err != nil || closing != nil {
		return answered{api: api, id: fmt.Sprint(err, closing), took: a.took}
	}
	return a
}

// load asks at a rate, spread over callers, until stop, and returns when all have ended.
// ask is told how many the caller asked before.
func load(callers []*caller, rate int, stop <-chan struct{}, ask func(c *caller, n int) answered) {
	var all sync.WaitGroup
	every := time.Second * time.Duration(len(callers)) / time.Duration(rate)
	for k, c := range callers {
		all.Go(func() {
			time.Sleep(every * time.Duration(k) / time.Duration(len(callers)))
			tick := time.NewTicker(every)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-stop:
					c.CloseIdleConnections()
					return
				case <-tick.C:
					c.got = append(c.got, ask(c, n))
				}
			}
		})
	}
	all.Wait()
}

// times are those of all answers that had not to wait for Okta, sorted.
func times(callers []*caller) (all []time.Duration) {
	for _, c := range callers {
		for _, a := range c.got {
			if a.api != "probe-asking" {
				all = append(all, a.took)
			}
		}
	}
	slices.Sort(all)
	return all
}
