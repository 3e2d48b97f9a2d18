package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
)

// filesEvery is how often the files of a port are looked at.
const filesEvery = time.Second

// guard is the TLS of one gRPC port. Files that changed and are good take effect for
// the next connection; while they are not, the last good ones stay. Connections that
// were made before are not ended.
type guard struct {
	name         string // check or xds
	log          *slog.Logger
	expiry, good prometheus.Gauge
	refusals     *refusals

	serving  atomic.Pointer[reading] // nil lets nobody in
	rejected atomic.Pointer[string]  // why the last reading is not serving; nil if it is
	reminded string                  // what the log was told of its end; watch's alone

	mu      sync.Mutex
	written *catalog.ListenerTLS
}

// reading is what the files of a port said at one moment.
type reading struct {
	config  *tls.Config
	written *catalog.ListenerTLS
	files   source.Listener
	expiry  time.Time // of the certificate in the chain that expires first
	alarm   time.Time // when to warn of that
}

// newGuards returns the guards of the ports that speak TLS, by name.
func newGuards(l catalog.Listeners, log *slog.Logger, r prometheus.Registerer) map[string]*guard {
	expiry := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "durward_listener_certificate_expiry_timestamp_seconds",
		Help: "When the first certificate in the chain of the listener expires.",
	}, []string{"listener"})
	good := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "durward_listener_certificate_last_reload_successful",
		Help: "1 if the newest certificate files of the listener are serving, 0 if they were rejected.",
	}, []string{"listener"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "durward_listener_handshakes_refused_total",
		Help: "TLS handshakes on the listener that failed, by either side.",
	}, []string{"listener"})
	r.MustRegister(expiry, good, refused)
	guards := make(map[string]*guard)
	for _, name := range []string{"check", "xds"} {
		if listenerOf(l, name).TLS != nil {
			guards[name] = &guard{
				name: name, log: log,
				expiry: expiry.WithLabelValues(name), good: good.WithLabelValues(name),
				refusals: &refusals{count: refused.WithLabelValues(name), log: log.With("listener", name)},
			}
		}
	}
	return guards
}

func listenerOf(l catalog.Listeners, name string) catalog.Listener {
	if name == "xds" {
		return l.XDS
	}
	return l.Check
}

// options are those of a server behind the guard; none for a port without TLS.
func (g *guard) options() []grpc.ServerOption {
	if g == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.Creds(g.refusals.counting(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			r := g.serving.Load()
			switch {
			case r == nil:
				return nil, errors.New("no certificate has been read")
			case time.Now().After(r.expiry):
				return nil, expired{r.expiry}
			}
			return r.config, nil
		},
	})))}
}

// readGuards reads what the guards need of l. take, which cannot fail, puts it to use.
func readGuards(guards map[string]*guard, l catalog.Listeners) (take func(), err error) {
	found := make(map[*guard]*reading)
	for name, g := range guards {
		if found[g], err = readTLS(name, listenerOf(l, name).TLS); err != nil {
			return nil, err
		}
	}
	return func() {
		for g, r := range found {
			g.mu.Lock()
			g.use(r)
			g.mu.Unlock()
		}
	}, nil
}

// readTLS reads the files of a port. The error is a *ConfigError.
func readTLS(name string, t *catalog.ListenerTLS) (*reading, error) {
	l, findings := source.ReadListener(name, t)
	if catalog.HasErrors(findings) {
		return nil, &ConfigError{Findings: slices.DeleteFunc(findings, func(f catalog.Finding) bool {
			return f.Severity != catalog.Error
		})}
	}
	cert := tls.Certificate{PrivateKey: l.Key, Leaf: l.Chain[0]}
	first := l.Chain[0]
	for _, c := range l.Chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	r := &reading{written: t, files: l, expiry: first.NotAfter, alarm: alarmFor(first)}
	r.config = &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{cert},
		// A session that is resumed would outlive the files it was made with.
		SessionTicketsDisabled: true,
	}
	if t.ClientCAFile == "" {
		return r, nil
	}
	r.config.ClientAuth = tls.RequireAndVerifyClientCert
	r.config.ClientCAs = x509.NewCertPool() // nil would be the authorities of the system
	for _, c := range l.ClientCAs {
		r.config.ClientCAs.AddCert(c)
	}
	r.config.VerifyConnection = func(s tls.ConnectionState) error { return isAllowed(s, t.AllowedSANs) }
	return r, nil
}

// isAllowed holds that the client's certificate, of a chain that was verified, has one
// of the names.
func isAllowed(s tls.ConnectionState, allowed []string) error {
	if len(s.VerifiedChains) == 0 || len(s.PeerCertificates) == 0 {
		return errors.New("the client has no verified certificate")
	}
	for _, name := range namesOf(s.PeerCertificates[0]) {
		if slices.Contains(allowed, name) {
			return nil
		}
	}
	return errors.New("the client's certificate has none of the allowed names")
}

var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// namesOf returns the DNS names and URIs of a certificate byte by byte, which x509 does
// not keep of a URI: RFC 5280 section 4.2.1.6. Only what has a colon is a URI here, and
// only what has none is a DNS name, so that neither passes for the other.
func namesOf(cert *x509.Certificate) (names []string) {
	const dns, uri = 2, 6
	for _, e := range cert.Extensions {
		if !e.Id.Equal(subjectAltName) {
			continue
		}
		var general []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &general); err != nil || len(rest) > 0 {
			return nil
		}
		for _, n := range general {
			hasColon := strings.Contains(string(n.Bytes), ":")
			if n.Class == asn1.ClassContextSpecific && (n.Tag == dns && !hasColon || n.Tag == uri && hasColon) {
				names = append(names, string(n.Bytes))
			}
		}
	}
	return names
}

// use puts a reading to work. The caller holds mu.
func (g *guard) use(r *reading) {
	g.written = r.written
	g.rejected.Store(nil)
	g.serving.Store(r)
	g.expiry.Set(float64(r.expiry.Unix()))
	g.good.Set(1)
}

// watch reads the files again every second, whatever their times and sizes say, until ctx
// ends.
func (g *guard) watch(ctx context.Context) {
	tick := time.NewTicker(filesEvery)
	defer tick.Stop()
	for {
		g.remind(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.refresh()
		}
	}
}

// refresh reads the files, and puts them to use if they hold something else.
func (g *guard) refresh() {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.rejected.Load()
	r, err := readTLS(g.name, g.written)
	switch serving := g.serving.Load(); {
	case err == nil && old == nil && serving != nil && r.isSame(serving):
		return
	case err == nil:
		g.use(r)
		g.log.Info("the listener's certificate was read again", "listener", g.name, "expires", r.expiry)
		return
	}
	g.good.Set(0)
	if told := err.Error(); old == nil || *old != told { // once, not every second
		g.rejected.Store(&told)
		g.log.Error("the listener's certificate files cannot be used; the old ones stay in use", "listener", g.name, "error", told)
	}
}

// isSame reports whether the files hold what they did. The key is that of the first
// certificate.
func (r *reading) isSame(old *reading) bool {
	return slices.EqualFunc(r.files.Chain, old.files.Chain, (*x509.Certificate).Equal) &&
		slices.EqualFunc(r.files.ClientCAs, old.files.ClientCAs, (*x509.Certificate).Equal)
}
