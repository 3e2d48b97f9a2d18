package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// chromium starts a real browser with one tab. Where there is none the test is skipped,
// unless DURWARD_REQUIRE_ALL is set.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("DURWARD_REQUIRE_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip("chromium is not installed (on Debian: apt-get install chromium)")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU, chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to run as root otherwise
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return ctx
}

// page is a tab that shows a page of some origin.
type page struct {
	ctx    context.Context
	origin string
}

func visit(t *testing.T, ctx context.Context, origin string) page {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.Navigate(origin)); err != nil {
		t.Fatalf("visit %s: %v", origin, err)
	}
	return page{ctx, origin}
}

// read is what a script of a page got to see of an answer; of one that it may not read
// there is an error alone.
type read struct {
	Error                                string
	Status                               int
	Type, Challenge, Retry, Decision, ID string
	Text                                 string
}

// fetch lets the page call, with these headers.
func (p page) fetch(t *testing.T, method, address string, headers map[string]string) read {
	t.Helper()
	if headers == nil {
		headers = map[string]string{}
	}
	options := must(json.Marshal(map[string]any{"method": method, "headers": headers}))
	script := fmt.Sprintf(`fetch(%s, %s).then(async r => ({
		status: r.status, text: await r.text(), type: r.headers.get("content-type") ?? "",
		challenge: r.headers.get("www-authenticate") ?? "", retry: r.headers.get("retry-after") ?? "",
		decision: r.headers.get("x-decision-id") ?? "", id: r.headers.get("x-request-id") ?? "",
	}), e => ({ error: String(e) }))`, must(json.Marshal(address)), options)
	got, err := chromedp.Run(p.ctx, chromedp.Evaluate[read](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: fetch %s: %v", p.origin, address, err)
	}
	return got
}

// wire counts the methods of what a browser sends to the gateway.
type wire struct {
	*httptest.Server
	mu   sync.Mutex
	sent []string
}

func newWire(t *testing.T, gateway string) *wire {
	t.Helper()
	w := new(wire)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: gateway})
	transport := &http.Transport{DisableKeepAlives: true}
	proxy.Transport = transport
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.sent = append(w.sent, r.Method)
		w.mu.Unlock()
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

// take returns the methods since the last take.
func (w *wire) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

// readsDenial wants that the page reads all that the denial says, and nothing that is not
// meant for it.
func readsDenial(t *testing.T, got read, status int, reason string) {
	t.Helper()
	var problem struct {
		Type, Title, Reason string
		Status              int
		DecisionID          string `json:"decision_id"`
	}
	if err := json.Unmarshal([]byte(got.Text), &problem); err != nil {
		t.Fatalf("%d: %v: %+v", status, err, got)
	}
	if got.Status != status || got.Type != "application/problem+json" || problem.Status != status || problem.Reason != reason || problem.Type == "" || problem.Title == "" {
		t.Errorf("want %d %s, read %+v", status, reason, got)
	}
	if got.Decision == "" || problem.DecisionID != got.Decision || got.ID != "" {
		t.Errorf("%d: decision %q, in the body %q; request %q", status, got.Decision, problem.DecisionID, got.ID)
	}
}

// A page of an allowed origin, in a real browser, reads why it was denied. Its preflight
// is answered by Envoy and remembered by the browser: each call costs one check.
func TestBrowserReadsDenials(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	b := newBrowsers(t)
	wire := newWire(t, b.gateway)
	here := visit(t, ctx, b.here)
	call := func(method, path, token string, want ...string) (got read) {
		b.counting(t, path, 1, func() {
			got = here.fetch(t, method, wire.URL+path, map[string]string{"authorization": "Bearer " + token, "x-more": "1"})
		})
		if sent := wire.take(); !slices.Equal(sent, want) {
			t.Errorf("%s: the browser sent %q, want %q", path, sent, want)
		}
		return got
	}

	if got := call("GET", "/open/7", b.good(), "OPTIONS", "GET"); got.Status != http.StatusOK || got.Text != "from the backend" || got.Decision == "" {
		t.Errorf("with a good token: %+v", got)
	}
	got := call("GET", "/open/7", "nonsense", "GET") // the preflight is remembered
	readsDenial(t, got, http.StatusUnauthorized, "token_malformed")
	if !strings.HasPrefix(got.Challenge, "Bearer ") || !strings.Contains(got.Challenge, `error="invalid_token"`) || !strings.Contains(got.Challenge, "resource_metadata=") {
		t.Errorf("challenge %q", got.Challenge)
	}
	got = call("PUT", "/open/8", b.good(), "OPTIONS", "PUT")
	readsDenial(t, got, http.StatusForbidden, "scope_missing")
	if !strings.Contains(got.Challenge, `error="insufficient_scope"`) || !strings.Contains(got.Challenge, `scope="`) {
		t.Errorf("challenge %q", got.Challenge)
	}
	b.is.respond("introspect", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	got = call("GET", "/open/7", b.good(), "GET")
	readsDenial(t, got, http.StatusServiceUnavailable, "okta_unavailable")
	if seconds, err := strconv.Atoi(got.Retry); err != nil || seconds < 1 || got.Challenge != "" {
		t.Errorf("retry after %q, challenge %q", got.Retry, got.Challenge)
	}
	if n := len(b.backend.take()); n != 1 {
		t.Errorf("the backend was asked %d times", n)
	}

	document := here.fetch(t, "GET", wire.URL+openMetadata, nil)
	if document.Status != http.StatusOK || document.Type != "application/json" || !strings.Contains(document.Text, `"scopes_supported"`) {
		t.Errorf("resource metadata: %+v", document)
	}
	if sent := wire.take(); !slices.Equal(sent, []string{"GET"}) {
		t.Errorf("for the document the browser sent %q", sent)
	}
}

// A page of another origin reads nothing, be it of a denial or of an answer that a backend
// would let everybody read, and of an API without origins no page of any origin does. The
// preflights are checked and refused, so that no call with a token follows.
func TestBrowserKeepsStrangersOut(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	b := newBrowsers(t)
	wire := newWire(t, b.gateway)
	token := map[string]string{"authorization": "Bearer " + b.good()}
	for _, tt := range []struct {
		origin, path string
		headers      map[string]string
		sent         string
	}{
		{b.elsewhere, "/open/7", token, "OPTIONS"},
		{b.elsewhere, "/open/7", nil, "GET"},
		{b.elsewhere, "/open/public", nil, "GET"},
		{b.elsewhere, openMetadata, nil, "GET"},
		{b.elsewhere, "/nowhere", nil, "GET"},
		{b.here, "/closed/7", token, "OPTIONS"},
		{b.here, "/closed/7", nil, "GET"},
		{b.here, "/nowhere", nil, "GET"},
	} {
		from := visit(t, ctx, tt.origin)
		b.counting(t, tt.path, 1, func() {
			got := from.fetch(t, "GET", wire.URL+tt.path, tt.headers)
			if got != (read{Error: "TypeError: Failed to fetch"}) {
				t.Errorf("%s reads of %s: %+v", tt.origin, tt.path, got)
			}
		})
		if sent := wire.take(); !slices.Equal(sent, []string{tt.sent}) {
			t.Errorf("%s: the browser sent %q, want %s", tt.path, sent, tt.sent)
		}
	}
	if seen := b.backend.take(); len(seen) != 1 || seen[0].URL.Path != "/public" {
		t.Errorf("the backend was asked %d times", len(seen))
	}
}
