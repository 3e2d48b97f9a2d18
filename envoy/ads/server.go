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

	// turn is full while a Publish runs, which guards the next two.
	turn          chan struct{}
	endRetirement func()
	checkTimeout  time.Duration // of what was published last

	mu       sync.Mutex
	gateways map[string]versions // what their Envoys should hold
	streams  map[int64]*stream
	warned   map[string]bool // unknown gateways that the log has named already
	changed  chan struct{}   // closed and replaced when the above changes
}

type metrics struct {
	streams prometheus.Gauge
	nacks   *prometheus.CounterVec
}

// NewServer returns a server that knows no gateway until the first [Server.Publish].
// It registers the gauge durward_xds_streams, and the counter durward_xds_nacks_total
// by type of resource: cluster, listener, route.
func NewServer(log *slog.Logger, reg prometheus.Registerer) *Server {
	factory := promauto.With(reg)
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		log: log,
		metrics: metrics{
			streams: factory.NewGauge(prometheus.GaugeOpts{
				Name: "durward_xds_streams",
				Help: "Envoys that are connected to the control plane.",
			}),
			nacks: factory.NewCounterVec(prometheus.CounterOpts{
				Name: "durward_xds_nacks_total",
				Help: "Updates that an Envoy refused, by type of resource.",
			}, []string{"type"}),
		},
		// With ads, responses to one Envoy keep the order cluster, listener, route.
		cache:         cachev3.NewSnapshotCache(true, byGateway{}, nil),
		stop:          stop,
		closed:        ctx.Done(),
		turn:          make(chan struct{}, 1),
		endRetirement: func() {},
		gateways:      make(map[string]versions),
		streams:       make(map[int64]*stream),
		warned:        make(map[string]bool),
		changed:       make(chan struct{}),
	}
	for _, label := range typeLabels {
		s.metrics.nacks.WithLabelValues(label)
	}
	s.delta = deltav3.NewServer(ctx, s.cache, callbacks{s})
	return s
}

// Register adds the service to a gRPC server.
func (s *Server) Register(g *grpc.Server) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, service{server: s})
}

// Close ends all streams, so that grpc.Server.GracefulStop need not wait for Envoys,
// which never hang up by themselves, and whatever Publish left to be done. Envoys keep
// what they have and try to reconnect.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.stop()
		s.turn <- struct{}{} // for good
		s.endRetirement()
	})
}

// service is the delta half of the protocol; the other half stays unimplemented.
type service struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	server *Server
}

func (s service) DeltaAggregatedResources(str discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.server.delta.DeltaStreamHandler(str, resourcev3.AnyType)
}

// byGateway makes Envoys of one gateway share a snapshot.
type byGateway struct{}

func (byGateway) ID(node *corev3.Node) string { return node.GetCluster() }

// typeLabels are the types of resources we serve, and their names as metric labels.
var typeLabels = map[string]string{
	resourcev3.ClusterType:  "cluster",
	resourcev3.ListenerType: "listener",
	resourcev3.RouteType:    "route",
}
