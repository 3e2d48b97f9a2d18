package envoy

import (
	"fmt"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	bufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/policy/catalog"

	_ "embed"
)

const (
	filterUpgrade  = "durward.upgrade"
	filterBuffer   = "envoy.filters.http.buffer"
	filterSize     = "durward.size"
	filterTrailers = "durward.trailers"

	// The one upgrade that there is.
	websocket = "websocket"
	// sizeScriptName is that of the script which routes with a limit name.
	sizeScriptName = "size"
	// luaMetadata is where scripts read what a route says, under the names that follow.
	luaMetadata    = "envoy.filters.http.lua"
	sayWebsocket   = "websocket"
	sayMaxRequest  = "max_request_bytes"
	maxBufferBytes = 64 << 20
	// minBufferBytes is four times what Envoy reads while it waits for the check. Where
	// more than half of a smaller buffer is filled by then, Envoy stops reading for good,
	// and the request hangs (1.40).
	minBufferBytes = 256 << 10
)

// Scripts about what is more than one message and its answer.
var (
	//go:embed upgrade.lua
	upgradeScript string
	//go:embed size.lua
	sizeScript string
)

// upgrades lets Envoy believe that websockets are allowed: it decides before a route is
// found that was not found at once. Each route that is says whether they are, and the
// script holds all to it.
func upgrades() []*hcmv3.HttpConnectionManager_UpgradeConfig {
	return []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: websocket, Enabled: wrapperspb.Bool(true)}}
}

// upgradeFilter comes once the route is found, and before anybody answers.
func upgradeFilter() (*hcmv3.HttpFilter, error) {
	return scriptFilter(filterUpgrade, &luav3.Lua{DefaultSourceCode: inline(upgradeScript)})
}

// allowStreams says on an API's routes whether websockets may be opened and how long they
// last, and how large requests may be.
func allowStreams(api *catalog.API, routes []*routev3.Route) error {
	say := make(map[string]*structpb.Value)
	if api.Websocket > 0 {
		say[sayWebsocket] = structpb.NewBoolValue(true)
	}
	if api.MaxRequestBytes > 0 {
		say[sayMaxRequest] = structpb.NewNumberValue(float64(api.MaxRequestBytes))
	}
	for _, r := range routes {
		action := r.GetRoute()
		action.UpgradeConfigs = []*routev3.RouteAction_UpgradeConfig{{
			UpgradeType: websocket, Enabled: wrapperspb.Bool(api.Websocket > 0),
		}}
		if api.Websocket > 0 {
			action.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(api.Websocket)}
		}
		if len(say) > 0 {
			r.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{luaMetadata: {Fields: say}}}
		}
	}
	if api.MaxRequestBytes <= 0 {
		return nil
	}
	return limit(api, routes)
}

// limit makes Envoy hold a request until it is complete, and refuse it if it is too large.
func limit(api *catalog.API, routes []*routev3.Route) error {
	buffer, err := pack(&bufferv3.BufferPerRoute{Override: &bufferv3.BufferPerRoute_Buffer{
		Buffer: &bufferv3.Buffer{MaxRequestBytes: wrapperspb.UInt32(uint32(max(api.MaxRequestBytes, minBufferBytes)))},
	}})
	if err != nil {
		return fmt.Errorf("buffer: %w", err)
	}
	size, err := pack(&luav3.LuaPerRoute{Override: &luav3.LuaPerRoute_Name{Name: sizeScriptName}})
	if err != nil {
		return fmt.Errorf("size: %w", err)
	}
	for _, r := range routes {
		r.TypedPerFilterConfig[filterBuffer] = buffer
		r.TypedPerFilterConfig[filterSize] = size
	}
	return nil
}

// sizeFilters are in every listener, so that none changes when an API gets a limit. Every
// table turns the buffer off, and routes turn it on: it is not off in the listener, because
// such a filter is left out where a route is not found at once. The script runs on routes
// that name it.
func sizeFilters() ([]*hcmv3.HttpFilter, error) {
	typed, err := pack(&bufferv3.Buffer{MaxRequestBytes: wrapperspb.UInt32(maxBufferBytes)})
	if err != nil {
		return nil, fmt.Errorf("buffer: %w", err)
	}
	size, err := scriptFilter(filterSize, &luav3.Lua{SourceCodes: map[string]*corev3.DataSource{sizeScriptName: inline(sizeScript)}})
	if err != nil {
		return nil, err
	}
	return []*hcmv3.HttpFilter{httpFilter(filterBuffer, typed), size}, nil
}

// trailerFilter removes all trailers of requests, as Envoy does over HTTP/1.1: they come
// after the check, and could say what only we may.
func trailerFilter() (*hcmv3.HttpFilter, error) {
	typed, err := pack(&headermutationv3.HeaderMutation{Mutations: &headermutationv3.Mutations{
		RequestTrailersMutations: []*mutationv3.HeaderMutation{{
			Action: &mutationv3.HeaderMutation_RemoveOnMatch_{RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{
				KeyMatcher: matching(".*"),
			}},
		}},
	}})
	if err != nil {
		return nil, fmt.Errorf("trailers: %w", err)
	}
	return httpFilter(filterTrailers, typed), nil
}

// unbuffered is what a route table says of the filters, for routes that say nothing.
func unbuffered() (map[string]*anypb.Any, error) {
	typed, err := pack(&bufferv3.BufferPerRoute{Override: &bufferv3.BufferPerRoute_Disabled{Disabled: true}})
	if err != nil {
		return nil, fmt.Errorf("buffer: %w", err)
	}
	return map[string]*anypb.Any{filterBuffer: typed}, nil
}
