package serve

import (
	"context"
	"crypto/x509"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/envoy"
)

var (
	certificateLife = flag.Duration("certificate-life", 10*time.Second, "how long the certificates of F14 live")
	rotationTime    = flag.Duration("rotation-time", 15*time.Second, "how long F14 replaces them")
)

// shortLived are certificates of both ends that live as long as the flag says.
func (s *secured) shortLived(t *testing.T, life time.Duration) {
	t.Helper()
	until := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(-life), time.Now().Add(life) }
	writePair(t, filepath.Join(s.dir, "port"), s.ours.issue(t, func(c *x509.Certificate) { until(c); dnsName(ourName)(c) }))
	writePair(t, filepath.Join(s.dir, "envoy"), s.clients.issue(t, func(c *x509.Certificate) { until(c); uriName(t, envoyURI)(c) }))
}

// newRotated serves on ports that stay, with certificates that live that long.
func newRotated(t *testing.T, life time.Duration, watched bool) (*secured, string, *counter) {
	t.Helper()
	okta, s := newSecured(t)
	backend, backendURL := newBackend(t)
	edits := []string{`"http://127.0.0.1:1"`, backendURL}
	for _, port := range []string{"check", "xds"} {
		edits = append(edits, port+`: { address: "127.0.0.1:0"`, fmt.Sprintf(`%s: { address: %q`, port, reserved(t)))
	}
	if watched {
		edits = append(edits, "server_name:", fmt.Sprintf("secrets_dir: %q, server_name:", s.dir))
	}
	s.replace = strings.NewReplacer(edits...)
	s.shortLived(t, life)
	s.write(t)
	if watched {
		cat, _, err := Load(s.file())
		if err != nil {
			t.Fatal(err)
		}
		secrets, err := envoy.Secrets(cat)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range secrets {
			writeFile(t, filepath.Join(s.dir, name), string(text), 0o600)
		}
	}
	return s, mint(t, okta), backend
}

// faultRotationOfOurs (F14): the certificates of both ports and of Envoy are replaced again and
// again, each long before its end. No check fails and no connection ends, though all that
// it was made with has expired; and what is there then is good for new ones.
func faultRotationOfOurs(t *testing.T) {
	life := *certificateLife
	c, token, backend := newRotated(t, life, true)
	s, log := begin(t, c.config)
	ready(t, s)
	p := startEnvoy(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), *rotationTime+time.Minute)
	defer cancel()
	if err := s.WaitAcked(ctx, "edge"); err != nil {
		t.Fatal(err)
	}
	gateway, err := p.ListenerAddr(ctx, "edge")
	if err != nil {
		t.Fatal(err)
	}
	callers := []*caller{newCaller(gateway), newCaller(gateway), newCaller(gateway), newCaller(gateway)}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		load(callers, 200, stop, func(c *caller, _ int) answered { return c.ask("", "orders", token) })
	}()
	connections := stat(p, "cluster.xds.upstream_cx_total")
	rotations := 0
	for end := time.Now().Add(*rotationTime); time.Now().Before(end); rotations++ {
		time.Sleep(life / 5)
		c.shortLived(t, life)
	}
	close(stop)
	<-done
	all := times(callers)
	for _, c := range callers {
		for _, a := range c.got {
			if a.status != 200 {
				t.Errorf("a check failed: %+v", a)
			}
		}
	}
	t.Logf("%d rotations of certificates that live for %v, %d requests, worst %s", rotations, life, len(all), ms(percentile(all, 100)))
	if n := stat(p, "cluster.xds.upstream_cx_total"); n != connections || n != "1" || s.ads.Status().Envoys[0].LastError != "" {
		t.Errorf("the xDS stream was made %s times", n)
	}
	if len(all) < 100 || backend.unguarded > 0 || rotations < 3 {
		t.Errorf("%d requests, %d unguarded, %d rotations", len(all), backend.unguarded, rotations)
	}
	if told := log.lines(t, "the listener's certificate has expired"); len(told) > 0 {
		t.Errorf("the log tells of %v", told)
	}

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	next, _ := begin(t, c.config)
	one := newCaller(gateway)
	defer one.CloseIdleConnections()
	eventually(t, "Envoy connects again with what is there now", func() bool { return one.ask("", "orders", token).status == 200 })
	eventually(t, "and is given its configuration", func() bool { return len(next.ads.Status().Envoys) == 1 })
}

// TestExpiredCertificates: past its end ours lets nobody in any more, connections stay that
// were there, and everything says so; Envoy's lets Envoy in no more, which is told too.
func TestExpiredCertificates(t *testing.T) {
	t.Parallel()
	for _, life := range []time.Duration{3 * time.Second, 15 * time.Second, time.Minute} {
		c, token, backend := newRotated(t, life, false)
		s, log := begin(t, c.config)
		if one := connectedWithin(t, s, token, life); one != nil {
			testExpiry(t, c, s, log, life)
			testExpiryOfEnvoy(t, c, s, one, token, backend)
			return
		}
		t.Logf("Envoy had no connection within %v", life)
	}
	t.Fatal("Envoy never came to be connected")
}

// connectedWithin starts an Envoy, and returns a caller if it serves so soon.
func connectedWithin(t *testing.T, s *Server, token string, life time.Duration) *caller {
	t.Helper()
	p := startEnvoy(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), life)
	defer cancel()
	if err := s.WaitAcked(ctx, "edge"); err != nil {
		return nil
	}
	gateway, err := p.ListenerAddr(ctx, "edge")
	if err != nil {
		return nil
	}
	one := newCaller(gateway)
	t.Cleanup(one.CloseIdleConnections)
	if a := one.ask("", "orders", token); a.status != 200 {
		return nil
	}
	return one
}

func testExpiry(t *testing.T, c *secured, s *Server, log *journal, life time.Duration) {
	t.Helper()
	for start := time.Now(); len(log.lines(t, "the listener's certificate has expired")) < 2; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > life+10*time.Second {
			t.Fatal("the log does not tell of the end")
		}
	}
	if c.healthy(t, s.Catalogue().Listeners.Check.Address, c.envoy) {
		t.Error("our certificate has expired, and a new connection is made")
	}
	refusals := log.lines(t, "a TLS handshake was refused")
	if len(refusals) == 0 || !strings.Contains(fmt.Sprint(refusals), "our certificate expired at") {
		t.Errorf("refusals %v", refusals)
	}
	if _, verbose := get(t, s, "/readyz?verbose"); !strings.Contains(verbose, "listener check: our certificate expired at") {
		t.Errorf("/readyz?verbose: %s", verbose)
	}
	for _, name := range []string{"check", "xds"} {
		if o := object(t, s, "listener", name); o.State != "expired" || !strings.Contains(o.Reason, "; fix: ") {
			t.Errorf("status: %+v", o)
		}
	}
}

// testExpiryOfEnvoy: the connection from before goes on, and once it ends, Envoy's own
// certificate is not let in, for without a secrets_dir Envoy never looks again.
func testExpiryOfEnvoy(t *testing.T, c *secured, s *Server, one *caller, token string, backend *counter) {
	t.Helper()
	if a := one.ask("", "orders", token); a.status != 200 {
		t.Errorf("a connection from before: %+v", a)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.shortLived(t, time.Hour)
	passed := backend.requests()
	_, log := begin(t, c.config)
	eventually(t, "the refusal is told", func() bool {
		if a := one.ask("", "orders", token); a.status != 503 {
			t.Errorf("nobody can judge, and a request gets %+v", a)
		}
		return strings.Contains(fmt.Sprint(log.lines(t, "a TLS handshake was refused")), "certificate has expired")
	})
	if n := backend.requests() - passed; n != 0 {
		t.Errorf("%d requests passed unjudged", n)
	}
}

// TestExpiryIsToldAhead: seven days before its end, and where it lives for less than three
// times that a third of its life, a certificate is told of.
func TestExpiryIsToldAhead(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for what, tt := range map[string]struct {
		age, left time.Duration
		state     string
	}{
		"90 days, 6 to go":        {84 * day, 6 * day, certificateExpiring},
		"90 days, 8 to go":        {82 * day, 8 * day, certificateOK},
		"a day, 9 hours to go":    {15 * time.Hour, 9 * time.Hour, certificateOK},
		"a day, 7 hours to go":    {17 * time.Hour, 7 * time.Hour, certificateExpiring},
		"gone since this morning": {90 * day, -5 * time.Hour, certificateExpired},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, c := newSecured(t)
			writePair(t, filepath.Join(c.dir, "port"), c.ours.issue(t, func(x *x509.Certificate) {
				dnsName(ourName)(x)
				x.NotBefore, x.NotAfter = time.Now().Add(-tt.age), time.Now().Add(tt.left)
			}))
			s, log := begin(t, c.config)
			if o := object(t, s, "listener", "check"); o.State != tt.state {
				t.Errorf("status: %+v", o)
			}
			_, verbose := get(t, s, "/readyz?verbose")
			if told := strings.Contains(verbose, "listener check: "); told != (tt.state != certificateOK) {
				t.Errorf("/readyz?verbose: %s", verbose)
			}
			if tt.state == certificateOK {
				return
			}
			eventually(t, "the log tells", func() bool {
				return strings.Contains(log.String(), `"fix":"`+renewal) && strings.Contains(log.String(), "the listener's certificate ")
			})
		})
	}
}
