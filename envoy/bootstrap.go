package envoy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	downstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	heapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/durward/durward/policy/catalog"
)

// Where Envoy stops taking on work instead of being killed.
const (
	maxHeapBytes   = 2 << 30
	maxConnections = 50000

	maxRegexInstructions = 10000

	reconnectAfter  = 500 * time.Millisecond
	reconnectWithin = 3 * time.Second

	heapMonitor       = "envoy.resource_monitors.fixed_heap"
	connectionMonitor = "envoy.resource_monitors.global_downstream_max_connections"
)

// BootstrapOptions are the parts of a bootstrap that differ between the Envoys of one
// gateway. The zero value is usable.
type BootstrapOptions struct {
	// NodeID names this Envoy among those of its gateway; default: the gateway's
	// name. Envoy's --service-node overrides it. Replicas had better have names of their
	// own: what one refused before it left may else be kept from another that comes.
	NodeID string
	// Admin is where Envoy's admin port listens, a loopback address with port or
	// unix:/path; default 127.0.0.1:9901. Port 0 is any free one.
	Admin string
}

// Bootstrap writes the JSON that an Envoy of the gateway starts with: who it is, and
// where it gets all else. It holds no secret. Equal arguments give equal bytes.
//
// The node's cluster is the gateway's name: by it package ads knows what to send.
func Bootstrap(cat *catalog.Catalogue, gateway string, opts BootstrapOptions) ([]byte, error) {
	gw, err := find(cat, gateway)
	if err != nil {
		return nil, err
	}
	b, err := bootstrap(cat, gw, opts)
	if err != nil {
		return nil, err
	}
	return writeBootstrap(b)
}

func bootstrap(cat *catalog.Catalogue, gw *catalog.Gateway, opts BootstrapOptions) (*bootstrapv3.Bootstrap, error) {
	xds, err := ourCluster(xdsCluster, cat.Listeners.XDS)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: listeners.xds: %w", err)
	}
	admin, err := adminAddress(cmp.Or(opts.Admin, "127.0.0.1:9901"))
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	overload, err := overloadManager()
	if err != nil {
		return nil, fmt.Errorf("bootstrap: overload manager: %w", err)
	}
	return &bootstrapv3.Bootstrap{
		Node:                &corev3.Node{Id: cmp.Or(opts.NodeID, gw.Name), Cluster: gw.Name},
		Admin:               &bootstrapv3.Admin{Address: admin, AllowPaths: adminPaths()},
		LayeredRuntime:      regexLimit(),
		OverloadManager:     overload,
		StatsConfig:         keptStatistics(),
		DeferredStatOptions: whenUsed(),
		DynamicResources:    everythingFrom(xdsCluster),
		StaticResources:     &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{xds}},
	}, nil
}

func writeBootstrap(b *bootstrapv3.Bootstrap) ([]byte, error) {
	if err := b.ValidateAll(); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	return writeJSON(b)
}

// writeJSON gives equal bytes for equal messages: protojson varies its blanks on purpose.
func writeJSON(m proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	var stable bytes.Buffer
	if err := json.Indent(&stable, text, "", "  "); err != nil {
		return nil, fmt.Errorf("write %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	stable.WriteByte('\n')
	return stable.Bytes(), nil
}

// regexLimit lifts a limit that Envoy puts on regular expressions, for fear of slow ones
// by many authors. Those that we write, the list of headers that answers may touch and
// the origins below a domain, are linear; but the list is longer than the default of 100
// RE2 instructions, and Envoy would refuse the listener.
func regexLimit() *bootstrapv3.LayeredRuntime {
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
		Name: "durward",
		LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: &structpb.Struct{
			Fields: map[string]*structpb.Value{
				"re2.max_program_size.error_level": structpb.NewNumberValue(maxRegexInstructions),
			},
		}},
	}}}
}

// adminPaths leaves out whatever shows configuration or ends Envoy.
func adminPaths() []*matcherv3.StringMatcher {
	return []*matcherv3.StringMatcher{
		exactly("/ready"),
		beginning("/stats", false),
		beginning("/listeners", false),
		beginning("/drain_listeners", false),
		beginning("/healthcheck", false),
	}
}

// everythingFrom subscribes to clusters and listeners over one delta stream, on which
// listeners then ask for their route tables.
func everythingFrom(cluster string) *bootstrapv3.Bootstrap_DynamicResources {
	return &bootstrapv3.Bootstrap_DynamicResources{
		AdsConfig: &corev3.ApiConfigSource{
			ApiType:                   corev3.ApiConfigSource_DELTA_GRPC,
			TransportApiVersion:       corev3.ApiVersion_V3,
			SetNodeOnFirstMessageOnly: true,
			GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: cluster, RetryPolicy: soon()},
			}}},
		},
		CdsConfig: fromADS(),
		LdsConfig: fromADS(),
	}
}

// soon is when Envoy asks for its configuration again after it was cut off. By itself it
// would leave up to half a minute between two attempts.
func soon() *corev3.RetryPolicy {
	return &corev3.RetryPolicy{RetryBackOff: &corev3.BackoffStrategy{
		BaseInterval: durationpb.New(reconnectAfter), MaxInterval: durationpb.New(reconnectWithin),
	}}
}

func overloadManager() (*overloadv3.OverloadManager, error) {
	heap, err := pack(&heapv3.FixedHeapConfig{MaxHeapSizeBytes: maxHeapBytes})
	if err != nil {
		return nil, err
	}
	connections, err := pack(&downstreamv3.DownstreamConnectionsConfig{MaxActiveDownstreamConnections: maxConnections})
	if err != nil {
		return nil, err
	}
	return &overloadv3.OverloadManager{
		ResourceMonitors: []*overloadv3.ResourceMonitor{
			{Name: heapMonitor, ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: heap}},
			{Name: connectionMonitor, ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: connections}},
		},
		Actions: []*overloadv3.OverloadAction{
			onHeap("envoy.overload_actions.shrink_heap", 0.95),
			onHeap("envoy.overload_actions.stop_accepting_requests", 0.98),
		},
	}, nil
}

// onHeap triggers an action when the heap is filled to that fraction.
func onHeap(action string, fraction float64) *overloadv3.OverloadAction {
	return &overloadv3.OverloadAction{Name: action, Triggers: []*overloadv3.Trigger{{
		Name:         heapMonitor,
		TriggerOneof: &overloadv3.Trigger_Threshold{Threshold: &overloadv3.ThresholdTrigger{Value: fraction}},
	}}}
}
