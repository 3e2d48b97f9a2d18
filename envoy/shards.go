package envoy

import (
	"fmt"
	"hash/crc32"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	_ "embed"
)

const (
	// headerShard holds, of a request that enters, hostMark, the host, and the path without
	// the query. Of its parts between slashes the first two are the key of a scope. Those of
	// buckets have bucketMark for a host: no caller can name one, whatever host it asks for.
	headerShard = "x-durward-shard"
	shardFormat = hostMark + "%REQ(:AUTHORITY)%%PATH(NQ:PATH)%"
	hostMark    = "="
	bucketMark  = "#"

	// exactTables is how many route tables there are at most for exact hosts, buckets for all
	// others, each of which has a scope even where it is empty. A change sends the whole table
	// in which the API was, and that in which it is now: with ten thousand APIs both stay
	// below 16 kB. Twice as many tables make an Envoy 25 MB heavier.
	exactTables = 2048
	buckets     = 1024
	// hashedBytes bounds the work that a caller's path can make.
	hashedBytes = 64
)

// Scripts that find a scope where there is none under the key as it came.
var (
	//go:embed host.lua
	hostScript string
	//go:embed rest.lua
	restScript string
)

// place is the key of a scope: a host and a first segment of paths, or anyHost and the
// number of a bucket of segments.
type place struct{ host, segment string }

func (p place) String() string { return p.host + "/" + p.segment }

// table numbers the route table that a scope of an exact host points to: always the same,
// so that a scope never changes.
func (p place) table() int {
	var room [128]byte
	key := append(append(append(room[:0], p.host...), '/'), p.segment...)
	return int(crc32.ChecksumIEEE(key) % exactTables) // spreads names that count evenly
}

// segmentOf returns the first segment of a path, empty for "/".
func segmentOf(path string) string {
	segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return segment
}

// bucketOf is how rest.lua, which can only count in doubles, spreads segments.
func bucketOf(segment string) int {
	sum := 0
	for i := range min(len(segment), hashedBytes) {
		sum = (sum*131 + int(segment[i])) % 1048573
	}
	return sum % buckets
}

// scopedRoutes makes Envoy look for the table of a request under the two parts of the
// header. There is no on_demand in it: the first request would pass unchecked.
func scopedRoutes(gateway string) *hcmv3.HttpConnectionManager_ScopedRoutes {
	builder := new(hcmv3.ScopedRoutes_ScopeKeyBuilder)
	for index := range uint32(2) {
		builder.Fragments = append(builder.Fragments, &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder{
			Type: &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_{
				HeaderValueExtractor: &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor{
					Name:             headerShard,
					ElementSeparator: "/",
					ExtractType: &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_Index{
						Index: index,
					},
				},
			},
		})
	}
	return &hcmv3.HttpConnectionManager_ScopedRoutes{ScopedRoutes: &hcmv3.ScopedRoutes{
		Name:            gateway,
		ScopeKeyBuilder: builder,
		RdsConfigSource: fromADS(),
		ConfigSpecifier: &hcmv3.ScopedRoutes_ScopedRds{ScopedRds: &hcmv3.ScopedRds{
			ScopedRdsConfigSource: fromADS(),
		}},
	}}
}

// shardFilters come first of all filters, so that no other sees a route that is not the
// request's. After clearRouteCache Envoy looks for the route when something next asks for
// it, and handle:metadata(), which returns what the route says to scripts, is what asks: these
// call it for that alone. They are two because a script's second call asks nobody.
func shardFilters() ([]*hcmv3.HttpFilter, error) {
	var filters []*hcmv3.HttpFilter
	for _, f := range []struct{ name, script string }{{"durward.shard.host", hostScript}, {"durward.shard.rest", restScript}} {
		filter, err := scriptFilter(f.name, &luav3.Lua{DefaultSourceCode: inline(f.script)})
		if err != nil {
			return nil, err
		}
		filters = append(filters, filter)
	}
	return filters, nil
}

func scriptFilter(name string, config *luav3.Lua) (*hcmv3.HttpFilter, error) {
	typed, err := pack(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return httpFilter(name, typed), nil
}

func inline(script string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: script}}
}
