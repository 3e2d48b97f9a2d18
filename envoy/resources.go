package envoy

import (
	"errors"
	"fmt"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/durward/durward/policy/catalog"
)

// Resources is all that the Envoys of one gateway are told over xDS. Lists are sorted
// by name. Do not change what they hold: messages are shared between routes.
type Resources struct {
	Listeners []*listenerv3.Listener
	Routes    []*routev3.RouteConfiguration
	Clusters  []*clusterv3.Cluster
}

// Translate writes the resources of the gateway of that name. All of them, and every
// message packed into them, satisfy Envoy's validation rules; domains are unique in
// their table and routes name clusters that exist. An error names the API at fault,
// where it is one.
//
// Translate does not check what only Envoy can: that a backend's CA file exists where
// Envoy runs, or that its name resolves.
func Translate(cat *catalog.Catalogue, gateway string) (Resources, error) {
	gw, err := find(cat, gateway)
	if err != nil {
		return Resources{}, err
	}
	res, err := translate(cat, gw)
	if err != nil {
		return Resources{}, fmt.Errorf("gateway %s: %w", gateway, err)
	}
	return res, nil
}

func translate(cat *catalog.Catalogue, gw *catalog.Gateway) (Resources, error) {
	if cat.CheckTimeout <= 0 { // which Envoy takes for none
		return Resources{}, errors.New("check_timeout is not positive")
	}
	if cat.Headers.Prefix == "" { // which every header begins with
		return Resources{}, errors.New("headers.prefix is empty")
	}
	var res Resources
	l, err := listener(gw, cat.CheckTimeout, cat.Headers.Prefix)
	if err != nil {
		return Resources{}, err
	}
	res.Listeners = []*listenerv3.Listener{l}
	for _, t := range tables(cat, gw) {
		rc, err := routeTable(t)
		if err != nil {
			return Resources{}, err
		}
		res.Routes = append(res.Routes, rc)
	}
	if res.Clusters, err = clusters(cat); err != nil {
		return Resources{}, err
	}
	return res, res.check()
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

// check judges the resources as a whole. Envoy refuses a table with a domain in it
// twice without saying where, and acknowledges a route to a cluster it does not have.
func (res Resources) check() error {
	exists := make(map[string]bool, len(res.Clusters))
	for _, c := range res.Clusters {
		if err := c.ValidateAll(); err != nil {
			return fmt.Errorf("cluster %s: %w", c.GetName(), err)
		}
		if exists[c.GetName()] {
			return fmt.Errorf("cluster %s exists twice", c.GetName())
		}
		exists[c.GetName()] = true
	}
	for _, l := range res.Listeners {
		if err := l.ValidateAll(); err != nil {
			return fmt.Errorf("listener %s: %w", l.GetName(), err)
		}
	}
	for _, rc := range res.Routes {
		if err := checkTable(rc, exists); err != nil {
			return fmt.Errorf("route table %s: %w", rc.GetName(), err)
		}
	}
	return nil
}

func checkTable(rc *routev3.RouteConfiguration, clusters map[string]bool) error {
	domains := make(map[string]bool, len(rc.GetVirtualHosts()))
	for _, vh := range rc.GetVirtualHosts() {
		for _, d := range vh.GetDomains() {
			if domains[d] {
				return fmt.Errorf("domain %s exists twice", d)
			}
			domains[d] = true
		}
		if err := vh.ValidateAll(); err != nil {
			return fmt.Errorf("host %q: %w", vh.GetName(), err)
		}
		for _, r := range vh.GetRoutes() {
			if action := r.GetRoute(); action != nil && !clusters[action.GetCluster()] {
				return fmt.Errorf("api %s: no cluster is named %q", r.GetName(), action.GetCluster())
			}
		}
	}
	return rc.ValidateAll()
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
