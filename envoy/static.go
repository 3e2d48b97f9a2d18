package envoy

import (
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/policy/catalog"
)

// Static writes the JSON of a bootstrap that holds what the Envoys of the gateway are
// told over xDS, for envoy --mode validate alone: that mode asks no control plane. It
// must not be run: beside the gateway's listener it has one for each route table, on
// which no request is checked.
func Static(cat *catalog.Catalogue, gateway string) ([]byte, error) {
	gw, err := find(cat, gateway)
	if err != nil {
		return nil, err
	}
	b, err := bootstrap(cat, gw, BootstrapOptions{})
	if err != nil {
		return nil, err
	}
	static := b.GetStaticResources()
	if err := addAll(static, cat, gw); err != nil {
		return nil, fmt.Errorf("gateway %s: %w", gateway, err)
	}
	return writeBootstrap(b)
}

func addAll(static *bootstrapv3.Bootstrap_StaticResources, cat *catalog.Catalogue, gw *catalog.Gateway) error {
	res, err := Resources{}.next(cat, gw)
	if err != nil {
		return err
	}
	static.Clusters = append(static.Clusters, res.Clusters...)
	listeners, err := inPlace(gw, res.Listeners)
	if err != nil {
		return err
	}
	static.Listeners = append(static.Listeners, listeners...)
	for _, table := range res.Routes {
		l, err := tableListener(table)
		if err != nil {
			return fmt.Errorf("route table %s: %w", table.GetName(), err)
		}
		static.Listeners = append(static.Listeners, l)
	}
	return nil
}

// inPlace writes the files of the gateway's certificate into copies of its listeners, so
// that Envoy looks at them.
func inPlace(gw *catalog.Gateway, listeners []*listenerv3.Listener) ([]*listenerv3.Listener, error) {
	if gw.TLS == nil || gw.TLS.CertFile == "" {
		return listeners, nil
	}
	tls, err := filesTLS(gw)
	if err != nil {
		return nil, err
	}
	list := make([]*listenerv3.Listener, len(listeners))
	for i, l := range listeners {
		list[i] = proto.CloneOf(l)
		for _, chain := range list[i].GetFilterChains() {
			chain.TransportSocket = tls
		}
	}
	return list, nil
}

// tableListener is the least that makes Envoy read a route table: it looks at the
// tables of listeners that it has.
func tableListener(table *routev3.RouteConfiguration) (*listenerv3.Listener, error) {
	router, err := pack(&routerv3.Router{})
	if err != nil {
		return nil, err
	}
	manager, err := pack(&hcmv3.HttpConnectionManager{
		StatPrefix:     "validated",
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: table},
		HttpFilters:    []*hcmv3.HttpFilter{httpFilter("envoy.filters.http.router", router)},
	})
	if err != nil {
		return nil, err
	}
	return &listenerv3.Listener{
		Name:    "table " + table.GetName(),
		Address: socket("127.0.0.1", 0),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
		}}}},
		TrafficDirection: corev3.TrafficDirection_INBOUND,
	}, nil
}
