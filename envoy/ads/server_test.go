package ads_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/durward/durward/envoy/ads"
	"github.com/durward/durward/policy/catalog"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// controlPlane is an ads.Server on loopback.
type controlPlane struct {
	*ads.Server
	addr     string
	registry *prometheus.Registry
	log      *lockedBuffer
}

func startControlPlane(t testing.TB) *controlPlane {
	t.Helper()
	c := &controlPlane{registry: prometheus.NewRegistry(), log: new(lockedBuffer)}
	c.Server = ads.NewServer(slog.New(slog.NewTextHandler(c.log, nil)), c.registry, nil)
	c.addr, _ = serveGRPC(t, c.Register)
	t.Cleanup(c.Close)
	return c
}

func (c *controlPlane) publish(t *testing.T, apis ...*durwardv1.API) {
	t.Helper()
	c.publishAll(t, plain(t, apis...))
}

func (c *controlPlane) publishAll(t *testing.T, cat *catalog.Catalogue) {
	t.Helper()
	if err := publish(t.Context(), c.Server, cat); err != nil {
		t.Fatal(err)
	}
}

func plain(t *testing.T, apis ...*durwardv1.API) *catalog.Catalogue {
	t.Helper()
	return compile(t, "127.0.0.1:9001", "127.0.0.1:18000", apis...)
}

// client speaks the protocol as Envoy does, but only when told to.
type client struct {
	discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	t *testing.T
	// last is the last response to each type.
	last map[string]*discoveryv3.DeltaDiscoveryResponse
}

func (c *controlPlane) connect(t *testing.T) *client {
	t.Helper()
	return c.connectWith(t, t.Context())
}

func (c *controlPlane) connectWith(t *testing.T, ctx context.Context) *client {
	t.Helper()
	conn, err := grpc.NewClient(c.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	t.Cleanup(cancel)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &client{stream, t, make(map[string]*discoveryv3.DeltaDiscoveryResponse)}
}

func (c *client) send(req *discoveryv3.DeltaDiscoveryRequest) {
	c.t.Helper()
	if err := c.Send(req); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) subscribe(gateway, typeURL string, names ...string) {
	c.t.Helper()
	req := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names}
	if gateway != "" {
		req.Node = &corev3.Node{Id: "envoy-1", Cluster: gateway}
	}
	c.send(req)
}

// next receives a response and shows it as one line.
func (c *client) next() string {
	c.t.Helper()
	res, err := c.Recv()
	if err != nil {
		c.t.Fatal(err)
	}
	c.last[res.GetTypeUrl()] = res
	var names []string
	for _, r := range res.GetResources() {
		names = append(names, "+"+r.GetName())
	}
	for _, name := range res.GetRemovedResources() {
		names = append(names, "-"+name)
	}
	slices.Sort(names)
	kind := res.GetTypeUrl()[strings.LastIndexByte(res.GetTypeUrl(), '.')+1:]
	return strings.Join(append([]string{kind}, names...), " ")
}

func (c *client) ack(typeURL string) {
	c.t.Helper()
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: c.last[typeURL].GetNonce()})
}

func (c *client) want(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		if diff := cmp.Diff(want, c.next()); diff != "" {
			c.t.Fatalf("next response (-want +got):\n%s", diff)
		}
	}
}

// begin takes and acknowledges the first push of the APIs of a client's gateway.
func (c *client) begin(cluster string) {
	c.t.Helper()
	c.subscribe("edge", resourcev3.ClusterType)
	c.want("Cluster +authz +" + cluster)
	c.ack(resourcev3.ClusterType)
	c.subscribe("", resourcev3.ListenerType)
	c.want("Listener +edge")
	c.ack(resourcev3.ListenerType)
	c.subscribe("", resourcev3.RouteType)
	c.want("RouteConfiguration +edge/* +" + ordersTable)
	c.ack(resourcev3.RouteType)
	c.subscribe("", resourcev3.ScopedRouteType)
	if first := c.next(); !strings.HasPrefix(first, "ScopedRouteConfiguration +*/0 ") {
		c.t.Fatalf("the scopes begin with %.100s", first)
	}
	c.ack(resourcev3.ScopedRouteType)
}

// ordersTable is where the API of a client's gateway is, by its first path segment.
const ordersTable = "edge/*354"

func (c *controlPlane) waitAcked(t *testing.T, wait time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	return c.WaitAcked(ctx, "edge")
}

func TestPublishSendsWhatChanged(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	envoy := c.connect(t)
	envoy.begin("http://one:80")
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if n := sum(t, c.registry, "durward_xds_streams"); n != 1 {
		t.Errorf("%v streams", n)
	}

	// What is published here sends nothing, or the responses below were others.
	c.publish(t, api("orders", "/orders", "http://one"))
	c.publish(t, api("orders", "/orders/v2", "http://one"))
	envoy.want("RouteConfiguration +" + ordersTable)
	if err := c.waitAcked(t, 50*time.Millisecond); err == nil {
		t.Error("acknowledged before it was")
	}
	envoy.ack(resourcev3.RouteType)
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Error(err)
	}
}

// Envoy stops using a cluster before it loses it.
func TestPublishMakesBeforeItBreaks(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	former, next := plain(t, api("orders", "/orders", "http://one")), plain(t, api("orders", "/orders", "http://two"))
	former.CheckTimeout, next.CheckTimeout = 200*time.Millisecond, 100*time.Millisecond
	c.publishAll(t, former)
	envoy := c.connect(t)
	envoy.begin("http://one:80")
	c.publishAll(t, next)
	envoy.want("Cluster +http://two:80", "Listener +edge")
	envoy.ack(resourcev3.ClusterType)
	envoy.want("RouteConfiguration +" + ordersTable) // now that it can lead there
	envoy.ack(resourcev3.ListenerType)
	time.Sleep(2 * former.CheckTimeout) // a removal that does not wait for the routes would come now
	acked := time.Now()
	envoy.ack(resourcev3.RouteType)
	envoy.want("Cluster -http://one:80")
	if waited := time.Since(acked); waited < former.CheckTimeout {
		t.Errorf("the cluster is removed %v after the routes, while requests that chose it may still be checked", waited)
	}
	envoy.ack(resourcev3.ClusterType)
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Error(err)
	}
}

func TestRefusalIsToldAndKeepsOldClusters(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	one, two := plain(t, api("orders", "/orders", "http://one")), plain(t, api("orders", "/orders", "http://two"))
	one.CheckTimeout, two.CheckTimeout = 100*time.Millisecond, 100*time.Millisecond
	c.publishAll(t, one)
	envoy := c.connect(t)
	envoy.begin("http://one:80")

	c.publishAll(t, two)
	envoy.want("Cluster +http://two:80")
	envoy.ack(resourcev3.ClusterType)
	envoy.want("RouteConfiguration +" + ordersTable)
	envoy.send(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: resourcev3.RouteType, ResponseNonce: envoy.last[resourcev3.RouteType].GetNonce(),
		ErrorDetail: &status.Status{Code: 13, Message: "no such thing" + strings.Repeat("x", 1<<20)},
	})
	// The way out: it is told what it had. Its cluster was not removed.
	envoy.want("RouteConfiguration +" + ordersTable)
	if text := c.log.String(); strings.Count(text, "no such thing") != 2 || len(text) > 16<<10 {
		t.Errorf("the log, %d bytes: %.500s", len(text), text)
	}
	if n := sum(t, c.registry, "durward_xds_nacks_total"); n != 1 {
		t.Errorf("%v refusals counted", n)
	}
	envoy.ack(resourcev3.RouteType)
	envoy.want("Cluster -http://two:80")
	envoy.ack(resourcev3.ClusterType)
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Error(err)
	}
}

// What is refused and nobody can take back is told to who waits.
func TestWaitAckedTellsRefusals(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	envoy := c.connect(t)
	envoy.subscribe("edge", resourcev3.ListenerType)
	envoy.want("Listener +edge")
	envoy.send(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: resourcev3.ListenerType, ResponseNonce: envoy.last[resourcev3.ListenerType].GetNonce(),
		ErrorDetail: &status.Status{Code: 13, Message: "no such thing"},
	})
	if err := c.waitAcked(t, 500*time.Millisecond); err == nil || !strings.Contains(err.Error(), "listener: no such thing") {
		t.Errorf("error %v", err)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	envoy := c.connect(t)
	envoy.begin("http://one:80")
	c.publish(t, api("orders", "/orders", "http://two")) // leaves a cluster to retire
	c.Close()
	c.Close()
	for {
		if _, err := envoy.Recv(); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("the stream ends with %v", err)
			}
			break
		}
	}
	if err := publish(t.Context(), c.Server, plain(t)); !errors.Is(err, ads.ErrClosed) {
		t.Errorf("publish after close: %v", err)
	}
}

func TestFailedPublishPublishesNothing(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	envoy := c.connect(t)
	envoy.begin("http://one:80")

	broken := plain(t, api("orders", "/changed", "http://one"))
	broken.Gateways = append(broken.Gateways, &catalog.Gateway{Name: "inner", Listen: "a.name:80"})
	if err := publish(t.Context(), c.Server, broken); err == nil || !strings.Contains(err.Error(), "gateway inner: listen:") {
		t.Errorf("error %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 {
		if err := publish(ended, c.Server, plain(t, api("orders", "/changed", "http://one"))); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
	if err := c.waitAcked(t, 10*time.Second); err != nil {
		t.Errorf("after a failed publish: %v", err)
	}
	c.publish(t, api("orders", "/orders", "http://one"), api("more", "/orders/more", "http://two"))
	envoy.want("Cluster +http://two:80")
	envoy.ack(resourcev3.ClusterType)
	envoy.want("RouteConfiguration +" + ordersTable)
}

// An Envoy that comes back says what it has.
func TestReconnectSendsNothingAgain(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	first := c.connect(t)
	first.begin("http://one:80")
	held := make(map[string]string)
	for _, r := range first.last[resourcev3.ClusterType].GetResources() {
		held[r.GetName()] = r.GetVersion()
	}
	second := startControlPlane(t) // a replica, or the same after a restart
	second.publish(t, api("orders", "/orders", "http://one"))
	envoy := second.connect(t)
	envoy.send(&discoveryv3.DeltaDiscoveryRequest{
		Node: &corev3.Node{Cluster: "edge"}, TypeUrl: resourcev3.ClusterType, InitialResourceVersions: held,
	})
	envoy.want("Cluster")
}

func TestGatewayThatIsGoneLosesItsListener(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	envoy := c.connect(t)
	envoy.begin("http://one:80")
	renamed := plain(t, api("orders", "/orders", "http://one"))
	renamed.Gateways[0].Name = "inner"
	if err := publish(t.Context(), c.Server, renamed); err != nil {
		t.Fatal(err)
	}
	envoy.want("Cluster -authz -http://one:80", "Listener -edge")
	if err := c.waitAcked(t, 50*time.Millisecond); err == nil {
		t.Error("a gateway that is gone has acknowledged its configuration")
	}
}

func TestStreamsThatAreRefused(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	refused := func(want codes.Code, talk func(*client)) {
		t.Helper()
		envoy := c.connect(t)
		talk(envoy)
		for {
			if _, err := envoy.Recv(); err != nil {
				if got := grpcstatus.Code(err); got != want {
					t.Errorf("%v, want %v: %v", got, want, err)
				}
				return
			}
		}
	}
	refused(codes.Unavailable, func(e *client) { e.subscribe("edge", resourcev3.ClusterType) })
	if text := c.log.String(); text != "" {
		t.Errorf("logged before the first catalogue: %s", text)
	}
	c.publish(t, api("orders", "/orders", "http://one"))
	for range 3 {
		refused(codes.NotFound, func(e *client) { e.subscribe("egde", resourcev3.ClusterType) })
	}
	refused(codes.NotFound, func(e *client) { e.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType}) })
	refused(codes.InvalidArgument, func(e *client) { e.subscribe("edge", resourcev3.EndpointType) })
	refused(codes.InvalidArgument, func(e *client) { e.subscribe("edge", "") })
	refused(codes.InvalidArgument, func(e *client) {
		e.subscribe("edge", resourcev3.ClusterType)
		e.subscribe("inner", resourcev3.ListenerType)
	})
	refused(codes.ResourceExhausted, func(e *client) {
		e.subscribe("edge", resourcev3.ClusterType)
		for range 200 { // asks again and again, and never says that it got it
			_ = e.Send(&discoveryv3.DeltaDiscoveryRequest{
				TypeUrl: resourcev3.RouteType, ResourceNamesUnsubscribe: []string{"edge"},
			})
			_ = e.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.RouteType, ResourceNamesSubscribe: []string{"edge"}})
		}
	})
	text := c.log.String()
	if strings.Count(text, "node_cluster=egde") != 1 || !strings.Contains(text, "gateways=edge") {
		t.Errorf("unknown gateway in the log:\n%s", text)
	}
}

// TestOnlyDeltaIsServed: of the aggregated service, and there is no other.
func TestOnlyDeltaIsServed(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	alone := grpc.NewServer()
	c.Register(alone)
	for name := range alone.GetServiceInfo() {
		if name != "envoy.service.discovery.v3.AggregatedDiscoveryService" {
			t.Errorf("%s is served", name)
		}
	}
	conn, err := grpc.NewClient(c.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); grpcstatus.Code(err) != codes.Unimplemented {
		t.Errorf("state of the world: %v", err)
	}
}
