package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var dumped = regexp.MustCompile(`(?m)^goroutine \d+ .*\[`)

// dump ends a process as a crash would, and looks through what it leaves.
func (c canaries) dump(t *testing.T, name string, p *process, s syscall.Signal) {
	t.Helper()
	p.signal(t, s)
	if code := p.exit(t); code != exitUsage { // what Go programs end with on a crash
		t.Errorf("%s ends with %d on %v", name, code, s)
	}
	all := p.stdout.String() + p.stderr.String()
	if n := len(dumped.FindAllString(all, -1)); n < 2 {
		t.Errorf("%s dumps %d goroutines on %v:\n%s", name, n, s, all)
	}
	c.scan(t, fmt.Sprintf("%s after %v", name, s), all)
}

// crashes ends what runs, with tokens in its hands.
func (s *shop) crashes(t *testing.T, known canaries) {
	t.Helper()
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGSEGV} {
		if sig != syscall.SIGQUIT {
			s.serve = s.begin(t, "durward serve")
			s.serve.says(t, `"msg":"serving"`)
		}
		if _, err := gatewayOf(filepath.Join(s.dir, "durward.yaml")); err != nil {
			t.Fatal(err)
		}
		stop := s.load(t, known["the first access token"])
		known.dump(t, "serve under load", s.serve, sig)
		stop()
	}
	known.dump(t, "emulate", s.okta, syscall.SIGQUIT)
	s.waits(t, known)
	s.demo(t)
}

// load asks with the token until it is stopped, and returns when the first are answered.
func (s *shop) load(t *testing.T, token string) (stop func()) {
	t.Helper()
	done, answered := make(chan struct{}), make(chan struct{}, 1)
	var askers sync.WaitGroup
	for range 8 {
		askers.Go(func() {
			client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				select {
				case <-done:
					return
				default:
				}
				req, err := http.NewRequest(http.MethodGet, "http://"+s.gateway+"/orders/7", nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+token)
				res, err := client.Do(req)
				if err != nil {
					continue // there is no durward, or Envoy is too slow
				}
				_ = res.Body.Close()
				if res.StatusCode == http.StatusOK {
					select {
					case answered <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	select {
	case <-answered:
	case <-time.After(30 * time.Second):
		t.Error("nothing is answered under load")
	}
	return func() { close(done); askers.Wait() }
}

// waits crashes commands that wait for a server with the token, or a secret, sent.
func (s *shop) waits(t *testing.T, known canaries) {
	t.Helper()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mute.Close() }()
	text, err := os.ReadFile(filepath.Join(s.dir, "durward.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	issuer := regexp.MustCompile(`issuer: "http://127\.0\.0\.1:\d+/`)
	silentOkta := asking(issuer.ReplaceAllString(string(text), `issuer: "http://`+mute.Addr().String()+"/"))
	if silentOkta == string(text) {
		t.Fatal("the configuration has no issuer")
	}
	if err := os.WriteFile(filepath.Join(s.dir, "mute.yaml"), []byte(silentOkta), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"durward token @alice.header --introspect -c mute.yaml",
		"durward explain GET /orders/7 --token @alice.header -c mute.yaml",
		"durward login mobile --client-secret-file okta-secret --no-browser -c mute.yaml",
	} {
		p := s.begin(t, line)
		if err := mute.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		conn, err := mute.Accept()
		if err != nil {
			t.Fatalf("%s asks nobody: %v\n%s", line, err, p.stderr.String())
		}
		known.dump(t, line, p, syscall.SIGQUIT)
		_ = conn.Close()
	}
}

// demo crashes the demo, whose tokens are its own.
func (s *shop) demo(t *testing.T) {
	t.Helper()
	known, state := canaries{}, t.TempDir()
	demo := s.place
	demo.env = append(slices.Clone(demo.env), anywhereInEnvironment(state)...)
	p := demo.begin(t, "durward demo --color always")
	p.says(t, staying)
	for _, name := range []string{"alice.header", "bob.header", "okta-secret"} {
		text, err := os.ReadFile(filepath.Join(state, name))
		if err != nil {
			t.Fatal(err)
		}
		if token, found := strings.CutPrefix(string(text), "Authorization: Bearer "); found {
			known.token(name, strings.TrimSpace(token))
		} else {
			known[name] = strings.TrimSpace(string(text))
		}
	}
	known.dump(t, "demo", p, syscall.SIGQUIT)
	allGone(t, state)
	for _, name := range []string{"durward.log", "durward.yaml"} {
		text, err := os.ReadFile(filepath.Join(state, name))
		if err != nil || len(text) == 0 {
			t.Errorf("%s: %v", name, err)
		}
		known.scan(t, name, string(text))
	}
}
