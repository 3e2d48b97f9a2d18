package ads

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	deltav3 "github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc"
)

// Server is an aggregated discovery service. Its methods may be called from any
// goroutine.
type Server struct {
	log     *slog.Logger
	metrics metrics
	cache   cachev3.SnapshotCache
	delta   deltav3.Server
	stop    context.CancelFunc
	closed  <-chan struct{}
	closing sync.Once

	// names are those of the certificate of whoever calls.
	names    func(context.Context) []string
	reviewer sync.WaitGroup

	// turn is full while editions are made and put to use.
	turn chan struct{}

	mu        sync.Mutex
	audiences map[string]*audience // by key
	streams   map[int64]*stream
	warned    map[string]bool // what the log need not be told again
	changed   chan struct{}   // closed and replaced when the above changes
}

type metrics struct {
	streams prometheus.Gauge
	denied  prometheus.Counter
	sent    *prometheus.CounterVec
	nacks   *prometheus.CounterVec
}

// NewServer returns a server that knows no gateway until the first [Prepared.Publish].
// names returns the subject alternative names of the verified certificate of a call's
// peer, and none where it has no such certificate; nil is for a port that asks for none.
//
// It registers the gauge durward_xds_streams, the counters
// durward_xds_denied_streams_total, durward_xds_resources_sent_total and
// durward_xds_nacks_total, these by type of resource (cluster, listener, route, scope), and
// what [Server.Status] knows in numbers: durward_xds_envoys by gateway, version,
// revision and state, durward_xds_envoys_outdated and durward_xds_parked_apis by
// gateway.
func NewServer(log *slog.Logger, reg prometheus.Registerer, names func(context.Context) []string) *Server {
	if names == nil {
		names = func(context.Context) []string { return nil }
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		log:     log,
		metrics: newMetrics(reg),
		// With ads, responses to one Envoy keep the order cluster, listener, route, scope.
		cache:     cachev3.NewSnapshotCache(true, byAudience{}, nil),
		stop:      stop,
		closed:    ctx.Done(),
		names:     names,
		turn:      make(chan struct{}, 1),
		audiences: make(map[string]*audience),
		streams:   make(map[int64]*stream),
		warned:    make(map[string]bool),
		changed:   make(chan struct{}),
	}
	reg.MustRegister(collector{s})
	s.delta = deltav3.NewServer(ctx, s.cache, callbacks{s})
	s.reviewer.Go(s.review)
	return s
}

func newMetrics(reg prometheus.Registerer) metrics {
	factory := promauto.With(reg)
	byType := func(name, help string) *prometheus.CounterVec {
		vec := factory.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"type"})
		for _, label := range typeLabels {
			vec.WithLabelValues(label)
		}
		return vec
	}
	return metrics{
		streams: factory.NewGauge(prometheus.GaugeOpts{
			Name: "durward_xds_streams",
			Help: "Envoys that are connected to the control plane.",
		}),
		denied: factory.NewCounter(prometheus.CounterOpts{
			Name: "durward_xds_denied_streams_total",
			Help: "Streams that asked for a gateway which their certificate is not for.",
		}),
		sent:  byType("durward_xds_resources_sent_total", "Resources sent to Envoys, by type."),
		nacks: byType("durward_xds_nacks_total", "Updates that an Envoy refused, by type of resource."),
	}
}

// Register adds the service to a gRPC server.
func (s *Server) Register(g *grpc.Server) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, service{server: s})
}

// Close ends all streams, so that grpc.Server.GracefulStop need not wait for Envoys,
// which never hang up by themselves, and the search for what they refuse. Envoys keep
// what they have and try to reconnect.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.stop()
		s.turn <- struct{}{} // for good
		s.reviewer.Wait()
	})
}

// service is the delta half of the protocol; the other half stays unimplemented.
type service struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	server *Server
}

func (s service) DeltaAggregatedResources(str discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	j := judged{str, s.server, newStream(str, s.server.names(str.Context())), make(chan received), time.After(firstWithin)}
	go j.receive()
	return s.server.delta.DeltaStreamHandler(j, resourcev3.AnyType)
}

// byAudience makes Envoys that are told the same share a snapshot.
type byAudience struct{}

func (byAudience) ID(node *corev3.Node) string { return node.GetCluster() }

// inOrder are the types of resources in the order in which Envoy is told of them.
var inOrder = []string{resourcev3.ClusterType, resourcev3.ListenerType, resourcev3.SecretType, resourcev3.RouteType, resourcev3.ScopedRouteType}

// typeLabels are the types of resources we serve, and their names as metric labels.
var typeLabels = map[string]string{
	resourcev3.ClusterType:     "cluster",
	resourcev3.ListenerType:    "listener",
	resourcev3.SecretType:      "secret",
	resourcev3.RouteType:       "route",
	resourcev3.ScopedRouteType: "scope",
}
