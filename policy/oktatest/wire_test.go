package oktatest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

func inject(t *testing.T, s *oktatest.Server, text string) {
	t.Helper()
	f, err := oktatest.ParseFault(text)
	if err == nil {
		err = s.Inject(f)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// seen is an answer with what went wrong on its way.
type seen struct {
	answer
	err  error // of the exchange, or of reading the body
	took time.Duration
}

// ask introspects on a connection of its own, so that no fault meets another's.
func ask(t *testing.T, s *oktatest.Server, token string) seen {
	t.Helper()
	req := newRequest(t, http.MethodPost, s.Issuer("default")+"/v1/introspect", url.Values{"token": {token}}.Encode())
	gateway := s.Client("gateway")
	req.SetBasicAuth(gateway.ID, gateway.Secret)
	c := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	start := time.Now()
	resp, err := c.Do(req)
	if err != nil {
		return seen{err: err, took: time.Since(start)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	return seen{answer{resp.StatusCode, resp.Header, string(body)}, err, time.Since(start)}
}

const page200 = "<html><head><title>200 OK</title></head><body><center><h1>200 OK</h1></center></body></html>\n"

// TestFaults orders each fault for one answer: that answer has it, the next is whole.
func TestFaults(t *testing.T) {
	t.Parallel()
	whole := func(got seen, body string) bool { return got.err == nil && got.status == 200 && got.body == body }
	part := func(n func(int) int) func(seen, string) bool {
		return func(got seen, body string) bool {
			return errors.Is(got.err, io.ErrUnexpectedEOF) && got.body == body[:n(len(body))]
		}
	}
	replaced := func(status int, contentType, body string) func(seen, string) bool {
		return func(got seen, _ string) bool {
			return got.err == nil && got.status == status && got.header.Get("Content-Type") == contentType && normalised(got.body) == body
		}
	}
	for text, holds := range map[string]func(got seen, body string) bool{
		"latency=300ms":       func(got seen, body string) bool { return whole(got, body) && got.took >= 300*time.Millisecond },
		"latency=100ms~100ms": func(got seen, body string) bool { return whole(got, body) && got.took >= 100*time.Millisecond },
		"drip=1ms": func(got seen, body string) bool {
			return whole(got, body) && got.took >= time.Duration(len(body))*time.Millisecond
		},
		"reset": func(got seen, _ string) bool { return errors.Is(got.err, syscall.ECONNRESET) && got.status == 0 },
		"reset=10": func(got seen, body string) bool {
			return errors.Is(got.err, syscall.ECONNRESET) && (got.status == 0 || strings.HasPrefix(body[:10], got.body))
		},
		"truncate":      part(func(n int) int { return n / 2 }),
		"truncate=7":    part(func(int) int { return 7 }),
		"truncate=9999": part(func(n int) int { return n - 1 }),
		"length=9999":   part(func(n int) int { return n }),
		"length=7":      func(got seen, body string) bool { return whole(got, body[:7]) },
		"length":        func(got seen, _ string) bool { return whole(got, "") },
		"html":          replaced(200, "text/html; charset=utf-8", page200),
		"html=502":      replaced(502, "text/html; charset=utf-8", strings.ReplaceAll(page200, "200 OK", "502 Bad Gateway")),
		"empty":         replaced(200, "", ""),
		"empty=503":     replaced(503, "", ""),
		"status=500": replaced(500, "application/json",
			oauthError("server_error", "The authorization server encountered an unexpected condition that prevented it from fulfilling the request.")),
		"status=503":             replaced(503, "application/json", apiError("E0000010", "Service is in read only mode")),
		`body={"active":"true"}`: replaced(200, "application/json", `{"active":"true"}`),
		"redirect=http://127.0.0.1:1/": func(got seen, _ string) bool {
			return got.status == 302 && got.header.Get("Location") == "http://127.0.0.1:1/" && got.body == ""
		},
		"header=Content-Type: text/html": func(got seen, body string) bool {
			return whole(got, body) && got.header.Get("Content-Type") == "text/html"
		},
		"skew=-5m": func(got seen, body string) bool { return whole(got, body) && off(t, got.answer) == -5*time.Minute },
		"huge=2000000": func(got seen, _ string) bool {
			return got.err == nil && len(got.body) == 2000000 && strings.HasSuffix(got.body, `x"}`)
		},
		"endless":     func(got seen, _ string) bool { return got.err == nil && len(got.body) == 8<<20 },
		"concurrency": func(got seen, _ string) bool { return got.status == 429 && limits(got.answer) == "0 0" },
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			s := oktatest.New(t)
			token := accessToken(t, s, "openid")
			clean := ask(t, s, token)
			inject(t, s, "introspect:"+text+"*1")
			if keys := get(t, http.DefaultClient, s.Issuer("default")+"/v1/keys"); keys.status != 200 {
				t.Errorf("another endpoint: %d", keys.status)
			}
			if got := ask(t, s, token); !holds(got, clean.body) {
				t.Errorf("%d %v %.200q, %v after %v", got.status, got.header, got.body, got.err, got.took)
			}
			if got := ask(t, s, token); !whole(got, clean.body) || off(t, got.answer) != 0 {
				t.Errorf("the second answer: %d %q, %v", got.status, got.body, got.err)
			}
			if n := s.Calls(oktatest.Introspect); n != 3 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// off is how far the Date of an answer is off, in half minutes.
func off(t *testing.T, a answer) time.Duration {
	t.Helper()
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		t.Error(err)
	}
	return time.Until(date).Round(30 * time.Second)
}

func limits(a answer) string {
	return a.header.Get("X-Rate-Limit-Limit") + " " + a.header.Get("X-Rate-Limit-Remaining")
}

// TestFaultCarriesTheRequestOut holds that a reset loses the reply, not the request.
func TestFaultCarriesTheRequestOut(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	token := accessToken(t, s, "openid")
	inject(t, s, "revoke:reset*1")
	form := url.Values{"token": {token}, "client_id": {seedClient}}
	resp, err := http.DefaultClient.Do(newRequest(t, http.MethodPost, s.Issuer("default")+"/v1/revoke", form.Encode()))
	if err == nil {
		resp.Body.Close()
		t.Fatal("an answer came through")
	}
	if isActive(t, s, token) {
		t.Error("the token was not revoked")
	}
}

// TestWrongLengthPollutesTheConnection holds that the bytes beyond Content-Length are sent.
func TestWrongLengthPollutesTheConnection(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	inject(t, s, "keys:length=5")
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /oauth2/default/v1/keys HTTP/1.1\r\nHost: okta\r\n\r\n")
	raw, err := io.ReadAll(conn)
	head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	if err != nil || !bytes.HasPrefix(head, []byte("HTTP/1.1 200 OK\r\n")) || !bytes.Contains(head, []byte("Content-Length: 5\r\n")) || !bytes.HasSuffix(body, []byte("]}")) {
		t.Errorf("%v: %q", err, raw)
	}
}

// TestFaultsLeaveNoGoroutine holds that the longest waits end with their client, or
// with the server.
func TestFaultsLeaveNoGoroutine(t *testing.T) { // alone: it counts goroutines
	before := runtime.NumGoroutine()
	s, err := oktatest.NewServer(oktatest.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	check(t, s.Start("127.0.0.1:0"))
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, text := range []string{"latency=1h", "drip=1h", "endless"} {
		inject(t, s, "introspect:"+text)
		for _, leaves := range []bool{true, false} {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if !leaves {
				ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
			}
			req := newRequest(t, http.MethodPost, s.Issuer("default")+"/v1/introspect", "token=x&client_id="+seedClient).WithContext(ctx)
			ended := make(chan error, 1)
			go func() {
				resp, err := c.Do(req)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				ended <- err
			}()
			if !leaves {
				time.Sleep(50 * time.Millisecond)
				check(t, s.Down())
			}
			if err := <-ended; err == nil {
				t.Errorf("%s: answered in full", text)
			}
			cancel()
			check(t, s.Up())
		}
		s.Clear()
	}
	check(t, s.Close())
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before {
		stacks := make([]byte, 64<<10)
		t.Errorf("%d goroutines, then %s: %s", before, strconv.Itoa(after), stacks[:runtime.Stack(stacks, true)])
	}
}
