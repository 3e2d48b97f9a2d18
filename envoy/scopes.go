package envoy

import (
	"slices"
	"strconv"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// part is what a table has for one host: rules, some of them more than once.
type part struct {
	host  string
	rules []*rule
}

// table is one route table before it is written. The zero table is none.
type table struct {
	name  string
	parts []part
}

func (t table) equal(other table) bool {
	return t.name == other.name && slices.EqualFunc(t.parts, other.parts, func(a, b part) bool {
		return a.host == b.host && slices.Equal(a.rules, b.rules)
	})
}

// groups are rules by segment or bucket. Keys are in the order in which they came, so
// that equal catalogues give equal tables.
type groups[K comparable] struct {
	keys []K
	of   map[K][]*rule
}

func (g *groups[K]) add(key K, rules []*rule) {
	former, ok := g.of[key]
	switch {
	case g.of == nil:
		g.of = make(map[K][]*rule)
		fallthrough
	case !ok:
		g.keys = append(g.keys, key)
		g.of[key] = slices.Clip(rules) // most groups are of one
	default:
		g.of[key] = append(former, rules...)
	}
}

// layout spreads rules over route tables. Nothing else in this package knows how.
type layout struct {
	gateway string
	// at has the rules by the hosts they name and their segments.
	at    map[string]*groups[string]
	hosts []string // of at, in the order in which they came
	// exact are the tables of hosts that APIs name in full, rest those of all others by
	// bucket, and nothing is that of buckets in which there is no API.
	exact, rest []table
	nothing     table
	scopes      []scope
}

// scope says in which table the requests of a place are looked up.
type scope struct {
	place
	table string
}

func spread(gateway string, apis []*written) *layout {
	l := &layout{
		gateway: gateway,
		at:      make(map[string]*groups[string]),
		exact:   make([]table, exactTables),
		rest:    make([]table, buckets),
		scopes:  make([]scope, 0, len(apis)+buckets),
	}
	for _, api := range apis {
		for i, r := range api.rules {
			for _, host := range r.hosts {
				site := l.at[host]
				if site == nil {
					site = new(groups[string])
					l.at[host], l.hosts = site, append(l.hosts, host)
				}
				site.add(r.segment, api.rules[i:i+1])
			}
		}
	}
	for _, host := range l.hosts {
		if !isPattern(host) {
			l.addExact(host)
		}
	}
	l.addRest()
	return l
}

// sites lists the rules of a host, and those of all patterns that cover it.
func (l *layout) sites(host string) []*groups[string] {
	var sites []*groups[string]
	for _, pattern := range patterns(host) {
		if site := l.at[pattern]; site != nil {
			sites = append(sites, site)
		}
	}
	return sites
}

// addExact makes the scopes of a host that an API names in full: one for each segment of
// these APIs, and one for all others if one of the APIs takes any. Otherwise a request
// for another segment can only be for an API of a wider host.
func (l *layout) addExact(host string) {
	own, sites := l.at[host], l.sites(host)
	for _, segment := range own.keys {
		p := place{host, segment}
		number := p.table()
		t := &l.exact[number]
		if t.name == "" {
			t.name = l.gateway + "/" + strconv.Itoa(number)
		}
		l.scopes = append(l.scopes, scope{p, t.name})
		for _, site := range sites {
			t.add(host, site.of[segment])
			if segment != "" {
				t.add(host, site.of[""])
				continue
			}
			for _, other := range site.keys {
				if _, has := own.of[other]; !has {
					t.add(host, site.of[other])
				}
			}
		}
	}
}

// addRest makes the scopes for hosts that no API names in full. Buckets in which there is
// nothing share a table.
func (l *layout) addRest() {
	l.nothing.name = l.gateway + "/*"
	filled := make(map[string]*groups[int]) // by pattern
	for _, host := range l.hosts {
		if isPattern(host) {
			filled[host] = inBuckets(l.at[host])
		}
	}
	for _, pattern := range l.hosts {
		own := filled[pattern]
		if own == nil {
			continue
		}
		wider := patterns(pattern)
		for _, bucket := range own.keys {
			t := &l.rest[bucket]
			t.name = l.nothing.name + strconv.Itoa(bucket)
			for _, w := range wider {
				if in := filled[w]; in != nil {
					t.add(pattern, in.of[bucket])
				}
			}
		}
	}
	for bucket, t := range l.rest {
		if t.name == "" {
			t = l.nothing
		}
		l.scopes = append(l.scopes, scope{place{anyHost, strconv.Itoa(bucket)}, t.name})
	}
}

// inBuckets sorts the rules of a pattern by bucket. Those that take any segment
// make that there are all buckets.
func inBuckets(site *groups[string]) *groups[int] {
	in := new(groups[int])
	for _, segment := range site.keys {
		if segment != "" {
			in.add(bucketOf(segment), site.of[segment])
			continue
		}
		for bucket := range buckets {
			in.add(bucket, site.of[segment])
		}
	}
	return in
}

func (t *table) add(host string, rules []*rule) {
	if len(rules) > 0 {
		t.parts = append(t.parts, part{host, rules})
	}
}

// tables lists those that a scope points to.
func (l *layout) tables() []table {
	list := slices.DeleteFunc(slices.Concat(l.exact, l.rest), func(t table) bool { return t.name == "" })
	if slices.ContainsFunc(l.rest, func(t table) bool { return t.name == "" }) {
		list = append(list, l.nothing)
	}
	return list
}

func (s scope) write() *routev3.ScopedRouteConfiguration {
	key := new(routev3.ScopedRouteConfiguration_Key)
	host := hostMark + s.host
	if s.host == anyHost {
		host = bucketMark
	}
	for _, part := range []string{host, s.segment} {
		key.Fragments = append(key.Fragments, &routev3.ScopedRouteConfiguration_Key_Fragment{
			Type: &routev3.ScopedRouteConfiguration_Key_Fragment_StringKey{StringKey: part},
		})
	}
	return &routev3.ScopedRouteConfiguration{Name: s.String(), RouteConfigurationName: s.table, Key: key}
}

func isPattern(host string) bool { return len(host) > 0 && host[0] == '*' }

// patterns lists a host or pattern and all patterns that cover it.
func patterns(host string) []string {
	list := []string{host}
	for i := 1; i < len(host); i++ {
		if host[i] == '.' && (i > 1 || !isPattern(host)) {
			list = append(list, "*"+host[i:])
		}
	}
	if host != anyHost {
		list = append(list, anyHost)
	}
	return list
}
