package ads

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/envoy"
	"github.com/durward/durward/policy/catalog"
)

// edition is one state of what the Envoys of a gateway are told.
type edition struct {
	// cat is what was translated: APIs that are parked are as they were before in it,
	// or missing.
	cat  *catalog.Catalogue
	snap *cachev3.Snapshot
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

// gateway is what the Envoys of one gateway are told, and what they made of it. Who
// changes it has Server.turn and Server.mu, so that either is enough to read; what Envoys
// bring about, and edition, change under Server.mu alone.
type gateway struct {
	name string
	// whole is the catalogue that was published last.
	whole *catalog.Catalogue
	// edition is what Envoys should hold; former what they should before, of which
	// something may still be on its way.
	edition, former *edition
	// good is the last edition of which all Envoys that were connected held all, and which
	// had nothing in it that any had refused, or nil.
	good *edition
	// base has, by type and name of a resource, an edition for each version that an Envoy
	// holds, as far as it came from here.
	base map[string]map[string][]*edition
	// withheld are the APIs that are not published as whole has them.
	withheld map[string]*withheld
	// groups are the withheld APIs that may be innocent; trial is the group that the
	// edition has in it to find out, or nil.
	groups [][]string
	trial  []string
	// pending are refusals that were not looked into, by their key.
	pending map[string]charge
	// refused are, by Envoy, the sets of versions not to send to it again.
	refused map[string]map[string]refusal
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

func newGateway(name string) *gateway {
	return &gateway{
		name:     name,
		base:     make(map[string]map[string][]*edition),
		withheld: make(map[string]*withheld),
		pending:  make(map[string]charge),
		refused:  make(map[string]map[string]refusal),
	}
}

// published returns the APIs withheld that are not on trial.
func (g *gateway) published() map[string]*withheld {
	out := make(map[string]*withheld, len(g.withheld))
	for name, w := range g.withheld {
		if !slices.Contains(g.trial, name) {
			out[name] = w
		}
	}
	return out
}

// without returns cat with those APIs as they were before. One whose place another API
// has taken meanwhile is left out.
func without(cat *catalog.Catalogue, out map[string]*withheld) *catalog.Catalogue {
	if len(out) == 0 {
		return cat
	}
	c := *cat
	c.APIs = nil
	taken := make(map[string]bool)
	for _, api := range cat.APIs {
		if out[api.Name] != nil {
			continue
		}
		c.APIs = append(c.APIs, api)
		for _, host := range api.Hosts {
			taken[host+api.BasePath] = true
		}
	}
	for _, w := range out {
		if w.former == nil || slices.ContainsFunc(w.former.Hosts, func(host string) bool { return taken[host+w.former.BasePath] }) {
			continue
		}
		c.APIs = append(c.APIs, w.former)
	}
	slices.SortFunc(c.APIs, func(a, b *catalog.API) int { return strings.Compare(a.Name, b.Name) })
	return &c
}

// fingerprint tells versions of one API apart by what is written for Envoy of it alone.
func fingerprint(cat *catalog.Catalogue, gateway string, api *catalog.API) (string, error) {
	alone := *cat
	alone.APIs = []*catalog.API{api}
	res, err := envoy.Translate(&alone, gateway)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, r := range slices.Concat(asResources(res.Routes), asResources(res.Clusters)) {
		if err := hashInto(sum, r); err != nil {
			return "", fmt.Errorf("gateway %s: api %s: %w", gateway, api.Name, err)
		}
	}
	return string(sum.Sum(nil)), nil
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
func (g *gateway) stillWithheld(cat *catalog.Catalogue) (map[string]*withheld, error) {
	still := make(map[string]*withheld)
	for name, w := range g.withheld {
		api := cat.API(name)
		if api == nil {
			continue
		}
		print, err := fingerprint(cat, g.name, api)
		if err != nil {
			return nil, err
		}
		if print == w.print {
			same := *w
			same.api = api // with its present place in the files
			still[name] = &same
		}
	}
	return still, nil
}

// renew takes a catalogue that is about to be published. A trial is not yet over then:
// it is put off.
func (g *gateway) renew(cat *catalog.Catalogue, still map[string]*withheld) {
	g.whole, g.withheld = cat, make(map[string]*withheld)
	maps.Copy(g.withheld, still)
	groups := g.groups
	if g.trial != nil {
		groups = append([][]string{g.trial}, groups...)
	}
	g.trial, g.groups = nil, nil
	for _, group := range groups {
		group = slices.DeleteFunc(slices.Clone(group), func(name string) bool { return still[name] == nil })
		if len(group) > 0 {
			g.groups = append(g.groups, group)
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
