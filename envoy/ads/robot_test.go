package ads_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/policy/contract"
)

// discovered are the types that a robot asks for, in this order; of each, everything.
var discovered = []string{resourcev3.ClusterType, resourcev3.ListenerType, resourcev3.RouteType, resourcev3.ScopedRouteType}

// robot is an Envoy without a data plane: it asks for everything, answers at once,
// refuses a response as a whole, and comes back with what it has when its stream ends.
type robot struct {
	node *corev3.Node
	// refuses returns why a response is refused, or nothing.
	refuses func(*discoveryv3.DeltaDiscoveryResponse) string

	mu   sync.Mutex
	held map[string]map[string]*discoveryv3.Resource
	// offered counts the resources that came.
	offered int
	// refused holds names and versions of what was refused in a response of its own,
	// again what of that came again.
	refused map[string]bool
	again   []string
	streams int
	// careful robots look, each time, for routes that lead to no cluster: these are gaps.
	careful bool
	gaps    []string
	// lost counts the updates after which it had fewer APIs than least.
	least, lost int
}

func newRobot(id string, refuses func(*discoveryv3.DeltaDiscoveryResponse) string) *robot {
	if refuses == nil {
		refuses = func(*discoveryv3.DeltaDiscoveryResponse) string { return "" }
	}
	r := &robot{
		node:    &corev3.Node{Id: id, Cluster: "edge"},
		refuses: refuses, refused: make(map[string]bool),
		held: make(map[string]map[string]*discoveryv3.Resource),
	}
	for _, typeURL := range discovered {
		r.held[typeURL] = make(map[string]*discoveryv3.Resource)
	}
	return r
}

func (r *robot) runs(version *typev3.SemanticVersion) *robot {
	r.node.UserAgentVersionType = &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{Version: version}}
	return r
}

// start connects to the control plane until the test ends or stop is called.
func (r *robot) start(t testing.TB, addr string) (stop func()) {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20))) // Envoy has no limit
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			r.talk(ctx, conn)
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
		_ = conn.Close()
	})
	t.Cleanup(stop)
	return stop
}

func (r *robot) talk(ctx context.Context, conn *grpc.ClientConn) {
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return
	}
	r.mu.Lock()
	r.streams++
	var first []*discoveryv3.DeltaDiscoveryRequest
	for _, typeURL := range discovered {
		req := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, InitialResourceVersions: make(map[string]string)}
		for name, res := range r.held[typeURL] {
			req.InitialResourceVersions[name] = res.GetVersion()
		}
		first = append(first, req)
	}
	first[0].Node = r.node
	r.mu.Unlock()
	for _, req := range first {
		if stream.Send(req) != nil {
			return
		}
	}
	for {
		res, err := stream.Recv()
		if err != nil {
			return
		}
		req := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: res.GetTypeUrl(), ResponseNonce: res.GetNonce()}
		if why := r.take(res); why != "" {
			req.ErrorDetail = &status.Status{Code: 13, Message: why}
		}
		if stream.Send(req) != nil {
			return
		}
	}
}

func (r *robot) take(res *discoveryv3.DeltaDiscoveryResponse) (why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range res.GetResources() {
		version := one.GetName() + "@" + one.GetVersion()
		r.offered++
		if r.refused[version] {
			r.again = append(r.again, version)
		}
	}
	if why = r.refuses(res); why != "" {
		if all := res.GetResources(); len(all) == 1 {
			r.refused[all[0].GetName()+"@"+all[0].GetVersion()] = true
		}
		return why
	}
	for _, one := range res.GetResources() {
		r.held[res.GetTypeUrl()][one.GetName()] = one
	}
	for _, name := range res.GetRemovedResources() {
		delete(r.held[res.GetTypeUrl()], name)
	}
	if r.least > 0 && r.streams > 1 && len(routesOf(r.held[resourcev3.RouteType])) < r.least {
		r.lost++
	}
	if !r.careful {
		return ""
	}
	for _, line := range routesOf(r.held[resourcev3.RouteType]) {
		if cluster := line[strings.LastIndexByte(line, ' ')+1:]; r.held[resourcev3.ClusterType][cluster] == nil {
			r.gaps = append(r.gaps, line)
		}
	}
	return ""
}

// total is the number of resources that came.
func (r *robot) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.offered
}

// forget makes what it refused news.
func (r *robot) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.refused)
}

// sentAgain lists what came again after the robot had refused it alone.
func (r *robot) sentAgain() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.again
}

// routes shows each API that the robot has: its name, its path and its cluster.
func (r *robot) routes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return routesOf(r.held[resourcev3.RouteType])
}

func routesOf(tables map[string]*discoveryv3.Resource) []string {
	seen := make(map[string]bool)
	for _, res := range tables {
		table := new(routev3.RouteConfiguration)
		if err := res.GetResource().UnmarshalTo(table); err != nil {
			return []string{err.Error()}
		}
		for _, vh := range table.GetVirtualHosts() {
			for _, route := range vh.GetRoutes() {
				if path := route.GetMatch().GetPath(); path != "" && route.GetName() != contract.NoAPI {
					seen[route.GetName()+" "+path+" "+route.GetRoute().GetCluster()] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// mentioning refuses responses of which a resource holds one of the words.
func mentioning(words ...string) func(*discoveryv3.DeltaDiscoveryResponse) string {
	return func(res *discoveryv3.DeltaDiscoveryResponse) string {
		for _, one := range res.GetResources() {
			text, _ := proto.Marshal(one.GetResource())
			for _, word := range words {
				if strings.Contains(string(text), word) {
					return "this envoy does not like " + word
				}
			}
		}
		return ""
	}
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
