package serve

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/durward/durward/policy/oktatest"
)

// slowly makes introspection wait until release; begun says that it was asked.
func slowly(okta *oktatest.Server) (begun <-chan struct{}, release func()) {
	asked, goOn := make(chan struct{}), make(chan struct{})
	okta.Respond(oktatest.Introspect, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-goOn
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"active":false}`)
	}))
	return asked, func() { close(goOn) }
}

func TestCloseLetsChecksEnd(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	s, _ := begin(t, c)
	ready(t, s)
	addresses := []string{s.Catalogue().Listeners.Check.Address, s.Catalogue().Listeners.XDS.Address, s.OpsAddress()}
	conn := dial(t, addresses[0])
	watching, unwatch := context.WithCancel(t.Context())
	health, err := healthpb.NewHealthClient(conn).Watch(watching, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if res, err := health.Recv(); err != nil || res.GetStatus() != want {
			t.Errorf("health %v %v, want %s", res, err, want)
		}
	}
	expect(healthpb.HealthCheckResponse_SERVING)

	token := mint(t, okta)
	begun, release := slowly(okta)
	answered := make(chan string, 1)
	go func() {
		res, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), question("orders", "/orders/7", token))
		if err != nil {
			answered <- err.Error()
			return
		}
		answered <- outcome(res)
	}()
	<-begun
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	expect(healthpb.HealthCheckResponse_NOT_SERVING)
	unwatch()
	if code, body := get(t, s, "/readyz?verbose"); code != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
		t.Errorf("/readyz while draining: %d %s", code, body)
	}
	release()
	if got := <-answered; got != "401 token_inactive" {
		t.Errorf("the check under way: %s", got)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("a port is still taken: %v", err)
			continue
		}
		_ = l.Close()
	}
}

// Clients that never hang up do not keep Close from ending, and a stop that cuts them
// is a good one.
func TestCloseIsBounded(t *testing.T) {
	others := goleak.IgnoreCurrent()
	okta, c := newOrg(t)
	s, _ := begin(t, c)
	ready(t, s)
	s.drain = 100 * time.Millisecond
	conn := dial(t, s.Catalogue().Listeners.Check.Address)
	health, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := health.Recv(); err != nil {
		t.Fatal(err)
	}
	idle, err := net.Dial("tcp", s.OpsAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = idle.Close() }()
	ready(t, s) // so that the idle connection was accepted
	start := time.Now()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Close took %s", took)
	}
	_ = conn.Close()
	if err := okta.Close(); err != nil {
		t.Error(err)
	}
	if err := goleak.Find(others); err != nil {
		t.Error(err)
	}
}

func TestFailedStartLeavesNothing(t *testing.T) {
	others := goleak.IgnoreCurrent()
	okta, c := newOrg(t)
	s, _ := begin(t, c)
	c.check, c.ops = "127.0.0.1:0", s.OpsAddress()
	c.write(t)
	if err := refused(t, c); !errors.As(err, new(*BusyError)) {
		t.Errorf("error %v", err)
	}
	if err := errors.Join(s.Close(), okta.Close()); err != nil {
		t.Error(err)
	}
	if err := goleak.Find(others); err != nil {
		t.Error(err)
	}
}

// Envoy pings idle connections; being sent away for it would fail the next check. The
// client here is bare HTTP/2, for grpc-go's own pings no faster than every ten seconds.
func TestToleratesPings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := grpc.NewServer(portOptions()...)
		ours, theirs := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- server.Serve(&oneConn{conn: theirs, done: make(chan struct{})}) }()
		frames := http2.NewFramer(ours, ours)
		acked, away := 0, ""
		read := make(chan struct{})
		go func() {
			defer close(read)
			for {
				f, err := frames.ReadFrame()
				if err != nil {
					return
				}
				switch f := f.(type) {
				case *http2.PingFrame:
					if f.IsAck() {
						acked++
					}
				case *http2.GoAwayFrame:
					away = string(f.DebugData())
				}
			}
		}()
		_, err := io.WriteString(ours, http2.ClientPreface)
		if err := errors.Join(err, frames.WriteSettings()); err != nil {
			t.Fatal(err)
		}
		const pings = 20
		for range pings {
			time.Sleep(5 * time.Second)
			if err := frames.WritePing(false, [8]byte{1}); err != nil {
				break
			}
		}
		synctest.Wait()
		if acked != pings || away != "" {
			t.Errorf("%d of %d pings were answered; sent away: %q", acked, pings, away)
		}
		_ = ours.Close()
		server.Stop()
		<-read
		<-served
	})
}

// oneConn is a listener with a single connection to accept.
type oneConn struct {
	conn net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
