package oktatest_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

func TestFail(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	token := accessToken(t, s, "openid")
	for _, test := range []struct {
		status, want int
		body         string
	}{
		{400, 400, oauthError("temporarily_unavailable", "The authorization server is currently unable to handle the request due to a temporary overloading or maintenance of the server.")},
		{401, 401, oauthError("invalid_client", "Client authentication failed. Either the client or the client credentials are invalid.")},
		{403, 403, apiError("E0000006", "You do not have permission to perform the requested action")},
		{404, 404, apiError("E0000008", "The requested path was not found")},
		{429, 429, apiError("E0000047", "API call exceeded rate limit due to too many requests.")},
		{500, 500, oauthError("server_error", "The authorization server encountered an unexpected condition that prevented it from fulfilling the request.")},
		{502, 502, "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>\n"},
		{503, 503, apiError("E0000010", "Service is in read only mode")},
		{200, 500, oauthError("server_error", "The authorization server encountered an unexpected condition that prevented it from fulfilling the request.")},
	} {
		s.Fail(test.status, 2)
		for range 2 {
			if got := introspect(t, s, "default", token); got.status != test.want || normalised(got.body) != test.body {
				t.Errorf("Fail(%d): %d %s", test.status, got.status, got.body)
			}
		}
		if !isActive(t, s, token) {
			t.Errorf("Fail(%d, 2) hit a third answer", test.status)
		}
	}
	s.Fail(503, -1)
	for range 5 {
		if got := get(t, http.DefaultClient, s.Issuer("default")+"/v1/keys"); got.status != 503 {
			t.Fatalf("keys: %d", got.status)
		}
	}
	s.Fail(0, 0)
	if !isActive(t, s, token) {
		t.Error("Fail(0, 0) did not clear")
	}
}

func TestFail429Headers(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	s.Fail(http.StatusTooManyRequests, 1)
	got := introspect(t, s, "default", "x")
	reset, err := strconv.ParseInt(got.header.Get("X-Rate-Limit-Reset"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	date, err := http.ParseTime(got.header.Get("Date"))
	if err != nil {
		t.Fatal(err)
	}
	if wait := reset - date.Unix(); wait < 59 || wait > 61 || got.header.Get("X-Rate-Limit-Remaining") != "0" || got.header.Get("Retry-After") != "" {
		t.Errorf("reset %d s after Date; headers %v", wait, got.header)
	}
}

func TestRespond(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	token := accessToken(t, s, "openid")
	s.Respond(oktatest.Introspect, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, `{"active":"true"}`)
	}))
	got := introspect(t, s, "default", token)
	if got.status != http.StatusTeapot || got.body != `{"active":"true"}` || got.header.Get("Content-Type") != "text/plain" || got.header.Get("X-Okta-Request-Id") != "" {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
	if keys := get(t, http.DefaultClient, s.Issuer("default")+"/v1/keys"); keys.status != 200 {
		t.Errorf("another endpoint: %d", keys.status)
	}
	s.Respond(oktatest.Introspect, nil)
	if !isActive(t, s, token) {
		t.Error("nil did not give the endpoint back")
	}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	issuer := s.Issuer("default")
	redeem(t, issuer, "openid") // two calls to authorize: the page and its form
	get(t, http.DefaultClient, issuer+"/.well-known/openid-configuration")
	get(t, http.DefaultClient, s.URL()+"/.well-known/oauth-authorization-server/oauth2/default")
	get(t, http.DefaultClient, issuer+"/v1/keys")
	s.Fail(500, 1)
	introspect(t, s, "default", "x")
	introspect(t, s, "ausNobody", "x")
	accessToken(t, s, "openid")
	for e, want := range map[oktatest.Endpoint]int{
		oktatest.Authorize: 2, oktatest.Token: 1, oktatest.Introspect: 2, oktatest.Revoke: 0,
		oktatest.Keys: 1, oktatest.Metadata: 2, oktatest.UserInfo: 0, oktatest.Logout: 0,
	} {
		if got := s.Calls(e); got != want {
			t.Errorf("Calls(%s) = %d, want %d", e, got, want)
		}
	}
}

func TestDownRefusesAndUpComesBack(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	token, c := accessToken(t, s, "openid"), browser(t)
	target := s.Issuer("default") + "/v1/keys"
	if got := get(t, c, target); got.status != 200 { // leaves an idle connection
		t.Fatalf("keys: %d", got.status)
	}
	for range 2 {
		check(t, s.Down())
		if resp, err := c.Do(newRequest(t, http.MethodGet, target, "")); err == nil {
			resp.Body.Close()
			t.Fatal("a server that is down answered")
		}
		address := strings.TrimPrefix(s.URL(), "http://")
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			conn.Close()
			t.Fatal("a server that is down accepted a connection")
		}
		check(t, s.Up())
		if !isActive(t, s, token) {
			t.Error("the outage lost a token")
		}
	}
	check(t, s.Up())
}

func TestDownAsHandler(t *testing.T) {
	t.Parallel()
	ts := httptest.NewUnstartedServer(nil)
	cfg := oktatest.DefaultConfig()
	cfg.BaseURL = "http://" + ts.Listener.Addr().String()
	s, err := oktatest.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ts.Config.Handler = s
	ts.Start()
	t.Cleanup(ts.Close)
	check(t, s.Down())
	if resp, err := ts.Client().Post(s.Issuer("default")+"/v1/introspect", "text/plain", nil); err == nil {
		resp.Body.Close()
		t.Errorf("status %d while down", resp.StatusCode)
	}
	check(t, s.Up())
	if got := get(t, ts.Client(), s.Issuer("default")+"/v1/keys"); got.status != 200 {
		t.Errorf("status %d after Up", got.status)
	}
	if n := s.Calls(oktatest.Introspect); n != 0 {
		t.Errorf("%d calls counted while down", n)
	}
}

// TestCloseWaits holds that Close returns only after a handler in progress.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	s, err := oktatest.NewServer(oktatest.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	check(t, s.Start("127.0.0.1:0"))
	entered, ended := make(chan struct{}), make(chan struct{})
	s.Respond(oktatest.Keys, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		time.Sleep(50 * time.Millisecond)
		close(ended)
	}))
	asked := make(chan error, 1)
	go func() {
		resp, err := http.Get(s.Issuer("default") + "/v1/keys")
		if err == nil {
			resp.Body.Close()
		}
		asked <- err
	}()
	<-entered
	check(t, s.Close())
	select {
	case <-ended:
	default:
		t.Error("Close returned while a handler ran")
	}
	if err := <-asked; err == nil {
		t.Error("the cut request was answered")
	}
	check(t, s.Close())
}

func TestResponseHeaders(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	issuer := s.Issuer("default")
	s.Advance(-time.Hour)
	for path, limited := range map[string]bool{"/v1/introspect": true, "/v1/keys": false, "/.well-known/openid-configuration": false} {
		got := get(t, http.DefaultClient, issuer+path)
		for name, want := range map[string]string{
			"Content-Type": "application/json", "X-Content-Type-Options": "nosniff",
			"Strict-Transport-Security": "max-age=315360000; includeSubDomains",
		} {
			if got.header.Get(name) != want {
				t.Errorf("%s: %s %q", path, name, got.header.Get(name))
			}
		}
		if len(got.header.Get("X-Okta-Request-Id")) != 24 || (got.header.Get("X-Rate-Limit-Limit") != "") != limited {
			t.Errorf("%s: headers %v", path, got.header)
		}
		if noStore := got.header.Get("Cache-Control") == "no-cache, no-store"; noStore == (path == "/v1/keys") {
			t.Errorf("%s: Cache-Control %q", path, got.header.Get("Cache-Control"))
		}
		date, err := http.ParseTime(got.header.Get("Date"))
		if age := time.Since(date); err != nil || age < 59*time.Minute || age > 61*time.Minute {
			t.Errorf("%s: Date does not follow the server's clock: %v, %v", path, date, err)
		}
	}
}

func TestAPIErrors(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	issuer := s.Issuer("default")
	for name, test := range map[string]struct {
		method, target string
		status         int
		want           string
	}{
		"unknown server":   {"GET", s.Issuer("ausNobody") + "/v1/keys", 404, apiError("E0000007", "Not found: Resource not found: ausNobody (AuthorizationServer)")},
		"unknown metadata": {"GET", s.Issuer("ausNobody") + "/.well-known/openid-configuration", 404, apiError("E0000007", "Not found: Resource not found: ausNobody (AuthorizationServer)")},
		"wrong method":     {"GET", issuer + "/v1/introspect", 405, apiError("E0000022", "The endpoint does not support the provided HTTP method")},
		"method of keys":   {"DELETE", issuer + "/v1/keys", 405, apiError("E0000022", "The endpoint does not support the provided HTTP method")},
		"unknown path":     {"GET", issuer + "/v1/nothing", 404, apiError("E0000008", "The requested path was not found")},
		"org server":       {"GET", s.URL() + "/oauth2/v1/keys", 404, apiError("E0000008", "The requested path was not found")},
		"metadata client":  {"GET", issuer + "/.well-known/openid-configuration?client_id=x", 400, apiError("invalid_client", "Invalid value for 'client_id' parameter.")},
		"long query":       {"POST", issuer + "/v1/introspect?x=" + strings.Repeat("a", 17<<10), 400, apiError("E0000003", "The request body was not well-formed.")},
		"broken query":     {"POST", issuer + "/v1/introspect?x=%zz", 400, apiError("E0000003", "The request body was not well-formed.")},
	} {
		if got := do(t, http.DefaultClient, newRequest(t, test.method, test.target, "")); got.status != test.status || normalised(got.body) != test.want {
			t.Errorf("%s: got  %d %s\nwant %d %s", name, got.status, got.body, test.status, test.want)
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	issuer := s.Issuer("default")
	inPath := get(t, http.DefaultClient, issuer+"/.well-known/oauth-authorization-server")
	rfc8414 := get(t, http.DefaultClient, s.URL()+"/.well-known/oauth-authorization-server/oauth2/default")
	openID := get(t, http.DefaultClient, issuer+"/.well-known/openid-configuration?client_id="+url.QueryEscape(seedClient))
	if inPath.body != rfc8414.body || inPath.status != 200 {
		t.Errorf("the two OAuth forms differ:\n%s\n%s", inPath.body, rfc8414.body)
	}
	for _, want := range []string{
		`{"issuer":"` + issuer + `","authorization_endpoint":"` + issuer + `/v1/authorize","token_endpoint":"` + issuer + `/v1/token",`,
		`"grant_types_supported":["authorization_code","refresh_token","client_credentials"]`,
		`"introspection_endpoint":"` + issuer + `/v1/introspect"`, `"code_challenge_methods_supported":["S256"]`,
	} {
		if !strings.Contains(inPath.body, want) {
			t.Errorf("OAuth metadata lacks %s: %s", want, inPath.body)
		}
	}
	for _, want := range []string{
		`"userinfo_endpoint":"` + issuer + `/v1/userinfo"`, `"id_token_signing_alg_values_supported":["RS256"]`,
		`"grant_types_supported":["authorization_code","refresh_token"]`,
	} {
		if !strings.Contains(openID.body, want) {
			t.Errorf("OpenID metadata lacks %s: %s", want, openID.body)
		}
	}
}
