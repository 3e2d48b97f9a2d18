package ads_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/durward/durward/envoy/ads"
	"github.com/durward/durward/policy/catalog"
)

// startNamed is a control plane that believes a header about the caller's certificate.
func startNamed(t *testing.T) *controlPlane {
	t.Helper()
	c := &controlPlane{registry: prometheus.NewRegistry(), log: new(lockedBuffer)}
	c.Server = ads.NewServer(slog.New(slog.NewTextHandler(c.log, nil)), c.registry, func(ctx context.Context) []string {
		header, _ := metadata.FromIncomingContext(ctx)
		return header.Get("names")
	})
	c.addr, _ = serveGRPC(t, c.Register)
	t.Cleanup(c.Close)
	return c
}

// connectAs is a client with a certificate of those names.
func (c *controlPlane) connectAs(t *testing.T, names ...string) *client {
	t.Helper()
	header := metadata.MD{"names": names}
	return c.connectWith(t, metadata.NewOutgoingContext(t.Context(), header))
}

// tenants is a catalogue of two gateways behind a port that asks for certificates.
func tenants(t *testing.T, path string, edge, inner []string) *catalog.Catalogue {
	t.Helper()
	cat := plain(t, api("orders", path, "http://one"))
	cat.Gateways[0].AllowedSANs = edge
	cat.Gateways = append(cat.Gateways, &catalog.Gateway{Name: "inner", Listen: "127.0.0.1:1", AllowedSANs: inner})
	cat.API("orders").Gateways = cat.Gateways
	cat.Listeners.XDS.TLS = &catalog.ListenerTLS{
		CertFile: "c", KeyFile: "k", ClientCAFile: "ca", AllowedSANs: []string{"a", "b", "c"},
		Envoy: catalog.EnvoyTLS{CertFile: "/c", KeyFile: "/k", CAFile: "/ca", ServerName: "durward"},
	}
	return cat
}

func (c *client) ends(want codes.Code) {
	c.t.Helper()
	for {
		res, err := c.Recv()
		if err == nil {
			if want == codes.PermissionDenied && len(res.GetResources()) > 0 {
				c.t.Errorf("it was given %v first", res.GetResources()[0].GetName())
			}
			continue
		}
		if got := grpcstatus.Code(err); got != want {
			c.t.Errorf("the stream ends with %v, want %v", err, want)
		}
		return
	}
}

// TestGatewaysOfCertificates holds whose Envoys are given which gateway.
func TestGatewaysOfCertificates(t *testing.T) {
	t.Parallel()
	c := startNamed(t)
	c.publishAll(t, tenants(t, "/orders", []string{"a"}, nil))
	denied := 0
	for _, tt := range []struct {
		gateway string
		names   []string
		want    codes.Code
	}{
		{"edge", []string{"a"}, codes.OK},
		{"edge", []string{"x", "a"}, codes.OK},
		{"edge", []string{"b"}, codes.PermissionDenied},
		{"edge", []string{"A"}, codes.PermissionDenied},
		{"edge", nil, codes.PermissionDenied},
		{"inner", []string{"a"}, codes.OK},
		{"inner", []string{"c"}, codes.OK},
		{"inner", []string{"d"}, codes.PermissionDenied},
		{"inner", nil, codes.PermissionDenied},
		{"other", []string{"a"}, codes.NotFound},
	} {
		envoy := c.connectAs(t, tt.names...)
		envoy.subscribe(tt.gateway, resourcev3.ClusterType)
		if tt.want == codes.OK {
			envoy.want("Cluster +authz +http://one:80")
			continue
		}
		envoy.ends(tt.want)
		if tt.want == codes.PermissionDenied {
			denied++
		}
	}
	if n := sum(t, c.registry, "durward_xds_denied_streams_total"); n != float64(denied) {
		t.Errorf("%v denied streams are counted of %d", n, denied)
	}
	if text := c.log.String(); !strings.Contains(text, "node_cluster=edge") || !strings.Contains(text, "certificate_names=b") {
		t.Errorf("the log:\n%s", text)
	}
}

// TestGatewayTakenFromCertificate: a stream gets nothing more once its names are no
// longer allowed.
func TestGatewayTakenFromCertificate(t *testing.T) {
	t.Parallel()
	c := startNamed(t)
	c.publishAll(t, tenants(t, "/orders", []string{"a", "b"}, nil))
	pushed, asking := c.connectAs(t, "b"), c.connectAs(t, "b")
	pushed.begin("http://one:80")
	asking.subscribe("edge", resourcev3.ClusterType)
	asking.want("Cluster +authz +http://one:80")
	eventually(t, "both are known", func() bool { return len(c.Status().Envoys) == 2 })
	c.publishAll(t, tenants(t, "/changed", []string{"a"}, nil))
	pushed.ends(codes.PermissionDenied)
	asking.ack(resourcev3.ClusterType)
	asking.ends(codes.PermissionDenied)
}

// TestOldReleases warns of an Envoy without fixes, and counts it.
func TestOldReleases(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	cat := plain(t, api("orders", "/orders", "http://one"))
	c.publishAll(t, cat)
	want := make(map[string]bool)
	for version, outdated := range map[[3]uint32]bool{
		{1, 36, 9}: true, {1, 37, 5}: true, {1, 37, 6}: false, {1, 38, 3}: true, {1, 38, 4}: false, {1, 39, 1}: true,
		{1, 39, 2}: false, {1, 40, 0}: false, {1, 41, 0}: false, {2, 0, 0}: false, {0, 50, 0}: true,
	} {
		robot := newRobot("envoy", nil).runs(&typev3.SemanticVersion{MajorNumber: version[0], MinorNumber: version[1], Patch: version[2]})
		robot.start(t, c.addr)
		want[fmt.Sprintf("%d.%d.%d", version[0], version[1], version[2])] = outdated
	}
	silent := newRobot("silent", nil)
	silent.start(t, c.addr)
	want[""] = false
	eventually(t, "all are current", func() bool {
		all := c.Status().Envoys
		for _, e := range all {
			if !e.Current {
				return false
			}
		}
		return len(all) == len(want)
	})
	for _, e := range c.Status().Envoys {
		if outdated, ok := want[e.Version]; !ok || e.Outdated != outdated || e.Revision != cat.Revision || e.LastError != "" {
			t.Errorf("%+v", e)
		}
	}
	if n := sum(t, c.registry, "durward_xds_envoys_outdated"); n != 5 {
		t.Errorf("%v outdated in the metrics", n)
	}
	if n := sum(t, c.registry, "durward_xds_envoys"); n != 12 {
		t.Errorf("%v envoys in the metrics", n)
	}
	if text := c.log.String(); strings.Count(text, "older than the releases") != 5 || !strings.Contains(text, "version=1.37.5") {
		t.Errorf("the log:\n%s", text)
	}
}
