package oktatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// TB is the part of testing.TB that [New] needs; naming it here keeps package
// testing out of programs that embed the emulator.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// New starts a server on a free loopback port and closes it when the test ends.
// It has [DefaultConfig], changed by each configure in turn. A bad configuration
// is fatal to the test.
func New(t TB, configure ...func(*Config)) *Server {
	t.Helper()
	cfg := DefaultConfig()
	for _, change := range configure {
		change(&cfg)
	}
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Fatalf("%v", err)
		}
	})
	return s
}

// listening is the listener that a Server owns, if any.
type listening struct {
	mu    sync.Mutex
	addr  string // fixed by Start; Up comes back to it
	http  *http.Server
	done  chan error     // receives what Serve returned
	conns sync.WaitGroup // one for each open connection, its handler included
}

// Start listens on addr (host:port, port 0 for any) and serves until
// [Server.Close]. Where [Config].BaseURL is empty it becomes http:// and the
// listener's address. An address other than loopback is refused unless
// [Config].AllowRemote is set; a busy port is an error that wraps the listener's.
func (s *Server) Start(addr string) error {
	s.listening.mu.Lock()
	defer s.listening.mu.Unlock()
	if s.listening.addr != "" {
		return fmt.Errorf("oktatest: already started on %s", s.listening.addr)
	}
	if err := s.checkAddress(addr); err != nil {
		return fmt.Errorf("oktatest: %w", err)
	}
	l, err := listen(addr)
	if err != nil {
		return err
	}
	bound := l.Addr().(*net.TCPAddr)
	if !s.config.AllowRemote && !bound.IP.IsLoopback() { // a name may resolve to anything
		return errors.Join(fmt.Errorf("oktatest: %s is not a loopback address", bound), l.Close())
	}
	if s.config.BaseURL == "" {
		if bound.IP.IsUnspecified() {
			return errors.Join(fmt.Errorf("oktatest: listening on %s needs a base URL", bound), l.Close())
		}
		base := "http://" + bound.String()
		s.baseURL.Store(&base)
	}
	s.listening.addr = bound.String()
	s.serveOn(l)
	return nil
}

func (s *Server) checkAddress(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listen address: %w", err)
	}
	if s.config.AllowRemote || host == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return fmt.Errorf("%q is not a loopback address: anybody who reaches this server can sign in as anybody", addr)
	}
	return nil
}

func listen(addr string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // for resolving a name
	defer cancel()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("oktatest: %w", err)
	}
	return l, nil
}

// serveOn needs listening.mu.
func (s *Server) serveOn(l net.Listener) {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.listening.conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				s.listening.conns.Done()
			}
		},
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	s.listening.http, s.listening.done = srv, done
}

// stop refuses new connections and cuts open ones. It needs listening.mu.
func (s *Server) stop() error {
	if s.listening.http == nil {
		return nil
	}
	closed, served := s.listening.http.Close(), <-s.listening.done
	s.listening.http = nil
	if !errors.Is(served, http.ErrServerClosed) {
		closed = errors.Join(closed, served)
	}
	if closed != nil {
		return fmt.Errorf("oktatest: stop listening: %w", closed)
	}
	return nil
}

// Close stops the listener that [Server.Start] opened, cuts its connections and
// waits for their handlers. It may be called more than once.
func (s *Server) Close() error {
	s.listening.mu.Lock()
	defer s.listening.mu.Unlock()
	err := s.stop()
	s.listening.conns.Wait()
	return err
}

// Down makes the server unreachable, as a dead host: with a listener of its own
// it refuses connections and cuts open ones; as a handler it cuts each
// connection without an answer. Calls made meanwhile are not counted.
func (s *Server) Down() error {
	s.setDown(true)
	s.listening.mu.Lock()
	defer s.listening.mu.Unlock()
	return s.stop()
}

// Up ends [Server.Down], on the same address and with all state kept. It fails
// if another process has taken the port.
func (s *Server) Up() error {
	s.listening.mu.Lock()
	defer s.listening.mu.Unlock()
	if s.listening.addr != "" && s.listening.http == nil {
		l, err := listen(s.listening.addr)
		if err != nil {
			return err
		}
		s.serveOn(l)
	}
	s.setDown(false)
	return nil
}
