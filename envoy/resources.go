package envoy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/durward/durward/policy/catalog"
)

// Resources is all that the Envoys of one gateway are told over xDS. Lists are sorted
// by name. Do not change what they hold: messages are shared between routes, and between
// translations.
type Resources struct {
	Listeners []*listenerv3.Listener
	// Secrets say where certificates are, and hold no key.
	Secrets  []*tlsv3.Secret
	Scopes   []*routev3.ScopedRouteConfiguration
	Routes   []*routev3.RouteConfiguration
	Clusters []*clusterv3.Cluster

	kept kept
}

// Translate writes the resources of the gateway of that name. All of them, and every
// message packed into them, satisfy Envoy's validation rules; domains are unique in
// their table and routes name clusters that exist. An error names the API at fault,
// where it is one.
//
// Translate does not check what only Envoy can: that a backend's CA file exists where
// Envoy runs, or that its name resolves.
func Translate(cat *catalog.Catalogue, gateway string) (Resources, error) {
	return Resources{}.Next(cat, gateway)
}

// Next is Translate, but takes from res what is the same: such messages are identical, and
// so is a list of which all are. It is quick where cat shares most of its APIs, by pointer,
// with what res was translated from; equal ones cost no more than to write them. The zero
// Resources have nothing to take. The APIs of cat are sorted by unique names, and nobody
// changes one that was translated: a changed one is another.
func (res Resources) Next(cat *catalog.Catalogue, gateway string) (Resources, error) {
	gw, err := find(cat, gateway)
	if err != nil {
		return Resources{}, err
	}
	next, err := res.next(cat, gw)
	if err != nil {
		return Resources{}, fmt.Errorf("gateway %s: %w", gateway, err)
	}
	return next, nil
}

func (res Resources) next(cat *catalog.Catalogue, gw *catalog.Gateway) (Resources, error) {
	if cat.CheckTimeout <= 0 { // which Envoy takes for none
		return Resources{}, errors.New("check_timeout is not positive")
	}
	if cat.Headers.Prefix == "" { // which every header begins with
		return Resources{}, errors.New("headers.prefix is empty")
	}
	l, err := listener(gw, cat.CheckTimeout, cat.Headers.Prefix)
	if err != nil {
		return Resources{}, err
	}
	if err := l.ValidateAll(); err != nil {
		return Resources{}, fmt.Errorf("listener: %w", err)
	}
	if len(res.Listeners) != 1 || !proto.Equal(res.Listeners[0], l) {
		res.Listeners = []*listenerv3.Listener{l}
	}
	s, err := secrets(gw)
	if err != nil {
		return Resources{}, err
	}
	if !slices.EqualFunc(res.Secrets, s, func(a, b *tlsv3.Secret) bool { return proto.Equal(a, b) }) {
		res.Secrets = s
	}
	if res.kept, err = res.kept.next(cat, gw); err != nil {
		return Resources{}, err
	}
	res.Clusters = res.kept.clusters.list
	res.Scopes = res.kept.scopes.list
	res.Routes = res.kept.routes
	return res, res.checkScopes()
}

func find(cat *catalog.Catalogue, gateway string) (*catalog.Gateway, error) {
	names := make([]string, 0, len(cat.Gateways))
	for _, gw := range cat.Gateways {
		if gw.Name == gateway {
			return gw, nil
		}
		names = append(names, gw.Name)
	}
	return nil, fmt.Errorf("no gateway is named %q; there is: %s", gateway, strings.Join(names, ", "))
}

// checkScopes holds that all tables that scopes name exist, for others Envoy would wait,
// and no more.
func (res Resources) checkScopes() error {
	used := make(map[string]bool, len(res.Routes))
	for _, rc := range res.Routes {
		used[rc.GetName()] = false
	}
	for _, s := range res.Scopes {
		if _, ok := used[s.GetRouteConfigurationName()]; !ok {
			return fmt.Errorf("scope %s: no route table is named %q", s.GetName(), s.GetRouteConfigurationName())
		}
		used[s.GetRouteConfigurationName()] = true
	}
	for name, ok := range used {
		if !ok {
			return fmt.Errorf("no scope leads to route table %s", name)
		}
	}
	return nil
}

// checkTable judges a table as a whole. Envoy refuses one with a domain in it twice
// without saying where, and acknowledges a route to a cluster it does not have.
func checkTable(rc *routev3.RouteConfiguration, clusters pool[string, *clusterv3.Cluster]) error {
	domains := make(map[string]bool, len(rc.GetVirtualHosts()))
	for _, vh := range rc.GetVirtualHosts() {
		for _, d := range vh.GetDomains() {
			if domains[d] {
				return fmt.Errorf("domain %s exists twice", d)
			}
			domains[d] = true
		}
		for _, r := range vh.GetRoutes() {
			for _, name := range destinations(r) {
				if clusters.get(name) == nil {
					return fmt.Errorf("api %s: no cluster is named %q", r.GetName(), name)
				}
			}
		}
	}
	if err := rc.ValidateAll(); err != nil {
		return culprit(rc, err)
	}
	return nil
}

// culprit says more of an error of a table: to validate each part on its own as well
// would take most of the time of a translation.
func culprit(rc *routev3.RouteConfiguration, err error) error {
	for _, vh := range rc.GetVirtualHosts() {
		for _, r := range vh.GetRoutes() {
			if err := r.ValidateAll(); err != nil {
				return fmt.Errorf("api %s: %w", r.GetName(), err)
			}
		}
		if err := vh.ValidateAll(); err != nil {
			return fmt.Errorf("host %q: %w", vh.GetName(), err)
		}
	}
	return err
}

// message is a generated Envoy message.
type message interface {
	proto.Message
	ValidateAll() error
}

// pack is the only place where messages become Any: validated, because the validation
// of the outer message does not look inside, and in deterministic bytes, because
// resource versions are hashes of them.
func pack(m message) (*anypb.Any, error) {
	if err := m.ValidateAll(); err != nil {
		return nil, err
	}
	packed := new(anypb.Any)
	if err := anypb.MarshalFrom(packed, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		return nil, fmt.Errorf("pack %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return packed, nil
}
