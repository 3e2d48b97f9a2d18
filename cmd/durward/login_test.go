package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

// loginPorts keeps the two callback ports, which Okta knows by number, for one test at
// a time, in all test binaries.
func loginPorts(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "durward-test-login-ports"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
}

var (
	authorizeURL = regexp.MustCompile(`(?m)^  (http\S+/v1/authorize\?\S+)$`)
	formAction   = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hiddenField  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// signIn does what alice does in a browser with the address that login prints, and
// returns the last page.
func signIn(t testing.TB, address string) string {
	t.Helper()
	page, _ := visit(t, address)
	return page
}

// visit is signIn that also returns the address of the last page, the callback's.
func visit(t testing.TB, address string) (last string, callback *url.URL) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := http.Client{Jar: jar, Timeout: 20 * time.Second}
	page := func(res *http.Response, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		callback = res.Request.URL
		return string(body)
	}
	form := page(browser.Get(address))
	fields := url.Values{"username": {"alice"}, "password": {"any"}}
	for _, m := range hiddenField.FindAllStringSubmatch(form, -1) {
		fields.Set(m[1], html.UnescapeString(m[2]))
	}
	action := formAction.FindStringSubmatch(form)
	at, err := url.Parse(address)
	if err != nil || action == nil {
		t.Fatalf("no sign-in form at %s: %v\n%s", address, err, form)
	}
	if at, err = at.Parse(action[1]); err != nil {
		t.Fatal(err)
	}
	last = page(browser.PostForm(at.String(), fields))
	return last, callback
}

// desk is where somebody works: a configuration, an Okta, a gateway and a state directory.
type desk struct {
	okta        *oktatest.Server
	file, state string
	env         []string
	// said is everything that commands wrote.
	said strings.Builder
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	loginPorts(t)
	okta := oktatest.New(t)
	door := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(door.Close)
	place := somewhere()
	place.issuer = okta.Issuer("default")
	file := place.write(t, "secret")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer("0oaMOBILE", okta.Client("mobile").ID, "http://127.0.0.1:10000", door.URL).Replace(string(text))
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	return &desk{okta: okta, file: file, state: state, env: []string{"XDG_STATE_HOME=" + state, "BROWSER=false", "NO_COLOR=1"}}
}

// answer is a gateway's: the path says what was decided.
func answer(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Server", "envoy")
	kind, reason, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	status := 200
	_, _ = fmt.Sscan(kind, &status)
	if reason != "itself" {
		h.Set("X-Decision-Id", "QW5ZK3TJ2M7XAB4C")
	}
	switch {
	case reason == "itself":
		w.WriteHeader(status)
	case reason != "":
		h.Set("Content-Type", "application/problem+json")
		h.Set("WWW-Authenticate", `Bearer realm="durward", error="insufficient_scope", scope="orders.write"`)
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"type":"urn:durward:reason:%[1]s","title":"t","status":%[2]d,"reason":%[1]q,"decision_id":"QW5ZK3TJ2M7XAB4C"}`, reason, status)
	default:
		w.WriteHeader(status)
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s bearer=%t %s\x1b[2J\n", r.Method, r.Header.Get("X-Trace"), strings.HasPrefix(r.Header.Get("Authorization"), "Bearer eyJ"), body)
	}
}

func (d *desk) runs(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	code, stdout, stderr = runs(t, filepath.Dir(d.file), d.env, args...)
	d.said.WriteString(stdout + stderr)
	return code, stdout, stderr
}

// login signs alice in through the printed address.
func (d *desk) login(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := durward(append([]string{"login", "mobile", "--no-browser"}, args...)...)
	cmd.Dir, cmd.Env = filepath.Dir(d.file), append(cmd.Env, d.env...)
	p := start(t, cmd)
	p.says(t, "waiting for the browser")
	address := authorizeURL.FindStringSubmatch(p.stderr.String())
	if address == nil {
		t.Fatalf("no address is printed:\n%s", p.stderr.String())
	}
	if page := signIn(t, address[1]); !strings.Contains(page, "You may close this tab.") {
		t.Errorf("the callback page is:\n%s", page)
	}
	if code := p.exit(t); code != 0 {
		t.Fatalf("login: exit code %d\n%s", code, p.stderr.String())
	}
	d.said.WriteString(p.stdout.String() + p.stderr.String())
	return p
}

// tokens are what the store holds.
func (d *desk) tokens(t *testing.T) (path string, secrets []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(d.state, "durward", "login", "*.json"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("the store has %q, %v", paths, err)
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(text, &f); err != nil || len(f.Access) < 100 || len(f.Refresh) < 20 {
		t.Fatalf("the store is no store: %v", err)
	}
	return paths[0], []string{f.Access, f.Refresh}
}

// nobodyListens dials the callback ports.
func nobodyListens(t *testing.T) {
	t.Helper()
	for _, address := range []string{"127.0.0.1:8765", "127.0.0.1:18765"} {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			_ = conn.Close()
			t.Errorf("%s is listened on", address)
		}
	}
}

func TestLoginCallLogout(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.login(t, "--scope", "orders.read", "--steps")
	nobodyListens(t)
	if want := "alice@example.com is signed in to mobile; the access token expires at "; !strings.HasPrefix(p.stdout.String(), want) || !strings.HasSuffix(p.stdout.String(), "; scopes: offline_access openid orders.read\n") {
		t.Errorf("login says %q", p.stdout.String())
	}
	if !strings.Contains(p.stderr.String(), "code_verifier = ") {
		t.Error("--steps shows no steps")
	}
	path, secrets := d.tokens(t)
	if stat, err := os.Stat(path); err != nil || stat.Mode() != 0o600 {
		t.Errorf("%s: %v %v", path, stat.Mode(), err)
	}
	if code, _, stderr := d.runs(t, "login", "mobile", "--scope", "orders.read"); code != 0 || !strings.Contains(stderr, "signed in already") {
		t.Errorf("login again: %d %s", code, stderr)
	}
	d.calls(t)

	if code, stdout, _ := d.runs(t, "logout", "mobile"); code != 0 || stdout != "alice@example.com is signed out of retail/mobile\n" {
		t.Errorf("logout: %d %s", code, stdout)
	}
	if code, stdout, _ := d.runs(t, "logout", "--all"); code != 0 || stdout != "nobody is signed in here\n" {
		t.Errorf("logout --all: %d %s", code, stdout)
	}
	if code, _, stderr := d.runs(t, "call", "mobile", "GET", "/200"); code != 1 || !strings.Contains(stderr, "fix: durward login retail/mobile") {
		t.Errorf("call after logout: %d %s", code, stderr)
	}
	for i, secret := range secrets {
		if strings.Contains(d.said.String(), secret) {
			t.Errorf("secret %d was told", i)
		}
	}
}

// calls holds the exit codes and what goes to which stream.
func (d *desk) calls(t *testing.T) {
	t.Helper()
	for name, tt := range map[string]struct {
		args   []string
		code   int
		stdout string
		stderr []string
	}{
		"allowed":     {[]string{"GET", "/200", "-H", "X-Trace: 7"}, 0, "GET 7 bearer=true \x1b[2J\n", []string{"✓ allowed 200  GET /200  answered by backend  decision QW5ZK3TJ2M7XAB4C\n"}},
		"lower case":  {[]string{"get", "/200"}, 0, "GET  bearer=true \x1b[2J\n", nil},
		"body":        {[]string{"POST", "/201", "-d", "{}"}, 0, "POST  bearer=true {}\x1b[2J\n", []string{"✓ allowed 201"}},
		"body file":   {[]string{"POST", "/201", "-d", "@secret"}, 0, "POST  bearer=true secret\x1b[2J\n", nil},
		"backend 500": {[]string{"GET", "/500"}, 0, "GET  bearer=true \x1b[2J\n", []string{"✓ allowed 500"}},
		"denied": {[]string{"POST", "/403/scope_missing"}, 5, problemOf("scope_missing", 403), []string{
			"✗ denied 403 scope_missing  POST /403/scope_missing  answered by durward  decision QW5ZK3TJ2M7XAB4C\n",
			"needs the scope orders.write\n", "next: durward login mobile --scope orders.read,orders.write\n",
			"durward explain POST http", "--as mobile --scope offline_access,openid,orders.read\n", "durward help scope_missing\n",
		}},
		"denied 503":    {[]string{"GET", "/503/okta_unavailable"}, 6, problemOf("okta_unavailable", 503), []string{"✗ denied 503 okta_unavailable"}},
		"envoy 503":     {[]string{"GET", "/503/itself"}, 6, "", []string{"! undecided 503  GET /503/itself  answered by envoy\n", "likely cause: Envoy got no decision"}},
		"envoy 404":     {[]string{"GET", "/404/itself"}, 1, "", []string{"! undecided 404", "no configuration from Durward"}},
		"bad path":      {[]string{"GET", "orders"}, 2, "", []string{`durward: path "orders"`, "see durward call --help"}},
		"bad header":    {[]string{"GET", "/", "-H", "Authorization: Bearer x"}, 2, "", []string{"to send another, use curl"}},
		"no body file":  {[]string{"GET", "/", "-d", "@absent"}, 2, "", []string{"absent"}},
		"no gateway":    {[]string{"GET", "/", "--gateway", "ege"}, 2, "", []string{`no gateway "ege"; did you mean "edge"?`}},
		"no server":     {[]string{"GET", "/", "--server", "deflt"}, 2, "", []string{`no authorization server "deflt"`}},
		"unknown form":  {[]string{"GET", "/", "-o", "yaml"}, 2, "", []string{"neither text nor json"}},
		"no more input": {[]string{"GET", "/", "extra"}, 2, "", []string{"see durward call --help"}},
	} {
		code, stdout, stderr := d.runs(t, append([]string{"call", "mobile"}, tt.args...)...)
		if code != tt.code || stdout != tt.stdout {
			t.Errorf("%s: exit code %d, standard output %q\n%s", name, code, stdout, stderr)
		}
		for _, part := range tt.stderr {
			if !strings.Contains(stderr, part) {
				t.Errorf("%s: standard error has no %q:\n%s", name, part, stderr)
			}
		}
		if n := strings.Count(stderr, "durward: "); (code == 2) != (n == 1) {
			t.Errorf("%s: it is said %d times:\n%s", name, n, stderr)
		}
	}
	code, stdout, stderr := d.runs(t, "call", "mobile", "GET", "/403/grant_missing", "-o", "json")
	var a struct{ Verdict, Reason, Body string }
	if err := json.Unmarshal([]byte(stdout), &a); err != nil || code != 5 || stderr != "" || a.Verdict != "denied" || a.Reason != "grant_missing" || a.Body != problemOf("grant_missing", 403) {
		t.Errorf("JSON: %v, exit code %d, %+v %s", err, code, a, stderr)
	}
}

func problemOf(reason string, status int) string {
	return fmt.Sprintf(`{"type":"urn:durward:reason:%[1]s","title":"t","status":%[2]d,"reason":%[1]q,"decision_id":"QW5ZK3TJ2M7XAB4C"}`, reason, status)
}

func TestLoginFails(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"timeout":       {[]string{"login", "mobile", "--no-browser", "--timeout", "20ms"}, 1, "no answer from the browser within 20ms"},
		"unknown app":   {[]string{"login", "mobil"}, 2, `no application "mobil"; did you mean "mobile"?`},
		"unknown call":  {[]string{"call", "mobil", "GET", "/"}, 2, `did you mean "mobile"?`},
		"unknown out":   {[]string{"logout", "mobil"}, 2, `did you mean "mobile"?`},
		"no name":       {[]string{"login"}, 2, "see durward login --help"},
		"logout nobody": {[]string{"logout"}, 2, "name one application, or --all"},
		"logout both":   {[]string{"logout", "mobile", "--all"}, 2, "name one application, or --all"},
		"no file":       {[]string{"login", "mobile", "-c", "absent.yaml"}, 3, "absent.yaml"},
		"no secret":     {[]string{"login", "mobile", "--client-secret-file", "absent"}, 3, "absent"},
		"signed out":    {[]string{"call", "mobile", "GET", "/"}, 1, "not signed in to retail/mobile"},
		"bad server":    {[]string{"login", "mobile", "--server", "defalt"}, 2, `did you mean "default"?`},
	} {
		code, stdout, stderr := d.runs(t, tt.args...)
		if code != tt.code || stdout != "" || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s: exit code %d, %q:\n%s", name, code, stdout, stderr)
		}
	}
	if err := d.okta.Down(); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := d.runs(t, "login", "mobile", "--no-browser"); code != 6 || !strings.Contains(stderr, "okta cannot be reached") {
		t.Errorf("okta is down: exit code %d\n%s", code, stderr)
	}
	nobodyListens(t)
}

// Ctrl-C ends the wait, and the port is free.
func TestLoginInterrupted(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	record := filepath.Join(d.state, "opened")
	script := filepath.Join(d.state, "browser")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf %s \"$1\" > "+record+".part && mv "+record+".part "+record+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{nil, {"--no-input"}} {
		cmd := durward(append([]string{"login", "mobile"}, flags...)...)
		cmd.Dir, cmd.Env = filepath.Dir(d.file), append(cmd.Env, slices.Concat(d.env, []string{"BROWSER=" + script})...)
		p := start(t, cmd)
		p.says(t, "waiting for the browser")
		printed := authorizeURL.FindStringSubmatch(p.stderr.String())
		if flags == nil { // $BROWSER shows what is printed
			deadline := time.Now().Add(20 * time.Second)
			opened, err := os.ReadFile(record)
			for ; err != nil && time.Now().Before(deadline); opened, err = os.ReadFile(record) {
				time.Sleep(10 * time.Millisecond)
			}
			if printed == nil || string(opened) != printed[1] {
				t.Errorf("opened %q, printed %q", opened, printed)
			}
			_ = os.Remove(record)
		}
		p.signal(t, os.Interrupt)
		if code := p.exit(t); code != 1 || !strings.Contains(p.stderr.String(), "the login was interrupted") {
			t.Errorf("exit code %d\n%s", code, p.stderr.String())
		}
		nobodyListens(t)
		if _, err := os.Stat(record); err == nil {
			t.Error("--no-input opened a browser")
		}
	}
}

// Shells complete application names.
func TestCompleteApplications(t *testing.T) {
	t.Parallel()
	file := somewhere().write(t, "secret")
	for _, verb := range []string{"login", "logout", "call"} {
		code, stdout, _ := runs(t, filepath.Dir(file), nil, "__complete", verb, "-c", file, "")
		if code != 0 || !strings.HasPrefix(stdout, "mobile\n:4\n") {
			t.Errorf("%s: %d %q", verb, code, stdout)
		}
	}
}
