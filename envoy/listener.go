package envoy

import (
	"fmt"
	"slices"
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// Limits of what one caller can occupy, from Envoy's guide for edge proxies.
const (
	bufferBytes           = 32 << 10
	maxHeaders            = 120
	maxConcurrentStreams  = 100
	streamWindowBytes     = 64 << 10
	connectionWindowBytes = 1 << 20

	connectionIdle = 15 * time.Minute
	streamIdle     = 5 * time.Minute
	headersWithin  = 10 * time.Second
	requestWithin  = 5 * time.Minute

	handshakeWithin = 10 * time.Second
)

// listener is where a gateway meets its callers. It is named after the gateway.
// Whatever changes in it makes Envoy drain its connections, so that nothing of an API
// belongs here; of mapped claims there is the prefix alone, which all their headers share.
func listener(gw *catalog.Gateway, checkTimeout time.Duration, claimPrefix string) (*listenerv3.Listener, error) {
	address, err := listenAddress(gw.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	manager, err := connectionManager(gw, checkTimeout, claimPrefix)
	if err != nil {
		return nil, fmt.Errorf("http connection manager: %w", err)
	}
	tls, err := doorTLS(gw)
	if err != nil {
		return nil, err
	}
	return &listenerv3.Listener{
		Name:                          gw.Name,
		Address:                       address,
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(bufferBytes),
		FilterChains: []*listenerv3.FilterChain{{
			Filters: []*listenerv3.Filter{{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
			}},
			TransportSocket:               tls,
			TransportSocketConnectTimeout: durationpb.New(handshakeWithin),
		}},
	}, nil
}

func connectionManager(gw *catalog.Gateway, checkTimeout time.Duration, claimPrefix string) (*anypb.Any, error) {
	filters, err := httpFilters(checkTimeout, claimPrefix)
	if err != nil {
		return nil, err
	}
	door, err := doorMutations(claimPrefix, gw.TrustedHops)
	if err != nil {
		return nil, err
	}
	return pack(&hcmv3.HttpConnectionManager{
		StatPrefix:     gw.Name,
		RouteSpecifier: scopedRoutes(gw.Name),
		HttpFilters:    filters,
		UpgradeConfigs: upgrades(),

		// The path that is judged is the path that the backend gets.
		NormalizePath:                wrapperspb.Bool(true),
		MergeSlashes:                 true,
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_REJECT_REQUEST,
		// Hosts are compared without port and trailing dot.
		StripTrailingHostDot: true,
		StripPortMode:        &hcmv3.HttpConnectionManager_StripAnyHostPort{StripAnyHostPort: true},

		// The caller is the connection's peer, whatever the request claims, or whom trusted
		// proxies have named.
		UseRemoteAddress:              wrapperspb.Bool(true),
		XffNumTrustedHops:             uint32(gw.TrustedHops),
		ForwardClientCertDetails:      hcmv3.HttpConnectionManager_SANITIZE,
		EarlyHeaderMutationExtensions: door,

		StreamIdleTimeout:     durationpb.New(streamIdle),
		RequestHeadersTimeout: durationpb.New(headersWithin),
		RequestTimeout:        durationpb.New(requestWithin),
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:     durationpb.New(connectionIdle),
			MaxHeadersCount: wrapperspb.UInt32(maxHeaders),
			// x_auth_subject reads as x-auth-subject in CGI-like backends.
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
		},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
			MaxConcurrentStreams:        wrapperspb.UInt32(maxConcurrentStreams),
			InitialStreamWindowSize:     wrapperspb.UInt32(streamWindowBytes),
			InitialConnectionWindowSize: wrapperspb.UInt32(connectionWindowBytes),
		},
	})
}

// httpFilters is the chain, in which nothing behind the check chooses another route:
//   - shard.host and shard.rest find the route that was not found at once, so that no other
//     filter sees a request without;
//   - upgrade refuses what leaves HTTP, before anybody answers;
//   - cors answers preflights, which no credential comes with, and lets pages read answers,
//     denials too;
//   - the check;
//   - buffer and size hold back the requests of APIs with a limit, once they are allowed;
//   - trailers removes what nobody has looked at;
//   - the router.
func httpFilters(checkTimeout time.Duration, claimPrefix string) ([]*hcmv3.HttpFilter, error) {
	filters, err := shardFilters()
	if err != nil {
		return nil, err
	}
	upgrade, err := upgradeFilter()
	if err != nil {
		return nil, err
	}
	cors, err := corsFilter()
	if err != nil {
		return nil, err
	}
	check, err := extAuthz(checkTimeout, claimPrefix)
	if err != nil {
		return nil, err
	}
	size, err := sizeFilters()
	if err != nil {
		return nil, err
	}
	trailers, err := trailerFilter()
	if err != nil {
		return nil, err
	}
	router, err := pack(&routerv3.Router{SuppressEnvoyHeaders: true})
	if err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	filters = append(append(filters, upgrade, cors, check), size...)
	return append(filters, trailers, httpFilter("envoy.filters.http.router", router)), nil
}

// untrustedForwarded matches the names that begin with forwardedPrefix, but x-forwarded-for
// and x-forwarded-proto. RE2 has no other way to leave words out.
const (
	forwardedPrefix    = "x-forwarded-"
	untrustedForwarded = `x-forwarded-(([^fp]|f[^o]|fo[^r]|for.|p[^r]|pr[^o]|pro[^t]|prot[^o]|proto.).*|f|fo|p|pr|pro|prot)?`
)

// doorMutations removes what a caller may not say before anything reads it, also on
// routes that end without a check, and notes by what the route table is found. Behind
// trusted proxies it leaves what they add to, and no other header that begins as those.
func doorMutations(claimPrefix string, trustedHops int) ([]*corev3.TypedExtensionConfig, error) {
	var config headermutationv3.HeaderMutation
	for _, prefix := range slices.Concat(contract.DoorPrefixes(), []string{claimPrefix}) {
		names := beginning(prefix, true)
		if trustedHops > 0 && prefix == forwardedPrefix {
			names = matching(untrustedForwarded)
		}
		config.Mutations = append(config.Mutations, &mutationv3.HeaderMutation{
			Action: &mutationv3.HeaderMutation_RemoveOnMatch_{RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{
				KeyMatcher: names,
			}},
		})
	}
	for _, name := range slices.Concat(contract.RewriteHeaders(), []string{contract.HeaderDecisionID}) {
		config.Mutations = append(config.Mutations, &mutationv3.HeaderMutation{
			Action: &mutationv3.HeaderMutation_Remove{Remove: name},
		})
	}
	config.Mutations = append(config.Mutations, &mutationv3.HeaderMutation{
		Action: &mutationv3.HeaderMutation_Append{
			Append: header(headerShard, shardFormat, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD),
		},
	})
	typed, err := pack(&config)
	if err != nil {
		return nil, fmt.Errorf("early header mutation: %w", err)
	}
	return []*corev3.TypedExtensionConfig{{
		Name:        "envoy.http.early_header_mutation.header_mutation",
		TypedConfig: typed,
	}}, nil
}

func httpFilter(name string, typed *anypb.Any) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: typed}}
}

func fromADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}
