package envoy

import (
	"fmt"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/policy/catalog"
)

func shown(a *corev3.Address) string {
	if s := a.GetSocketAddress(); s != nil {
		return fmt.Sprintf("%s %d", s.GetAddress(), s.GetPortValue())
	}
	return a.GetPipe().GetPath()
}

func says(err error, want string) bool {
	if err == nil || want == "" {
		return err == nil && want == ""
	}
	return strings.Contains(err.Error(), want)
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind    string
		read    func(string) (*corev3.Address, error)
		in      string
		want    string
		wantErr string
	}{
		{"dial", dialAddress, "127.0.0.1:9001", "127.0.0.1 9001", ""},
		{"dial", dialAddress, "0.0.0.0:9001", "127.0.0.1 9001", ""},
		{"dial", dialAddress, ":9001", "127.0.0.1 9001", ""},
		{"dial", dialAddress, "[::]:9001", "::1 9001", ""},
		{"dial", dialAddress, "[2001:db8::1]:9001", "2001:db8::1 9001", ""},
		{"dial", dialAddress, "durward.internal:9001", "durward.internal 9001", ""},
		{"dial", dialAddress, "unix:/run/durward.sock", "/run/durward.sock", ""},
		{"dial", dialAddress, "unix:durward.sock", "", "not absolute"},
		{"dial", dialAddress, "127.0.0.1:0", "", "cannot dial port 0"},
		{"dial", dialAddress, "127.0.0.1:http", "", "the port is not a number"},
		{"dial", dialAddress, "127.0.0.1:65536", "", "the port is not a number"},
		{"dial", dialAddress, "127.0.0.1", "", "missing port"},
		{"listen", listenAddress, ":10000", "0.0.0.0 10000", ""},
		{"listen", listenAddress, "127.0.0.1:0", "127.0.0.1 0", ""},
		{"listen", listenAddress, "localhost:10000", "", "not on names"},
		{"admin", adminAddress, "127.0.0.1:0", "127.0.0.1 0", ""},
		{"admin", adminAddress, "[::1]:9901", "::1 9901", ""},
		{"admin", adminAddress, "unix:/run/admin.sock", "/run/admin.sock", ""},
		{"admin", adminAddress, ":9901", "", "must be loopback"},
		{"admin", adminAddress, "192.0.2.1:9901", "", "must be loopback"},
		{"admin", adminAddress, "localhost:9901", "", "not on names"},
	}
	for _, tt := range tests {
		a, err := tt.read(tt.in)
		if got := shown(a); got != tt.want || !says(err, tt.wantErr) {
			t.Errorf("%s %s: %q, error %v; want %q, error %q", tt.kind, tt.in, got, err, tt.want, tt.wantErr)
		}
	}
}

func TestBootstrapOptions(t *testing.T) {
	t.Parallel()
	text, err := Bootstrap(literal(), "edge", BootstrapOptions{NodeID: "edge-7", Admin: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	var b bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if b.GetNode().GetId() != "edge-7" || b.GetNode().GetCluster() != "edge" {
		t.Errorf("node is %v", b.GetNode())
	}
	if got := shown(b.GetAdmin().GetAddress()); got != "127.0.0.1 0" {
		t.Errorf("admin listens on %s", got)
	}
	everyMessage(t, &b, func(m proto.Message) {
		if v, ok := m.(message); ok {
			if err := v.ValidateAll(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestBootstrapRefuses(t *testing.T) {
	t.Parallel()
	unreachable := literal()
	unreachable.Listeners.XDS = catalog.Listener{Address: "127.0.0.1:0"}
	anybody := literal()
	anybody.Listeners.XDS = catalog.Listener{Address: "127.0.0.1:18000", TLS: &catalog.ListenerTLS{Envoy: catalog.EnvoyTLS{CAFile: "/ca"}}}
	tests := []struct {
		name, gateway, want string
		cat                 *catalog.Catalogue
		opts                BootstrapOptions
	}{
		{"unknown gateway", "inner", "no gateway is named", literal(), BootstrapOptions{}},
		{"no xds address", "edge", "bootstrap: listeners.xds: ", unreachable, BootstrapOptions{}},
		{"xds of anybody", "edge", "bootstrap: listeners.xds: tls: ", anybody, BootstrapOptions{}},
		{"open admin port", "edge", "bootstrap: admin address", literal(), BootstrapOptions{Admin: "0.0.0.0:9901"}},
	}
	for _, tt := range tests {
		if text, err := Bootstrap(tt.cat, tt.gateway, tt.opts); !says(err, tt.want) || text != nil {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}
