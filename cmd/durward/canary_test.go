package main

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// canaries are texts that only private files may hold, by what they are.
type canaries map[string]string

// token adds a JWT and its parts, each of which is worth hiding.
func (c canaries) token(name, text string) {
	c[name] = text
	for i, part := range strings.Split(text, ".") {
		c[fmt.Sprintf("part %d of %s", i+1, name)] = part
	}
}

func (c canaries) scan(t *testing.T, where, text string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if len(c[name]) < 16 {
			t.Fatalf("%s is too short to be looked for", name)
		}
		if at := strings.Index(text, c[name]); at >= 0 {
			t.Errorf("%s shows %s after %q", where, name, text[max(0, at-60):at])
			return
		}
	}
}

// silent are lines that meet tokens and secrets in every place where one can stand, with
// the exit codes that show that they got so far. $TOKEN is one of alice's, $SECRET the
// gateway's.
var silent = []struct {
	line string
	code int
}{
	{"durward version", 0},
	{"durward schema", 0},
	{"durward completion bash", 0},
	{"durward __complete call ''", 0},
	{"durward help", 0},
	{"durward help token_inactive", 0},
	{"durward init", exitUnexpected},
	{"durward init -c new/durward.yaml", 0},
	{`durward init -c other/durward.yaml --issuer "https://$TOKEN@example.okta.com/oauth2/default"`, exitUsage},
	{"durward check --secrets --color always", 0},
	{"durward check -o json", 0},
	{"durward check -o github", 0},
	{"durward check inline.yaml misplaced.yaml --color always", exitConfig},
	{"durward check inline.yaml misplaced.yaml -o json", exitConfig},
	{"durward check inline.yaml misplaced.yaml -o github", exitConfig},
	{"durward bootstrap", 0},
	{"durward bootstrap -c inline.yaml", exitConfig},
	{"durward serve -c misplaced.yaml", exitConfig},
	{"durward serve", exitUnexpected},
	{"durward emulate -c durward.yaml --backend", exitUnexpected},
	{"durward emulate -c inline.yaml", exitConfig},

	{"durward token @alice.header", 0},
	{"durward token @alice.header -o json", 0},
	{"durward token @alice.header --introspect --color always", 0},
	{"durward token - < alice.header", 0},
	{"durward token @alice.header --introspect -c dead.yaml", exitUnreachable},
	{`durward token "$TOKEN"`, exitUsage},
	{"durward token @okta-secret", 0},
	{`printf '%s %s' "$TOKEN" "$TOKEN" | durward token -`, exitUsage},
	{`printf '%s\n%s' "$TOKEN" "$TOKEN" | durward token -`, exitUsage},
	{`printf '%sA' "$TOKEN" | durward token - --introspect`, 0},
	{`printf '%s.x' "${TOKEN%.*}" | durward token -`, 0},

	{"durward explain GET /orders/7 --token @alice.header", 0},
	{"durward explain GET /orders/7 --token @alice.header -o json", 0},
	{"durward explain POST /orders --token @- --color always < alice.header", exitDenied},
	{"durward explain GET /orders/7 --token @alice.header -c dead.yaml", exitUnreachable},
	{"durward explain GET /orders/7 --as mobile --scope orders.read", 0},
	{`durward explain GET "/orders/$TOKEN?access_token=$TOKEN" --token @alice.header`, exitDenied},
	{`durward explain GET "/orders/$TOKEN" --token @alice.header -o json`, 0},
	{`durward explain GET "/$TOKEN" --as mobile`, exitDenied},
	{`durward explain GET "http://$TOKEN/orders" -o json`, exitDenied},
	{`durward explain "$TOKEN" /orders/7 -o json`, exitDenied},
	{`durward explain GET /orders/7 --token "$TOKEN"`, exitUsage},
	{`durward explain GET /orders/7 --as "$TOKEN"`, exitUsage},
	{`durward explain GET /orders/7 --as mobile --scope "$TOKEN"`, exitDenied},
	{`durward explain GET /orders/7 --as mobile --user "$TOKEN" --scope orders.read -o json`, 0},

	{"durward call mobile GET /orders/7", 0},
	{"durward call mobile GET /orders/7 -o json", 0},
	{"durward call mobile POST /orders --color always", exitDenied},
	{"durward call mobile POST /orders -o json", exitDenied},
	{`durward call mobile POST /orders -d "$TOKEN"`, exitDenied},
	{`durward call mobile GET "/orders/$TOKEN"`, 0},
	{`durward call mobile GET "/orders/$TOKEN" -o json`, 0},
	{`durward call mobile GET "/orders/7?access_token=$TOKEN"`, exitDenied},
	{`durward call mobile GET "/orders/7?access_token=$TOKEN" -o json`, exitDenied},
	{`durward call mobile GET /orders/7 -H "X-Token: $TOKEN"`, 0},
	{`durward call mobile GET /orders/7 -H "Cookie: sid=$TOKEN"`, 0},
	{`durward call mobile GET /orders/7 -H "X-Request-Id: $TOKEN"`, 0},
	{`durward call mobile GET /orders/7 -H "Host: $TOKEN"`, exitDenied},
	{`durward call mobile GET /orders/7 -H "Authorization: Bearer $TOKEN"`, exitUsage},
	{`durward call mobile GET /orders/7 -H "$TOKEN"`, exitUsage},
	{`durward call mobile GET "orders/$TOKEN"`, exitUsage},
	{`durward call mobile GET "/orders/$TOKEN?x=$TOKEN" -c closed.yaml`, exitUnreachable},
	{`durward call mobile GET /orders/7 -d "@$TOKEN"`, exitUsage},
	{`durward call mobile GET /orders/7 --gateway "$TOKEN"`, exitUsage},
	{`durward call "$TOKEN" GET /orders/7`, exitUsage},

	{"durward login mobile --scope orders.read", 0},
	{`durward login "$TOKEN"`, exitUsage},
	{"durward login mobile --force -c dead.yaml --no-browser", exitUnreachable},
	{`durward login mobile --client-secret-file "$TOKEN"`, exitUnexpected},
	{`durward logout "$TOKEN"`, exitUsage},
	{`durward "$TOKEN"`, exitUsage},
	{`durward help "$TOKEN"`, exitUsage},
	{`durward check --"$TOKEN"`, exitUsage},
	{`DURWARD_TIMEOUT="$TOKEN" durward call mobile GET /orders/7`, exitUsage},
	{"durward logout mobile -c dead.yaml", 0},
	{"durward logout --all", 0},
}

// Nothing that a command writes shows a token, a code or a secret, whatever it is asked,
// how much it tells, and where the token stands; not even when it crashes.
func TestCanary(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	known := s.knows(t)
	s.spoils(t, known)
	for _, row := range silent {
		code, stdout, stderr := s.does(t, row.line)
		all := stdout + stderr
		if code != row.code || strings.Contains(all, "goroutine ") {
			t.Errorf("%s: exit code %d, want %d:\n%s", row.line, code, row.code, all)
		}
		known.scan(t, row.line, all)
	}
	s.passes(t, known)
	s.reloads(t)
	for _, path := range []string{"/metrics", "/readyz?verbose", "/healthz"} {
		known.scan(t, path, s.serve.answers(t, path))
	}
	for where, p := range map[string]*process{"serve": s.serve, "emulate": s.okta, "envoy": s.envoy} {
		known.scan(t, where, p.stdout.String()+p.stderr.String())
	}
	if decisions := strings.Count(s.serve.stderr.String(), `"msg":"decision"`); decisions < 20 {
		t.Errorf("serve logs %d decisions", decisions)
	}
	s.scanFiles(t, known)
	s.crashes(t, known)
}

// knows signs alice in twice: the first token is in alice.header and $TOKEN, the second in
// the store, so that the one that stands somewhere is not always the caller's own.
func (s *shop) knows(t *testing.T) canaries {
	t.Helper()
	known := canaries{}
	secret, err := os.ReadFile(filepath.Join(s.dir, "okta-secret"))
	if err != nil {
		t.Fatal(err)
	}
	known["the client secret"] = strings.TrimSpace(string(secret))
	var said string
	for _, which := range []string{"first", "second"} {
		s.askedAlone(t, func(t *testing.T) {
			login, code := s.signsIn(t, "durward login mobile --scope orders.read --steps --force --color always --no-browser")
			known["the "+which+" code"] = code
			said += login.stdout.String() + login.stderr.String()
		})
		access, refresh := s.tokens(t)
		known.token("the "+which+" access token", access)
		known["the "+which+" refresh token"] = refresh
		if which == "first" {
			s.env = append(s.env, "TOKEN="+access, "SECRET="+known["the client secret"])
			s.writeHeader(t)
		}
	}
	if known["the first access token"] == known["the second access token"] {
		t.Fatal("both tokens are one")
	}
	known.scan(t, "login", said)
	return known
}

// spoils writes configurations with a secret in them, one whose gateway is closed, and one
// of which nothing runs.
func (s *shop) spoils(t *testing.T, known canaries) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "durward.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	secret := known["the client secret"]
	for file, changed := range map[string]string{
		"inline.yaml":    strings.Replace(string(text), "client_secret_file: okta-secret", "client_secret: "+secret, 1),
		"misplaced.yaml": strings.Replace(string(text), "okta-secret", secret, 1),
		"closed.yaml":    strings.ReplaceAll(string(text), s.gateway, unused()),
		"dead.yaml":      asking(fixedAddress.ReplaceAllStringFunc(string(text), func(string) string { return unused() })),
	} {
		if changed == string(text) {
			t.Fatalf("%s is not spoilt", file)
		}
		if err := os.WriteFile(filepath.Join(s.dir, file), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// passes sends the token to the gateway in places where callers by mistake put it.
func (s *shop) passes(t *testing.T, known canaries) {
	t.Helper()
	token := known["the first access token"]
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.URL.Path = "/orders/" + token },
		func(r *http.Request) { r.URL.Path = "/" + token + "/orders" },
		func(r *http.Request) { r.URL.RawQuery = "access_token=" + token },
		func(r *http.Request) { r.Host = token },
		func(r *http.Request) { r.Method = strings.ReplaceAll(token, ".", "-") },
		func(r *http.Request) { r.Header.Set("Authorization", token) },
		func(r *http.Request) { r.Header.Set("Authorization", "Token "+token) },
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token+" "+token) },
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token+"A") },
		func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+token) },
		func(r *http.Request) { r.Header.Set("Authorization", "Basic "+token) },
		func(r *http.Request) { r.SetBasicAuth("mobile", token) },
		func(r *http.Request) { r.Header.Set("X-Request-Id", token) },
		func(r *http.Request) { r.Header.Set("Traceparent", token) },
		func(r *http.Request) { r.Header.Set("Dpop", token) },
		func(r *http.Request) { r.Header.Set("User-Agent", token) },
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.gateway+"/orders/7", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+known["the second access token"])
		change(req)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
}

// reloads has serve reject a configuration with a secret in it.
func (s *shop) reloads(t *testing.T) {
	t.Helper()
	for _, step := range []struct{ from, says string }{
		{"inline.yaml", "configuration rejected"},
		{"good.yaml", "configuration reloaded"},
	} {
		file := filepath.Join(s.dir, "durward.yaml")
		if step.from == "inline.yaml" {
			if err := os.Rename(file, filepath.Join(s.dir, "good.yaml")); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Rename(filepath.Join(s.dir, step.from), file); err != nil {
			t.Fatal(err)
		}
		s.serve.signal(t, syscall.SIGHUP)
		s.serve.says(t, step.says)
	}
}

// scanFiles looks into all files but those that are there to hold it.
func (s *shop) scanFiles(t *testing.T, known canaries) {
	t.Helper()
	scanned := 0
	for _, dir := range []string{s.dir, s.state} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || slices.Contains([]string{"alice.header", "okta-secret", "inline.yaml", "misplaced.yaml"}, d.Name()) {
				return err
			}
			text, err := os.ReadFile(path)
			scanned++
			known.scan(t, path, string(text))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if scanned < 5 {
		t.Errorf("%d files are scanned", scanned)
	}
}

// asking is a catalogue whose server is asked about every token, also those of others.
func asking(catalogue string) string {
	return strings.NewReplacer("\n    audience:", "\n    tokens: opaque\n    audience:", "verify: both", "verify: introspection").Replace(catalogue)
}
