package oktatest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

// inProcess is a server without a listener, for tests on synctest's clock.
func inProcess(t *testing.T, configure ...func(*oktatest.Config)) *oktatest.Server {
	t.Helper()
	cfg := oktatest.DefaultConfig()
	cfg.BaseURL = "http://127.0.0.1:8090"
	for _, change := range configure {
		change(&cfg)
	}
	s, err := oktatest.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// call asks an endpoint by its path, as the public client.
func call(ctx context.Context, s *oktatest.Server, method, path string) answer {
	form := url.Values{"token": {"x"}, "client_id": {seedClient}}
	r := httptest.NewRequestWithContext(ctx, method, s.URL()+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// reset is X-Rate-Limit-Reset less Date, in seconds.
func reset(t *testing.T, a answer) int64 {
	t.Helper()
	at, err := strconv.ParseInt(a.header.Get("X-Rate-Limit-Reset"), 10, 64)
	if err != nil {
		t.Error(err)
	}
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		t.Error(err)
	}
	return at - date.Unix()
}

func withLimits(l oktatest.Limits) func(*oktatest.Config) {
	return func(c *oktatest.Config) {
		c.Limits = l
		c.AuthorizationServers = append(c.AuthorizationServers,
			oktatest.AuthorizationServer{ID: "ausOther", Audience: "api://other"}, oktatest.AuthorizationServer{ID: oktatest.OrgServer})
	}
}

// TestLimitWindow walks one bucket through its windows, second by second.
func TestLimitWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inProcess(t, withLimits(oktatest.Limits{Rest: 3}))
		time.Sleep(400 * time.Millisecond) // no window is aligned to the minute; all are to the second
		for i, step := range []struct {
			sleep     time.Duration
			status    int
			remaining string
			reset     int64
		}{
			{0, 200, "3 2", 60},
			{10 * time.Second, 200, "3 1", 50},
			{0, 200, "3 0", 50},
			{0, 429, "3 0", 50},
			{49500 * time.Millisecond, 429, "3 0", 1}, // 59.9 s after the window opened
			{100 * time.Millisecond, 200, "3 2", 60},
			{90 * time.Second, 200, "3 2", 60}, // an unused rest is not carried over
		} {
			time.Sleep(step.sleep)
			got := call(t.Context(), s, "POST", "/oauth2/default/v1/introspect")
			if got.status != step.status || limits(got) != step.remaining || reset(t, got) != step.reset {
				t.Errorf("step %d: %d, %s, reset %d", i, got.status, limits(got), reset(t, got))
			}
			if got.status == 429 && (normalised(got.body) != apiError("E0000047", "API call exceeded rate limit due to too many requests.") || got.header.Get("Retry-After") != "") {
				t.Errorf("step %d: %v %s", i, got.header, got.body)
			}
		}
		if calls, refused := s.Calls(oktatest.Introspect), s.Refused(oktatest.Introspect); calls != 7 || refused != 2 {
			t.Errorf("%d calls, %d refused", calls, refused)
		}
		s.Advance(-time.Hour) // a clock that steps back opens a new window
		if got := call(t.Context(), s, "POST", "/oauth2/default/v1/introspect"); got.status != 200 || limits(got) != "3 2" || reset(t, got) != 60 {
			t.Errorf("after a step back: %d, %s, reset %d", got.status, limits(got), reset(t, got))
		}
	})
}

// TestLimitBuckets spends each bucket and holds which endpoints that touches.
func TestLimitBuckets(t *testing.T) {
	t.Parallel()
	groups := [][]string{
		{"POST /oauth2/default/v1/introspect", "POST /oauth2/ausOther/v1/introspect", "POST /oauth2/default/v1/revoke", "GET /oauth2/default/v1/userinfo", "GET /oauth2/ausOther/v1/logout"},
		{"GET /oauth2/default/v1/authorize", "POST /oauth2/ausOther/v1/authorize"},
		{"POST /oauth2/default/v1/token", "POST /oauth2/ausOther/v1/token"},
		{"POST /oauth2/v1/introspect", "POST /oauth2/v1/revoke", "GET /oauth2/v1/userinfo", "GET /oauth2/v1/logout"},
		{"GET /oauth2/v1/authorize"},
		{"POST /oauth2/v1/token"},
		{"GET /oauth2/default/v1/keys", "GET /oauth2/v1/keys", "GET /.well-known/openid-configuration", "GET /oauth2/default/.well-known/openid-configuration"},
	}
	for spent, group := range groups[:6] {
		s := inProcess(t, withLimits(oktatest.Limits{Rest: 1, Authorize: 1, Token: 1, OrgRest: 1, OrgAuthorize: 1, OrgToken: 1}))
		method, path, _ := strings.Cut(group[0], " ")
		if got := call(t.Context(), s, method, path); got.status == 429 {
			t.Fatalf("%s refused at once", path)
		}
		for i, others := range groups {
			refused := false
			for n, target := range others {
				method, path, _ := strings.Cut(target, " ")
				got := call(t.Context(), s, method, path)
				refused = got.status == 429
				if want := i < 6 && (i == spent || n > 0); refused != want {
					t.Errorf("%s spent, %s: %d", group[0], target, got.status)
				}
			}
		}
	}
}

func TestLimitNotConfigured(t *testing.T) {
	t.Parallel()
	s := inProcess(t, withLimits(oktatest.Limits{Token: 1}))
	for range 1300 {
		if got := call(t.Context(), s, "POST", "/oauth2/default/v1/introspect"); got.status != 200 || limits(got) != "1200 1199" {
			t.Fatalf("%d %s", got.status, limits(got))
		}
	}
}

func TestLimitByFault(t *testing.T) {
	t.Parallel()
	s := inProcess(t, withLimits(oktatest.Limits{Rest: 2}))
	status := func() int { return call(t.Context(), s, "POST", "/oauth2/default/v1/introspect").status }
	inject(t, s, "introspect:limit=1")
	inject(t, s, "introspect:status=500*1")
	if a, b := status(), status(); a != 500 || b != 429 {
		t.Errorf("%d, then %d", a, b)
	}
	s.Clear() // two are configured, and both are used
	if got := status(); got != 429 {
		t.Errorf("after Clear: %d", got)
	}
	s.Advance(time.Minute)
	if a, b, c := status(), status(), status(); a != 200 || b != 200 || c != 429 {
		t.Errorf("in the next window: %d, %d, %d", a, b, c)
	}
	if got := call(t.Context(), s, "POST", "/oauth2/v1/introspect"); limits(got) != "1200 1199" {
		t.Errorf("org server: %s", limits(got))
	}
}

func TestLimitRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inProcess(t, withLimits(oktatest.Limits{Rest: 1, RetryAfter: true}))
		call(t.Context(), s, "POST", "/oauth2/default/v1/introspect")
		time.Sleep(12500 * time.Millisecond)
		if got := call(t.Context(), s, "POST", "/oauth2/default/v1/revoke"); got.status != 429 || got.header.Get("Retry-After") != "48" {
			t.Errorf("%d, Retry-After %q", got.status, got.header.Get("Retry-After"))
		}
	})
}

// TestConcurrency holds that what is in hand counts, whatever it waits for, until it
// is answered or its client has left; and that a refusal takes no slot.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inProcess(t, withLimits(oktatest.Limits{Concurrent: 2}))
		inject(t, s, "introspect:latency=10s")
		var inHand sync.WaitGroup
		ctx, leave := context.WithCancel(t.Context())
		for _, ctx := range []context.Context{t.Context(), ctx} {
			inHand.Go(func() {
				defer func() { // the one that leaves is cut
					if cut := recover(); cut != nil && cut != any(http.ErrAbortHandler) {
						panic(cut)
					}
				}()
				call(ctx, s, "POST", "/oauth2/default/v1/introspect")
			})
		}
		synctest.Wait()
		for range 2 {
			got := call(t.Context(), s, "POST", "/oauth2/v1/token")
			if got.status != 429 || limits(got) != "0 0" || normalised(got.body) != apiError("E0000047", "API call exceeded rate limit due to too many requests.") {
				t.Errorf("%d %s %s", got.status, limits(got), got.body)
			}
		}
		if got := call(t.Context(), s, "GET", "/oauth2/default/v1/keys"); got.status != 200 {
			t.Errorf("keys: %d", got.status)
		}
		leave()
		synctest.Wait()
		if got := call(t.Context(), s, "POST", "/oauth2/default/v1/revoke"); got.status != 200 {
			t.Errorf("after one left: %d", got.status)
		}
		inHand.Wait()
		if n := s.Refused(oktatest.Token); n != 2 {
			t.Errorf("%d refused", n)
		}
	})
}

// TestJitter holds that waits are within what was ordered, differ, and are the same
// for every new server.
func TestJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs [2][20]time.Duration
		for run := range runs {
			s := inProcess(t)
			inject(t, s, "introspect:latency=2s~1s")
			for i := range runs[run] {
				start := time.Now()
				call(t.Context(), s, "POST", "/oauth2/default/v1/introspect")
				took := time.Since(start)
				if runs[run][i] = took; took < 2*time.Second || took > 3*time.Second || took == runs[run][max(i-1, 0)] && i > 0 {
					t.Errorf("answer %d took %v", i, took)
				}
			}
		}
		if runs[0] != runs[1] {
			t.Errorf("two servers differ: %v", runs)
		}
	})
}

func TestLimitsAreChecked(t *testing.T) {
	t.Parallel()
	cfg := oktatest.DefaultConfig()
	cfg.Limits.OrgToken = -1
	if _, err := oktatest.NewServer(cfg); err == nil || !strings.Contains(err.Error(), "rate limit -1 is negative") {
		t.Errorf("got %v", err)
	}
}
