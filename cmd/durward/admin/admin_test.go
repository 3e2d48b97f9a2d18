package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/cmd/durward/admin"
)

// serve answers with s at an address, until the test ends.
func serve(t *testing.T, network, address string, read func() admin.Status) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	server := admin.NewServer(read, slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func some() admin.Status {
	return admin.Status{Revision: "0123456789ab", Objects: []admin.Object{
		{Kind: "api", Name: "orders", State: "published", Revision: "0123456789ab"},
		{Kind: "gateway", Name: "edge", State: "waiting", Reason: "no Envoy is <connected>"},
	}}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "dw") //nolint:usetesting // a test's own is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "admin")
	serve(t, "unix", socket, some)
	for _, address := range []string{serve(t, "tcp", "127.0.0.1:0", some), "unix:" + socket} {
		got, err := admin.Fetch(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(some(), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", address, diff)
		}
	}
}

// A page in a browser reaches a loopback port by a name of its own that resolves to it:
// only a name that is loopback by itself is answered, and nothing can be changed.
func TestOnlyReads(t *testing.T) {
	t.Parallel()
	address := serve(t, "tcp", "127.0.0.1:0", some)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, host, path string
		status             int
	}{
		{"GET", "127.0.0.1:" + port, admin.Path, 200},
		{"GET", "localhost:" + port, admin.Path, 200},
		{"GET", "localhost", admin.Path, 200},
		{"GET", "[::1]:7", admin.Path, 200},
		{"GET", "[::1]", admin.Path, 200},
		{"GET", "evil.example:" + port, admin.Path, 403},
		{"GET", "localhost.evil.example:" + port, admin.Path, 403},
		{"GET", "127.0.0.1.nip.io", admin.Path, 403},
		{"GET", "10.0.0.1:" + port, admin.Path, 403},
		{"GET", "0.0.0.0:" + port, admin.Path, 403},
		{"POST", "evil.example", "/", 403},
		{"POST", "localhost", admin.Path, 405},
		{"HEAD", "localhost", admin.Path, 405},
		{"DELETE", "localhost", admin.Path, 405},
		{"OPTIONS", "localhost", admin.Path, 405},
		{"GET", "localhost", "/", 404},
		{"GET", "localhost", admin.Path + "/", 404},
		{"GET", "localhost", "/debug/pprof/", 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+address+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != c.status || res.StatusCode != 200 && strings.Contains(string(body), "orders") {
			t.Errorf("%s %s at %s: %d, want %d: %s", c.method, c.path, c.host, res.StatusCode, c.status, body)
		}
		if res.Header.Get("Access-Control-Allow-Origin") != "" || res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s at %s: headers %v", c.method, c.path, c.host, res.Header)
		}
	}
}

func TestFetchRefusesOthers(t *testing.T) {
	t.Parallel()
	endless := strings.Repeat("[", 1<<20)
	for name, answer := range map[string]http.HandlerFunc{
		"not found":  http.NotFound,
		"redirect":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) },
		"not JSON":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
		"other JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"objects":"none"}`) },
		"without end": func(w http.ResponseWriter, _ *http.Request) {
			for range 60 {
				_, _ = io.WriteString(w, endless)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(answer)
			t.Cleanup(server.Close)
			s, err := admin.Fetch(t.Context(), server.Listener.Addr().String())
			if !errors.Is(err, admin.ErrUnreachable) || len(s.Objects) > 0 {
				t.Errorf("%v, %v", s, err)
			}
		})
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if _, err := admin.Fetch(t.Context(), gone.Listener.Addr().String()); !errors.Is(err, admin.ErrUnreachable) {
		t.Errorf("nobody there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := admin.Fetch(ctx, gone.Listener.Addr().String()); !errors.Is(err, context.Canceled) || errors.Is(err, admin.ErrUnreachable) {
		t.Errorf("stopped: %v", err)
	}
}

// However much there is to say, an answer stays bounded and is read whole.
func TestBounded(t *testing.T) {
	t.Parallel()
	var s admin.Status
	for i := range 200_000 {
		s.Objects = append(s.Objects, admin.Object{Kind: "api", Name: fmt.Sprint("api-", i), State: "published", Revision: "0123456789ab"})
	}
	s.Objects[0].Reason = strings.Repeat("é", 10_000)
	address := serve(t, "tcp", "127.0.0.1:0", func() admin.Status { return s })
	got, err := admin.Fetch(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if got.Omitted == 0 || got.Omitted+len(got.Objects) != len(s.Objects) || len(got.Objects) < 10_000 {
		t.Errorf("%d objects, %d omitted", len(got.Objects), got.Omitted)
	}
	if reason := got.Objects[0].Reason; len(reason) > 2010 || !strings.HasSuffix(reason, "é…") {
		t.Errorf("a reason of %d bytes", len(reason))
	}
}

// Only so many answers are in memory at once; whoever is too many is told to come back.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	reading, release := make(chan struct{}, 16), make(chan struct{})
	address := serve(t, "tcp", "127.0.0.1:0", func() admin.Status {
		reading <- struct{}{}
		<-release
		return some()
	})
	errs := make(chan error, 4)
	for range 4 {
		go func() { _, err := admin.Fetch(t.Context(), address); errs <- err }()
	}
	for range 4 {
		select {
		case <-reading:
		case <-time.After(10 * time.Second):
			t.Fatal("the first four are not answered together")
		}
	}
	if _, err := admin.Fetch(t.Context(), address); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("the fifth: %v", err)
	}
	close(release)
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
