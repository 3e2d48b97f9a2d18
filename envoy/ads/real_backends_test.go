package ads_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// failing answers with the status that a request names in its path, /503/..., until a
// path was asked for often enough, /503/2/..., and keeps what it got.
type failing struct {
	mu   sync.Mutex
	seen map[string][]http.Header // by method and path
}

func startFailing(t *testing.T) (*failing, string) {
	t.Helper()
	f := &failing{seen: make(map[string][]http.Header)}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return f, srv.URL
}

func (f *failing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	key := r.Method + " " + r.URL.Path
	f.mu.Lock()
	f.seen[key] = append(f.seen[key], r.Header.Clone())
	n := len(f.seen[key])
	f.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if n > len(parts[1]) { // one stroke for each failure
		_ = json.NewEncoder(w).Encode(echo{Method: r.Method, URI: r.RequestURI, Host: r.Host, Header: r.Header})
		return
	}
	switch parts[0] {
	case "reset":
		panic(http.ErrAbortHandler)
	case "500":
		w.WriteHeader(http.StatusInternalServerError)
	case "503":
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = io.WriteString(w, "attempt")
}

func (f *failing) tries(method, path string) []http.Header {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[method+" "+path]
}

// What may be done twice is tried again as often as the API says, and its last answer is
// passed on; what may not is sent once, whatever the caller asks for.
func TestRealEnvoyRetries(t *testing.T) {
	t.Parallel()
	f, url := startFailing(t)
	two, none := api("two", "/two", url), api("none", "/none", url)
	two.Backend.Retries = 2
	g := startGateway(t, two, none)
	big := strings.Repeat("x", 64<<10)
	tests := []struct {
		method, path, body string
		status, tries      int
	}{
		{"GET", "/two/503/|/a", "", 200, 2},
		{"GET", "/two/503/||/a", "", 200, 3},
		{"GET", "/two/503/|||/a", "", 503, 3},
		{"GET", "/two/reset/|/a", "", 200, 2},
		{"GET", "/two/reset/|||/a", "", 503, 3},
		{"GET", "/two/500/|/a", "", 500, 1},
		{"HEAD", "/two/503/|/b", "", 200, 2},
		{"OPTIONS", "/two/503/|/b", "", 200, 2},
		{"PUT", "/two/503/|/b", "a body", 200, 2},
		{"PUT", "/two/503/|/big", big, 503, 1},
		{"DELETE", "/two/503/|/b", "", 200, 2},
		{"POST", "/two/503/|/b", "a body", 503, 1},
		{"POST", "/two/reset/|/b", "a body", 503, 1},
		{"POST", "/two/503/|/c", "", 503, 1},
		{"PATCH", "/two/503/|/b", "a body", 503, 1},
		{"PATCH", "/two/reset/|/b", "", 503, 1},
		{"GET", "/none/503/|/d", "", 503, 1},
		{"GET", "/none/reset/|/d", "", 503, 1},
	}
	for _, tt := range tests {
		req, err := http.NewRequest(tt.method, "http://"+g.addr+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"X-Envoy-Retry-On": "5xx,reset", "X-Envoy-Max-Retries": "9", "X-Http-Method-Override": "GET", "X-Auth-Subject": "forged",
		} {
			req.Header.Set(name, value)
		}
		what := tt.method + " " + tt.path
		res := ask(t, http.DefaultTransport, req)
		path := tt.path[strings.Index(tt.path[1:], "/")+1:]
		tries := f.tries(tt.method, path)
		if res.StatusCode != tt.status || len(tries) != tt.tries {
			t.Errorf("%s: %d after %d tries, want %d after %d", what, res.StatusCode, len(tries), tt.status, tt.tries)
		}
		for _, h := range tries {
			if diff := cmp.Diff([]string{"ours"}, h.Values("X-Auth-Subject")); diff != "" || len(h.Values("X-Envoy-Attempt-Count")) > 0 {
				t.Errorf("%s: a try came with headers %v", what, h)
			}
		}
		if n := len(g.checker.take()); n != 1 {
			t.Errorf("%s: %d checks", what, n)
		}
	}
	g.noNACKs(t)
}

// ask sends a request and reads the answer.
func ask(t *testing.T, tr http.RoundTripper, req *http.Request) *http.Response {
	t.Helper()
	res, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res
}

// Backends get their shares of the requests, each under its own host, and of each header
// of ours one.
func TestRealEnvoySharesByWeight(t *testing.T) {
	t.Parallel()
	blue, green, alone := backend(t, "blue"), backend(t, "green"), backend(t, "alone")
	shared := api("shared", "/shared", "")
	shared.Backend = nil
	shared.Backends = []*durwardv1.Backend{{Url: blue + "/v1", Weight: 3, Retries: 1}, {Url: green + "/v1", Weight: 1, Retries: 1}}
	g := startGateway(t, shared, api("alone", "/alone", alone+"/v1"))
	client := &http.Client{Timeout: 20 * time.Second}
	const n = 400
	count := make(map[string]int)
	want := g.send(t, "GET", "/alone/7", "x-auth-subject: forged")
	for range n {
		req, err := http.NewRequest("GET", "http://"+g.addr+"/shared/7", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "orders.example.com:8443"
		req.Header.Set("X-Auth-Subject", "forged")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var e echo
		if err := json.NewDecoder(res.Body).Decode(&e); err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		count[e.Backend]++
		host := strings.TrimPrefix(map[string]string{"blue": blue, "green": green}[e.Backend], "http://")
		if e.Host != host || e.URI != "/v1/7" {
			t.Fatalf("%s is asked as %s for %s", e.Backend, e.Host, e.URI)
		}
		got := e.Header.Clone()
		for _, name := range []string{"Accept-Encoding", "User-Agent", "X-Request-Id"} {
			got.Del(name)
			want.Header.Del(name)
		}
		if diff := cmp.Diff(want.Header, got); diff != "" {
			t.Fatalf("headers at one of several backends (-a lone one, +this):\n%s", diff)
		}
	}
	// 300 and 100 give or take 9; six times that is as good as never.
	if count["blue"] < 246 || count["blue"] > 354 || count["blue"]+count["green"] != n {
		t.Errorf("of %d requests of weights 3 and 1: %v", n, count)
	}
	g.noNACKs(t)
}

// A response that stops in the middle ends, and one that never begins too; one whose
// bytes keep coming does not.
func TestRealEnvoyIdleTimeout(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		switch r.URL.Path {
		case "/stalled":
			_, _ = io.WriteString(w, "begun")
			_ = rc.Flush()
			<-r.Context().Done()
		case "/silent":
			<-r.Context().Done()
		case "/slow":
			for range 25 { // longer than the idle timeout in all
				_, _ = io.WriteString(w, ".")
				_ = rc.Flush()
				time.Sleep(100 * time.Millisecond)
			}
		}
	}))
	t.Cleanup(srv.Close)
	idle := api("idle", "/idle", srv.URL)
	idle.Backend.IdleTimeout = durationpb.New(2 * time.Second)
	g := startGateway(t, idle)
	for path, want := range map[string]struct {
		status int
		body   string
		cut    bool
	}{
		"/stalled": {200, "begun", true},
		"/silent":  {504, "stream timeout", false},
		"/slow":    {200, strings.Repeat(".", 25), false},
	} {
		begun := time.Now()
		client := &http.Client{Timeout: 12 * time.Second}
		res, err := client.Get("http://" + g.addr + "/idle" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		took := time.Since(begun)
		if res.StatusCode != want.status || string(body) != want.body || (err != nil) != want.cut || took < 1500*time.Millisecond || took > 10*time.Second {
			t.Errorf("%s: %d %q, error %v after %v; want %d %q", path, res.StatusCode, body, err, took, want.status, want.body)
		}
	}
	g.noNACKs(t)
}
