package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/durward/durward/policy/contract"
)

const defaultHeaderPrefix = "x-claim-"

// istioPrefix is removed where a request enters, but ours only where a preset says so:
// whoever comes from Istio may keep it.
const istioPrefix = "x-jwt-claim-"

// headers compiles headers: what backends are told beside the x-auth-* headers.
func (c *compiler) headers() {
	p := c.cfg.GetHeaders()
	c.cat.Headers.Prefix = defaultHeaderPrefix
	if prefix := p.GetPrefix(); c.written("headers.prefix", prefix != "") {
		c.headerPrefix("headers.prefix", prefix)
		c.cat.Headers.Prefix = prefix
	}
	preset := make(map[string]bool)
	if word := p.GetPreset(); c.written("headers.preset", word != "") {
		c.oneOf("headers.preset", word, contract.Presets()...)
		for _, h := range contract.PresetHeaders(word) {
			preset[h.Header] = true
			c.cat.Headers.Claims = append(c.cat.Headers.Claims, ClaimHeader{h.Header, strings.Split(h.Claim, ".")})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.GetClaims())) {
		path, header := fmt.Sprintf("headers.claims[%q]", key), c.cat.Headers.Prefix+key
		switch {
		case !validName(key):
			c.find(brokenRule, path, "%q cannot end the name of a header", key)
		case preset[header]:
			c.find(headerTwice, path, "preset %s has header %s already", p.GetPreset(), header)
		}
		c.cat.Headers.Claims = append(c.cat.Headers.Claims, ClaimHeader{header, c.claimPath(path, p.GetClaims()[key])})
	}
	slices.SortFunc(c.cat.Headers.Claims, func(a, b ClaimHeader) int { return cmp.Compare(a.Header, b.Header) })
}

// headerPrefix refuses a prefix of names that mean something else already: a caller's
// copies of everything that begins with it are removed, and backends believe the rest.
func (c *compiler) headerPrefix(path, prefix string) {
	name, ok := strings.CutPrefix(prefix, "x-")
	name, end := strings.CutSuffix(name, "-")
	if !ok || !end || !validName(name) || len(prefix) > 43 {
		c.find(badHeaderPrefix, path, "header prefix %q is malformed", prefix)
		return
	}
	for _, door := range contract.DoorPrefixes() {
		if door != istioPrefix && (strings.HasPrefix(prefix, door) || strings.HasPrefix(door, prefix)) {
			c.find(badHeaderPrefix, path, "headers that begin with %s have their meaning already", door)
			return
		}
	}
	for _, ours := range slices.Concat(contract.MutableHeaders(), contract.CheckedHeaders()) {
		if strings.HasPrefix(ours, prefix) && !strings.HasPrefix(ours, istioPrefix) {
			c.find(badHeaderPrefix, path, "header %s has its meaning already", ours)
			return
		}
	}
}
