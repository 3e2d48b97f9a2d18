package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/durward/durward/authz"
	"github.com/durward/durward/cmd/durward/admin"
	"github.com/durward/durward/envoy/ads"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
	"github.com/durward/durward/policy/token/dpop"
)

const (
	// drainTime is how long checks under way may take once we stop.
	drainTime = 10 * time.Second
	// opsTime is how long probes and scrapes under way may take then.
	opsTime = time.Second
)

// Server is one running Durward. Start makes it; Close ends it.
type Server struct {
	path string
	log  *slog.Logger
	// ctx ends the tasks of the server; it belongs to the server, not to a caller.
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	failed chan error
	// hup is caught from the start: before Wait, a SIGHUP waits instead of killing.
	hup   chan os.Signal
	drain time.Duration

	registry *prometheus.Registry
	fleet    *fleet
	state    *state
	authz    *authz.Server
	// proofs outlives generations: a proof that one of them let pass is used for the next.
	proofs *dpop.Checker
	ads    *ads.Server
	health *health.Server
	guards map[string]*guard // by port; none for one without TLS
	// shown is what the admin port tells of.
	shown atomic.Pointer[catalog.Catalogue]

	// reading guards the configuration's files, which may keep us waiting, and what was last
	// read of them.
	reading  sync.Mutex
	reader   *source.Reader
	lastGood *lastGood // nil where no copy is kept
	judged   string    // hash of the text that need not be judged again
	told     string    // what the log was told of a rejection last; empty where none stands

	// reloading guards what follows. Who takes both takes reading first.
	reloading sync.Mutex
	upstreams map[identity]*upstream
	cat       *catalog.Catalogue
	// configured are the addresses as they stood in the file at the start.
	configured catalog.Listeners

	check, xds *grpc.Server
	ops, admin *http.Server
	listeners  listeners
}

type listeners struct{ check, xds, ops, admin net.Listener }

// Start loads the configuration at path, binds its ports and serves until Close. The
// error is a *ConfigError, a *BusyError, or one that wraps the system's.
func Start(ctx context.Context, path string, log *slog.Logger) (*Server, error) {
	return StartWithLastGood(ctx, path, "", log)
}

// StartWithLastGood is Start with a directory in which a copy of the configuration that
// was accepted last is kept. Where the present one is rejected, the copy serves, and until
// a good one comes log, metrics and /readyz?verbose say so. An empty dir keeps nothing.
func StartWithLastGood(ctx context.Context, path, dir string, log *slog.Logger) (*Server, error) {
	copies, err := newLastGood(dir, path)
	if err != nil {
		return nil, err
	}
	reader := source.NewReader(path)
	text, err := reader.Read(ctx)
	var s *Server
	if err == nil {
		s, err = start(ctx, reader, text, log)
	}
	var busy *BusyError
	switch {
	case err == nil:
		s.lastGood = copies
		s.keep(text)
	case copies == nil || errors.As(err, &busy) || ctx.Err() != nil:
		return nil, err
	default:
		if s, err = startDegraded(ctx, reader, copies, log, err); err != nil {
			return nil, err
		}
	}
	s.serve()
	log.Info("serving", "revision", s.cat.Revision, "apis", len(s.cat.APIs),
		"check", s.cat.Listeners.Check.Address, "xds", s.cat.Listeners.XDS.Address, "ops", s.OpsAddress(), "admin", s.AdminAddress())
	return s, nil
}

// start makes a server that decides by text and is bound, but does not serve yet.
func start(ctx context.Context, reader *source.Reader, text source.Text, log *slog.Logger) (*Server, error) {
	cat, findings, err := compile(reader, text)
	if err != nil {
		return nil, err
	}
	s := newServer(reader.Path(), log, cat.Listeners)
	s.reader = reader
	if s.proofs, err = dpop.NewChecker(dpop.Config{Now: time.Now, Metrics: s.registry}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.bind(ctx, cat.Listeners); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.configured = cat.Listeners
	cat = bound(cat, s.listeners.check.Addr(), s.listeners.xds.Addr())
	if err := s.apply(ctx, cat); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.cat, s.judged = cat, text.Hash
	s.accepted(nil, findings)
	return s, nil
}

func newServer(path string, log *slog.Logger, l catalog.Listeners) *Server {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		path: path, log: log, ctx: ctx, cancel: cancel, failed: make(chan error, 4),
		hup: make(chan os.Signal, 1), drain: drainTime,
		registry: registry, fleet: newFleet(log, registry), state: newState(registry),
		authz: authz.NewServer(log, registry, time.Now), ads: ads.NewServer(log, registry, peerNames), health: health.NewServer(),
		guards: newGuards(l, log, registry),
	}
	signal.Notify(s.hup, syscall.SIGHUP)
	s.check = grpc.NewServer(append(checkOptions(), s.guards["check"].options()...)...)
	s.xds = grpc.NewServer(append(xdsOptions(), s.guards["xds"].options()...)...)
	authv3.RegisterAuthorizationServer(s.check, s.authz)
	healthpb.RegisterHealthServer(s.check, s.health)
	s.health.SetServingStatus(authv3.Authorization_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	s.ads.Register(s.xds)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	s.ops = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	s.admin = admin.NewServer(s.status, log)
	return s
}

// portOptions bound what a client can make us hold, and tolerate Envoy's pings, which
// both fields of the enforcement must allow: else Envoy is told to go away.
func portOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 10 * time.Second}),
		grpc.ConnectionTimeout(5 * time.Second),
		grpc.MaxHeaderListSize(64 << 10),
		grpc.MaxConcurrentStreams(1024),
	}
}

// checkOptions also bound the one message of a check.
func checkOptions() []grpc.ServerOption {
	return append(portOptions(), grpc.MaxRecvMsgSize(256<<10))
}

// xdsOptions leave room for an Envoy that reconnects and lists all it has, at about 110
// bytes a resource: more than a hundred thousand APIs. It needs one stream.
func xdsOptions() []grpc.ServerOption {
	return append(portOptions(), grpc.MaxRecvMsgSize(16<<20), grpc.MaxConcurrentStreams(8))
}

func (s *Server) bind(ctx context.Context, l catalog.Listeners) (err error) {
	if s.listeners.check, err = Listen(ctx, "check", l.Check.Address, l.Check.Mode); err != nil {
		return err
	}
	if s.listeners.xds, err = Listen(ctx, "xds", l.XDS.Address, l.XDS.Mode); err != nil {
		return err
	}
	if s.listeners.ops, err = Listen(ctx, "ops", l.Ops, 0); err != nil {
		return err
	}
	s.listeners.admin, err = Listen(ctx, "admin", l.Admin, 0o600)
	return err
}

func (s *Server) serve() {
	run := func(name string, f func() error) {
		s.tasks.Go(func() {
			if err := f(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				s.failed <- fmt.Errorf("%s port: %w", name, err)
			}
		})
	}
	run("check", func() error { return s.check.Serve(s.listeners.check) })
	run("xds", func() error { return s.xds.Serve(s.listeners.xds) })
	run("ops", func() error { return s.ops.Serve(s.listeners.ops) })
	run("admin", func() error { return s.admin.Serve(s.listeners.admin) })
	for _, g := range s.guards {
		s.tasks.Go(func() { g.watch(s.ctx) })
	}
}

// Wait returns nil when ctx ends, or the error of a port that stopped by itself. Meanwhile
// it watches the configuration, and a change that is good serves at once; SIGHUP reads it
// again in any case.
func (s *Server) Wait(ctx context.Context) error {
	watching, end := context.WithCancel(ctx)
	defer context.AfterFunc(s.ctx, end)()
	var watch sync.WaitGroup
	watch.Go(func() {
		source.Watch(watching, s.path, s.log, func() time.Duration { return s.look(watching) })
	})
	defer watch.Wait()
	defer end()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.failed:
			return err
		case <-s.hup:
			_ = s.Reload(ctx) // it has logged why not
		}
	}
}

// ReportDropped exports how many log lines were lost, see LogWriter. It is called once.
func (s *Server) ReportDropped(dropped func() uint64) {
	s.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "durward_decision_log_dropped_total",
		Help: "Log lines that were lost because nobody took them.",
	}, func() float64 { return float64(dropped()) }))
}

// Catalogue is what serves now, with the addresses really bound.
func (s *Server) Catalogue() *catalog.Catalogue {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	return s.cat
}

// OpsAddress is where /healthz, /readyz and /metrics are.
func (s *Server) OpsAddress() string { return s.listeners.ops.Addr().String() }

// WaitAcked returns when an Envoy of the gateway has accepted all that serves now.
func (s *Server) WaitAcked(ctx context.Context, gateway string) error {
	return s.ads.WaitAcked(ctx, gateway)
}

// Close takes no new checks, lets those under way end for up to 10 s, and waits for
// everything that Start began. Envoys keep the configuration they have.
func (s *Server) Close() error {
	s.state.drain()
	s.health.Shutdown()
	s.ads.Close()
	hard := time.AfterFunc(s.drain, func() { s.check.Stop(); s.xds.Stop() })
	defer hard.Stop()
	s.check.GracefulStop()
	s.xds.GracefulStop()
	ctx, cancel := context.WithTimeout(context.Background(), opsTime)
	defer cancel()
	err := errors.Join(shutDown(ctx, s.ops), shutDown(ctx, s.admin))
	s.cancel()
	s.tasks.Wait()
	for _, u := range s.upstreams {
		u.close()
	}
	s.proofs.Close()
	// Listeners of a server that never served are closed by nobody else.
	for _, l := range []net.Listener{s.listeners.check, s.listeners.xds, s.listeners.ops, s.listeners.admin} {
		if l != nil {
			_ = l.Close()
		}
	}
	signal.Stop(s.hup)
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}
