package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/durward/durward/policy/contract"
)

// anywhere are options under which tests can run side by side.
func anywhere(t *testing.T, out *bytes.Buffer) Options {
	const free = "127.0.0.1:0"
	return Options{
		Okta: free, Backend: free, Gateway: free, Check: free, XDS: free, Ops: free, Admin: free,
		State: filepath.Join(t.TempDir(), "state"), Exit: true, Out: out, Progress: os.Stderr,
	}
}

// canaries collects what must not be seen anywhere.
type canaries struct {
	mu   sync.Mutex
	list []string
}

func (c *canaries) add(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s != "" {
		c.list = append(c.list, s)
	}
}

// TestTheTenOutcomes is the demo itself: every step through the real Envoy, no update
// refused by Envoy, and no token or secret in anything that was printed or written but
// the files made to hold one.
func TestTheTenOutcomes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var secrets canaries
	d := newDemo(anywhere(t, &out), hooks{issued: secrets.add, backend: Echo})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := d.start(ctx); err != nil {
		t.Fatal(errors.Join(err, d.stop()))
	}
	d.printTable()
	for _, s := range d.steps() {
		if !d.perform(ctx, s) {
			t.Errorf("step %s: %s", s.number, s.title)
		}
	}
	res, err := http.Get("http://" + d.durward.OpsAddress() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	_, _ = text.ReadFrom(res.Body)
	_ = res.Body.Close()
	metrics := text.String()
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	t.Log(out.String())

	for _, kind := range []string{"cluster", "listener", "route"} {
		if want := fmt.Sprintf("durward_xds_nacks_total{type=%q} 0\n", kind); !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
	for _, want := range []string{
		`durward_decisions_total{api="orders",application="mobile",outcome="deny",reason="scope_missing"} 1`,
		`durward_okta_requests_total{code="refused",endpoint="introspect"}`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
	places := map[string]string{"output": out.String(), "metrics": metrics}
	readAll(t, d.State, places)
	delete(places, d.file("okta-secret"))
	if len(secrets.list) < 6 || len(places) < 6 {
		t.Fatalf("%d secrets and %d places are too few to mean anything", len(secrets.list), len(places))
	}
	findCanaries(t, secrets.list, places)
}

func readAll(t *testing.T, dir string, into map[string]string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		into[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// findCanaries looks for secrets whole, and for a JWT's parts: a claim set alone is too
// much already.
func findCanaries(t *testing.T, secrets []string, places map[string]string) {
	t.Helper()
	for _, secret := range secrets {
		for part := range strings.SplitSeq(secret, ".") {
			for place, text := range places {
				if strings.Contains(text, part) && !strings.HasPrefix(part, "eyJraWQi") {
					t.Errorf("%s shows a secret, beginning with %.12q", place, part)
				}
			}
		}
	}
}

func TestDemoExitCodesFollowOutcomes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	d := newDemo(anywhere(t, &out), hooks{issued: func(string) {}, backend: func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	}})
	if err := d.run(t.Context()); !errors.Is(err, ErrOutcome) {
		t.Errorf("a backend that is wrong gives %v", err)
	}
	if !strings.Contains(out.String(), "✗ 3") {
		t.Errorf("step 3 is not marked:\n%s", out.String())
	}
}

func TestDemoNamesBusyPorts(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	for flag, set := range map[string]func(*Options, string){
		"okta":    func(o *Options, a string) { o.Okta = a },
		"backend": func(o *Options, a string) { o.Backend = a },
		"gateway": func(o *Options, a string) { o.Gateway = a },
		"check":   func(o *Options, a string) { o.Check = a },
		"xds":     func(o *Options, a string) { o.XDS = a },
		"ops":     func(o *Options, a string) { o.Ops = a },
		"admin":   func(o *Options, a string) { o.Admin = a },
	} {
		var out bytes.Buffer
		o := anywhere(t, &out)
		set(&o, busy.Addr().String())
		err := Run(t.Context(), o)
		var named *FlagError
		if !errors.As(err, &named) || named.Flag != flag || !strings.Contains(err.Error(), "--"+flag) {
			t.Errorf("%s: %v", flag, err)
		}
		if _, err := os.Stat(o.State); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the state directory was made", flag)
		}
	}
}

// TestSpoofedIdentityNeverReachesTheBackend sends forged headers in every spelling,
// through the real Envoy, on allowed, denied and unknown routes.
func TestSpoofedIdentityNeverReachesTheBackend(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	seen := make(chan http.Header, 1)
	d := newDemo(anywhere(t, &out), hooks{issued: func(string) {}, backend: func(_ http.ResponseWriter, r *http.Request) {
		seen <- r.Header
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	defer func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := d.start(ctx); err != nil {
		t.Fatal(err)
	}
	alice, err := d.login(ctx, clientMobile, "alice", "orders.read")
	if err != nil {
		t.Fatal(err)
	}

	forgeries := map[string]string{
		"plain":       "x-auth-subject: root\r\nx-auth-user-id: 00uEVIL\r\nx-decision-id: mine\r\n",
		"any case":    "X-AUTH-SUBJECT: root\r\nX-Auth-Organization: evil\r\n",
		"duplicated":  "x-auth-subject: root\r\nx-auth-subject: admin\r\nX-Auth-Subject: toor\r\n",
		"empty":       "x-auth-subject:\r\nx-auth-groups: \r\n",
		"not ours":    "x-auth-role: admin\r\nx-auth-scopes2: all\r\n",
		"rewriting":   "x-original-url: /admin\r\nx-http-method-override: DELETE\r\nForwarded: for=evil\r\nx-forwarded-host: evil\r\n",
		"proxy's own": "x-envoy-original-path: /admin\r\nx-envoy-decorator-operation: evil\r\nx-ext-authz-check-result: allowed\r\n",
		"hop by hop":  "connection: x-auth-subject, x-auth-user-id\r\nx-auth-subject: root\r\n",
	}
	for name, lines := range forgeries {
		a := d.raw(t, "GET /orders/7", alice, lines)
		if a.status != 200 {
			t.Errorf("%s: status %d %s", name, a.status, a.body)
			continue
		}
		got := <-seen
		for header, values := range got {
			header = strings.ToLower(header)
			for _, v := range values {
				for _, lie := range []string{"root", "admin", "toor", "evil", "mine", "all", "DELETE", "allowed"} {
					if v == lie || strings.Contains(v, "for=evil") {
						t.Errorf("%s: the backend saw %s: %s", name, header, v)
					}
				}
			}
			if strings.HasPrefix(header, "x-auth-") && (len(values) != 1 || values[0] == "") {
				t.Errorf("%s: the backend saw %s %q", name, header, values)
			}
		}
		if got.Get(contract.HeaderSubject) != "alice@example.com" {
			t.Errorf("%s: the backend saw the subject %q", name, got.Get(contract.HeaderSubject))
		}
		if id := got.Get(contract.HeaderDecisionID); id == "" || id != a.header.Get(contract.HeaderDecisionID) {
			t.Errorf("%s: decision id %q at the backend, %q at the client", name, id, a.header.Get(contract.HeaderDecisionID))
		}
		if got.Get(contract.HeaderAuthorization) != "" {
			t.Errorf("%s: the backend saw the token", name)
		}
	}
	for name, c := range map[string]struct {
		line, token, lines string
		status             int
	}{
		"underscore twin":  {"GET /orders/7", alice, "x_auth_subject: root\r\n", 400},
		"mixed twin":       {"GET /orders/7", alice, "x-auth_subject: root\r\n", 400},
		"denied":           {"GET /orders/7", "", forgeries["plain"], 401},
		"denied by scope":  {"POST /orders", alice, forgeries["plain"], 403},
		"unknown path":     {"GET /nothing", alice, forgeries["plain"], 404},
		"two tokens":       {"GET /orders/7", alice, "authorization: Bearer " + alice + "\r\n", 400},
		"method override":  {"POST /orders/7", alice, "x-http-method-override: GET\r\n", 405},
		"encoded slash":    {"GET /orders%2f7", alice, "", 400},
		"climbs out":       {"GET /orders/../admin", alice, "", 404},
		"token in query":   {"GET /orders/7?access_token=" + alice, "", "", 401},
		"token in both":    {"GET /orders/7?access_token=x", alice, "", 400},
		"connect-like":     {"GET http://127.0.0.1/nothing", alice, "", 404},
		"websocket":        {"GET /orders/7", "", "connection: upgrade\r\nupgrade: websocket\r\n", 403},
		"unknown version":  {"GET /orders/7/x", alice, "", 404},
		"trailing slash":   {"GET /orders/", alice, "", 404},
		"case of the path": {"GET /Orders/7", alice, "", 404},
	} {
		if a := d.raw(t, c.line, c.token, c.lines); a.status != c.status {
			t.Errorf("%s: status %d, want %d: %s", name, a.status, c.status, a.body)
		}
		select {
		case got := <-seen:
			t.Errorf("%s: the backend was reached: %v", name, got)
		default:
		}
	}
}

// raw sends a request as bytes, since net/http would repair what is wrong in it.
func (d *demo) raw(t *testing.T, line, token, headers string) answer {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(d.gateway, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	text := line + " HTTP/1.1\r\nhost: 127.0.0.1\r\n" + headers
	if token != "" {
		text += "authorization: Bearer " + token + "\r\n"
	}
	if _, err := c.Write([]byte(text + "\r\n")); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return answer{res.StatusCode, res.Header, body}
}

func TestEchoMasksCredentials(t *testing.T) {
	t.Parallel()
	const jwt = "eyJraWQiOiJ4In0.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	r, err := http.NewRequest("GET", "http://backend/x?access_token="+jwt, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Authorization": {"Bearer " + jwt}, "X-Copy": {jwt}, "X-Auth-Token-Id": {"AT.fON6Fkb4CfEIrMEuR01SPLiaD0lzV51KN5FCmqJfbXQ"}}
	w := httptest.NewRecorder()
	Echo(w, r)
	if strings.Contains(w.Body.String(), jwt) {
		t.Error("the echo shows a token")
	}
	var e echoed
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Headers["x-auth-token-id"][0] != r.Header.Get("X-Auth-Token-Id") {
		t.Errorf("the echo hides what it should show: %s %v", w.Body.String(), err)
	}
}
