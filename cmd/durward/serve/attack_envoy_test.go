package serve

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durward/durward/envoy"
	"github.com/durward/durward/envoy/binary"
)

// backend remembers what came through, its body too.
type backend struct {
	mu   sync.Mutex
	seen []*http.Request
}

func (b *backend) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 8<<20)) // what came before it broke off
	r.Body = io.NopCloser(bytes.NewReader(body))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, r)
}

// take returns the requests since the last take.
func (b *backend) take() []*http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.seen
	b.seen = nil
	return seen
}

// gateway starts a real Envoy before w and returns its address.
func (w *world) gateway(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // may have to fetch Envoy
	defer cancel()
	path, err := binary.Find(ctx, binary.Options{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := envoy.Bootstrap(w.Catalogue(), "edge", envoy.BootstrapOptions{Admin: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	var output journal
	p, err := binary.Start(binary.Command{Path: path, Dir: t.TempDir(), Bootstrap: bootstrap, Stdout: &output, Stderr: &output})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("envoy said:\n%s", output.String())
		}
	})
	if err := p.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.WaitAcked(ctx, "edge"); err != nil {
		t.Fatal(err)
	}
	address, err := p.ListenerAddr(ctx, "edge")
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// raw sends bytes and returns the status of the answer, 0 where none came.
func raw(t *testing.T, address, request string) int {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// TestAttackThroughEnvoy has the rows in which a real Envoy takes part.
func TestAttackThroughEnvoy(t *testing.T) {
	t.Parallel()
	b := new(backend)
	origin := httptest.NewServer(b)
	t.Cleanup(origin.Close)
	w := newWorld(t, setting{backend: origin.URL})
	gateway := w.gateway(t)
	good, other := w.good(), w.good()

	// try sends header lines to each mode and wants a status, and the backend reached by
	// an allow alone, with no credential.
	try := func(t *testing.T, what, query, lines string, want int) {
		t.Helper()
		for _, mode := range threeModes {
			request := "GET /" + mode + "/1" + query + " HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n" + lines + "\r\n"
			if got := raw(t, gateway, request); got != want {
				t.Errorf("%s, %s: %d, want %d", what, mode, got, want)
			}
			seen := b.take()
			if len(seen) > 0 && want != http.StatusOK || len(seen) != 1 && want == http.StatusOK {
				t.Errorf("%s, %s: the backend was asked %d times", what, mode, len(seen))
			}
			for _, r := range seen {
				var head bytes.Buffer
				_ = r.Header.Write(&head)
				if strings.Contains(head.String(), good) || strings.Contains(r.RequestURI, good) {
					t.Errorf("%s, %s: the backend saw the token", what, mode)
				}
			}
		}
	}
	t.Run("T02", func(t *testing.T) {
		for _, scheme := range []string{"bearer ", "BEARER ", "Bearer   "} {
			try(t, scheme, "", "Authorization: "+scheme+good+"\r\n", 200)
		}
		try(t, "blanks around", "", "AUTHORIZATION:   Bearer "+good+"  \r\n", 200) // HTTP's own, which Envoy strips
	})
	t.Run("T03", func(t *testing.T) {
		introspections, fetches := w.is.asked("introspect"), w.is.asked("keys")
		for _, v := range []string{
			"Bearer", "Bearer a\tb", "Bearer " + good + " x", "Bearer " + good + ",", `Bearer "` + good + `"`, "Bearer " + good + "\xff", "Bearer " + good + "é", "Bearer \t" + good,
			"Bearer " + good + "\x00", "Bearer " + good + "\r\n folded",
		} {
			try(t, v[:min(len(v), 12)]+v[max(0, len(v)-4):], "", "Authorization: "+v+"\r\n", 400)
		}
		if n, m := w.is.asked("introspect")-introspections, w.is.asked("keys")-fetches; n+m != 0 {
			t.Errorf("%d introspections, %d fetches", n, m)
		}
	})
	t.Run("T04", func(t *testing.T) {
		for what, lines := range map[string]string{
			"two":        "Authorization: Bearer " + good + "\r\nAuthorization: Bearer " + other + "\r\n",
			"the same":   "Authorization: Bearer " + good + "\r\nauthorization: Bearer " + good + "\r\n",
			"joined":     "Authorization: Bearer " + good + ",Bearer " + other + "\r\n",
			"with Basic": "Authorization: Bearer " + good + "\r\nAuthorization: Basic YTpi\r\n",
		} {
			try(t, what, "", lines, 400)
		}
	})
	t.Run("T05", func(t *testing.T) {
		try(t, "header and query", "?access_token="+good, "Authorization: Bearer "+good+"\r\n", 400)
		try(t, "query", "?access_token="+good, "", 401)
		try(t, "cookie", "", "Cookie: access_token="+good+"\r\n", 401)
		form := "access_token=" + good
		try(t, "body", "", "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\nX-Form: "+form+"\r\n", 401)
		try(t, "none", "", "", 401)
		try(t, "header", "?a=b", "Authorization: Bearer "+good+"\r\n", 200)
	})
}
