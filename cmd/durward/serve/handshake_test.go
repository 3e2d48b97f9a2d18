package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/durward/durward/policy/oktatest"
)

// However many handshakes fail, the log has a line a second, and that counts the others.
func TestRefusalsAreLoggedSparingly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := new(journal)
		r := &refusals{count: prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}), log: slog.New(slog.NewJSONHandler(log, nil))}
		for range 250 { // 2.5 s
			r.add(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7}, errors.New("reason"))
			time.Sleep(10 * time.Millisecond)
		}
		if n := testutil.ToFloat64(r.count); n != 250 {
			t.Errorf("%v are counted", n)
		}
		told := log.lines(t, "a TLS handshake was refused")
		if len(told) != 3 {
			t.Fatalf("told %d times", len(told))
		}
		for k, others := range []float64{0, 99, 99} {
			if told[k]["others_since"] != others || told[k]["peer"] != "127.0.0.1:7" || told[k]["error"] != "reason" {
				t.Errorf("line %d: %v", k, told[k])
			}
		}
	})
}

// A probe that only connects is nobody to tell of; who speaks another protocol is.
func TestProbesAreNoRefusals(t *testing.T) {
	t.Parallel()
	_, c := newSecured(t)
	s, _ := begin(t, c.config)
	count := s.guards["check"].refusals.count
	say := func(text string) {
		t.Helper()
		conn, err := net.Dial("tcp", s.Catalogue().Listeners.Check.Address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		say("")
	}
	say("GET / HTTP/1.1\r\n\r\n")
	eventually(t, "the one that speaks is counted", func() bool { return testutil.ToFloat64(count) >= 1 })
	if n := testutil.ToFloat64(count); n != 1 {
		t.Errorf("%v refusals, want 1", n)
	}
}

// intruders have no certificate, or a wrong one, or speak no TLS.
func intruders(t *testing.T) {
	okta, c := newSecured(t)
	s, log := begin(t, c.config)
	text := mint(t, okta)
	began := time.Now()
	address := s.Catalogue().Listeners.Check.Address
	conns := c.intruders(t)(address)
	conns["plaintext"] = dial(t, address)
	for who, conn := range conns {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		res, err := authv3.NewAuthorizationClient(conn).Check(ctx, question("orders", "/orders/17", text))
		cancel()
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v, %v", who, res, err)
		}
	}
	if n := okta.Calls(oktatest.Introspect); n != 0 {
		t.Errorf("%d introspections for intruders", n)
	}
	const refusedAtCheck = `durward_listener_handshakes_refused_total{listener="check"}`
	eventually(t, "all intruders are counted", func() bool { return metric(t, s.OpsAddress(), refusedAtCheck) >= float64(len(conns)) })
	if n := metric(t, s.OpsAddress(), strings.Replace(refusedAtCheck, "check", "xds", 1)); n != 0 {
		t.Errorf("%v refusals on the other port", n)
	}
	told := log.lines(t, "a TLS handshake was refused")
	if most := int(time.Since(began)/time.Second) + 1; len(told) == 0 || len(told) > most || told[0]["listener"] != "check" || told[0]["error"] == "" {
		t.Errorf("told %d times, at most %d: %v", len(told), most, told)
	}
	if got := ask(t, c.dialAs(t, address, c.envoy), "orders", "/orders/17", text); got != "allow" {
		t.Errorf("Envoy itself: %s", got)
	}
}
