package oktatest_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

// TestFaultsInTurn holds what is done with several faults: changes add up, the others
// take turns, and Clear ends them all.
func TestFaultsInTurn(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	token := accessToken(t, s, "openid")
	for _, text := range []string{
		"introspect:status=500*2", "*:latency=60ms", "introspect:html*1", "introspect:skew=5m*3", "keys:status=503*1", "introspect:empty",
	} {
		inject(t, s, text)
	}
	for i, want := range []struct {
		status int
		body   string
		off    time.Duration
	}{{500, "{", 5 * time.Minute}, {500, "{", 5 * time.Minute}, {200, "<html>", 5 * time.Minute}, {200, "", 0}, {200, "", 0}} {
		got := ask(t, s, token)
		if got.status != want.status || !strings.HasPrefix(got.body, want.body) || (want.body == "") != (got.body == "") ||
			off(t, got.answer) != want.off || got.took < 60*time.Millisecond {
			t.Errorf("answer %d: %d %q, off %v, after %v", i, got.status, got.body, off(t, got.answer), got.took)
		}
	}
	s.Clear()
	if got := ask(t, s, token); !strings.HasPrefix(got.body, `{"active":true,`) || got.took > time.Second {
		t.Errorf("after Clear: %q, after %v", got.body, got.took)
	}
	if keys := get(t, http.DefaultClient, s.Issuer("default")+"/v1/keys"); keys.status != 200 {
		t.Errorf("Clear left a fault of keys: %d", keys.status)
	}
}

// TestFaultsSpoilScripts holds that a fault applies to what Respond and Fail answer.
func TestFaultsSpoilScripts(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	s.Respond(oktatest.Introspect, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "0123456789") }))
	inject(t, s, "introspect:truncate=4*1")
	if got := ask(t, s, "x"); got.body != "0123" || !errors.Is(got.err, io.ErrUnexpectedEOF) {
		t.Errorf("%q, %v", got.body, got.err)
	}
	s.Respond(oktatest.Introspect, nil)
	s.Fail(503, 1)
	inject(t, s, "introspect:header=Retry-After: 7*1")
	if got := ask(t, s, "x"); got.status != 503 || got.header.Get("Retry-After") != "7" {
		t.Errorf("%d %v", got.status, got.header)
	}
}

// TestFaultsAndLimits holds that a script meets no limit, and what a limit refuses
// meets no fault and stays out of the count of what is in hand.
func TestFaultsAndLimits(t *testing.T) {
	t.Parallel()
	s := inProcess(t, withLimits(oktatest.Limits{Rest: 1, Concurrent: 2}))
	status := func(path string) int { return call(t.Context(), s, "POST", "/oauth2/default/v1/"+path).status }
	s.Respond(oktatest.Introspect, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for range 3 {
		if got := status("introspect"); got != http.StatusTeapot {
			t.Errorf("script: %d", got)
		}
	}
	s.Respond(oktatest.Introspect, nil)
	if got := status("introspect"); got != 200 {
		t.Errorf("the first: %d", got)
	}
	inject(t, s, "introspect:status=500*1")
	for range 3 {
		if got := status("introspect"); got != 429 {
			t.Errorf("beyond the limit: %d", got)
		}
	}
	if got := call(t.Context(), s, "GET", "/oauth2/default/v1/authorize"); got.status != 400 || limits(got) != "1200 1199" {
		t.Errorf("another bucket: %d", got.status)
	}
	s.Advance(time.Minute)
	if got := status("introspect"); got != 500 {
		t.Errorf("the fault was spent on a refusal: %d", got)
	}
}

// TestLatencyDates holds that Date is when the answer leaves.
func TestLatencyDates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inProcess(t)
		inject(t, s, "introspect:latency=30s")
		start := time.Now()
		got := call(t.Context(), s, "POST", "/oauth2/default/v1/introspect")
		date, err := http.ParseTime(got.header.Get("Date"))
		if err != nil || !date.Equal(start.Add(30*time.Second)) {
			t.Errorf("asked at %v, Date %v, %v", start, date, err)
		}
	})
}
