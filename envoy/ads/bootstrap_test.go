package ads_test

import (
	"context"
	"testing"
	"time"

	"github.com/durward/durward/envoy"
	"github.com/durward/durward/envoy/binary"
	"github.com/durward/durward/policy/catalog"
)

func TestRealEnvoyAcceptsBootstraps(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // may have to fetch Envoy
	defer cancel()
	path, err := binary.Find(ctx, binary.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		xds  catalog.Listener
		opts envoy.BootstrapOptions
	}{
		"address":       {catalog.Listener{Address: "0.0.0.0:18000"}, envoy.BootstrapOptions{}},
		"unix sockets":  {catalog.Listener{Address: "unix:/run/durward/xds.sock"}, envoy.BootstrapOptions{Admin: "unix:" + t.TempDir() + "/admin"}},
		"several names": {catalog.Listener{Advertise: []string{"durward-0:18000", "durward-1:18000"}}, envoy.BootstrapOptions{NodeID: "edge-0"}},
		"mixed":         {catalog.Listener{Advertise: []string{"127.0.0.1:18000", "unix:/run/x", "[::1]:18000"}}, envoy.BootstrapOptions{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cat := plain(t, api("orders", "/orders", "http://orders"))
			cat.Listeners.XDS = tt.xds
			text, err := envoy.Bootstrap(cat, "edge", tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if err := binary.Validate(context.WithoutCancel(ctx), path, text); err != nil {
				t.Error(err)
			}
		})
	}
}
