package ads

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/envoy"
	"github.com/durward/durward/policy/catalog"
)

// edition is one state of what the Envoys of a gateway are told.
type edition struct {
	// cat is what was translated: APIs that are parked are as they were before in it,
	// or missing.
	cat  *catalog.Catalogue
	snap *snapshot
}

func (e *edition) versions(typeURL string) map[string]string { return e.snap.GetVersionMap(typeURL) }

// api returns nil for one that the edition does not have.
func (e *edition) api(name string) *catalog.API {
	i, ok := slices.BinarySearchFunc(e.cat.APIs, name, func(a *catalog.API, name string) int {
		return strings.Compare(a.Name, name)
	})
	if !ok {
		return nil
	}
	return e.cat.APIs[i]
}

// gateway is what is known of one gateway of the catalogue. Who changes whole has
// Server.turn and Server.mu, so that either is enough to read it; the rest changes under
// Server.mu alone.
type gateway struct {
	name string
	// whole is the catalogue that was published last.
	whole *catalog.Catalogue
	// base has, by type and name of a resource, an edition for each version that an Envoy
	// holds, as far as it came from here.
	base map[string]map[string][]*edition
	// left has, by Envoy, what those refused that are not connected, and their reasons.
	left map[string]map[resource]string
}

// audience is the Envoys of a gateway that are told the same: those that have refused
// nothing of the whole catalogue, or those that are apart. Who changes it has Server.turn
// and Server.mu; what Envoys bring about, and edition, change under Server.mu alone.
type audience struct {
	*gateway
	// key is the gateway's name, with a suffix for those apart.
	key string
	// edition is what Envoys should hold; former what they should before, of which
	// something may still be on its way.
	edition, former *edition

	// What follows is of those apart.

	// withheld are the APIs that are not published as whole has them.
	withheld map[string]*withheld
	// groups are the withheld APIs that may be innocent; trial is the group that the
	// edition has in it to find out, or nil.
	groups []group
	trial  *group
	// pending are refusals that were not looked into, by their key.
	pending map[string]charge
}

// group is withheld APIs that are offered together.
type group struct {
	apis []string
	// rest, where there is one, are those of several that are left out, one group after the
	// other, until an Envoy accepts.
	rest []string
}

// apartKey cannot be the name of a gateway.
func apartKey(gateway string) string { return gateway + "\x00apart" }

func (a *audience) isApart() bool { return a.key != a.name }

func newGateway(name string) *gateway {
	return &gateway{name: name, base: make(map[string]map[string][]*edition), left: make(map[string]map[resource]string)}
}

// withheld is one API that an Envoy refused, alone or among others.
type withheld struct {
	api *catalog.API
	// print is the fingerprint of the API as it was refused.
	print string
	// former is the API as an Envoy last accepted it, or nil.
	former *catalog.API
	// reason is in Envoy's words.
	reason string
	guilty bool
}

// published returns the APIs withheld that are not on trial.
func (a *audience) published() map[string]*withheld {
	out := maps.Clone(a.withheld)
	if a.trial != nil {
		for _, name := range a.trial.apis {
			delete(out, name)
		}
	}
	return out
}

// without returns cat with those APIs as they were before, as far as the gateway serves
// them. One whose place another API has taken meanwhile is left out.
func without(cat *catalog.Catalogue, gateway string, out map[string]*withheld) *catalog.Catalogue {
	if len(out) == 0 {
		return cat
	}
	c := *cat
	c.APIs = nil
	taken := make(map[string]bool)
	keep := func(api *catalog.API) {
		c.APIs = append(c.APIs, api)
		for _, host := range api.Hosts {
			taken[host+api.BasePath] = true
		}
	}
	for _, api := range cat.APIs {
		if out[api.Name] == nil && api.ServedBy(gateway) {
			keep(api)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(out)) {
		was := out[name].former
		if was != nil && was.ServedBy(gateway) && !slices.ContainsFunc(was.Hosts, func(host string) bool { return taken[host+was.BasePath] }) {
			keep(was)
		}
	}
	slices.SortFunc(c.APIs, func(a, b *catalog.API) int { return strings.Compare(a.Name, b.Name) })
	return &c
}

// fingerprints tells versions of one API apart by what is written for Envoy of it alone.
// From one API to the next it keeps what does not depend on them.
type fingerprints struct {
	gateway string
	last    envoy.Resources
}

func (f *fingerprints) of(cat *catalog.Catalogue, api *catalog.API) (string, error) {
	alone := *cat
	alone.APIs = []*catalog.API{api}
	res, err := f.last.Next(&alone, f.gateway)
	if err != nil {
		return "", err
	}
	f.last = res
	sum := sha256.New()
	for _, r := range slices.Concat(asResources(res.Routes), asResources(res.Clusters)) {
		if err := hashInto(sum, r); err != nil {
			return "", fmt.Errorf("gateway %s: api %s: %w", f.gateway, api.Name, err)
		}
	}
	return string(sum.Sum(nil)), nil
}

func asResources[T types.Resource](list []T) []types.Resource {
	out := make([]types.Resource, len(list))
	for i, r := range list {
		out[i] = r
	}
	return out
}

// hashInto writes the length too, so that two messages are not taken for one.
func hashInto(sum interface{ Write([]byte) (int, error) }, m types.Resource) error {
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(sum, "%d %s", len(text), text)
	return err
}

// stillWithheld leaves, of the withheld APIs, those that cat has unchanged.
func (a *audience) stillWithheld(cat *catalog.Catalogue) (map[string]*withheld, error) {
	still := make(map[string]*withheld)
	prints := fingerprints{gateway: a.name}
	for name, w := range a.withheld {
		api := cat.API(name)
		if api == nil {
			continue
		}
		if api != w.api {
			print, err := prints.of(cat, api)
			if err != nil {
				return nil, err
			}
			if print != w.print {
				continue
			}
		}
		same := *w
		same.api = api // with its present place in the files
		still[name] = &same
	}
	return still, nil
}

// renew leaves of what is withheld what still is in the catalogue that is about to be
// published. A search that is not over goes on with those; it begins anew with those of
// whom it was known only that others may be at fault. The caller has the turn and the lock.
func (a *audience) renew(still map[string]*withheld) {
	groups := a.groups
	if a.trial != nil {
		groups = append([]group{*a.trial}, groups...)
	}
	a.withheld, a.trial, a.groups = maps.Clone(still), nil, nil
	taken := make(map[string]bool)
	for _, one := range groups {
		left := slices.DeleteFunc(slices.Concat(one.apis, one.rest), func(name string) bool { return still[name] == nil || taken[name] })
		for _, name := range left {
			taken[name] = true
		}
		if len(left) > 0 {
			a.groups = append(a.groups, group{apis: left})
		}
	}
}

// allows reports whether an Envoy whose certificate has those names may have the
// gateway's configuration.
func (g *gateway) allows(names []string) bool {
	var allowed []string
	asked := false
	if tls := g.whole.Listeners.XDS.TLS; tls != nil && tls.ClientCAFile != "" {
		asked, allowed = true, tls.AllowedSANs
	}
	if gw := gatewayOf(g.whole, g.name); len(gw.AllowedSANs) > 0 {
		asked, allowed = true, gw.AllowedSANs
	}
	return !asked || slices.ContainsFunc(names, func(name string) bool { return slices.Contains(allowed, name) })
}

// gatewayOf returns nil for a gateway that cat does not have.
func gatewayOf(cat *catalog.Catalogue, name string) *catalog.Gateway {
	for _, gw := range cat.Gateways {
		if gw.Name == name {
			return gw
		}
	}
	return nil
}
