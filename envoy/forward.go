package envoy

import (
	"errors"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/policy/catalog"
)

// tryAgainOn are the answers after which a request may be sent once more: none at all,
// and those by which proxies and overloaded servers say that the application was not
// reached. 500 is the application's own.
const tryAgainOn = "connect-failure,refused-stream,reset,gateway-error"

// repeatable are the methods that do the same when they are done twice (RFC 9110,
// section 9.2.2).
var repeatable = []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}

// checkBackends refuses what Envoy would take for something else.
func checkBackends(backends []catalog.Backend) error {
	if len(backends) == 0 {
		return errors.New("there is no backend")
	}
	for _, b := range backends {
		switch {
		case b.Timeout < 0 || b.Timeout == 0 && b.Protocol != catalog.GRPC: // zero is none
			return errors.New("backend.timeout is not positive")
		case b.IdleTimeout < 0 || b.Retries < 0:
			return errors.New("backend.idle_timeout or backend.retries is negative")
		case b.Weight < 1 && len(backends) > 1: // which would get nothing, or nearly all
			return errors.New("backends: a weight is not positive")
		}
	}
	return nil
}

// forward sends a request to a backend under the backend's own host, which is what its
// virtual hosts and certificate are made for; x-forwarded-host tells the caller's. What
// a route has once, the backends have in common.
func forward(api *catalog.API, rewrite string) *routev3.Route_Route {
	b := api.Backends[0]
	action := &routev3.RouteAction{
		PrefixRewrite: rewrite,
		Timeout:       durationpb.New(b.Timeout),
		RetryPolicy:   tryAgain(b.Retries),
	}
	switch {
	case b.IdleTimeout > 0:
		action.IdleTimeout = durationpb.New(b.IdleTimeout)
	case b.Timeout > streamIdle:
		action.IdleTimeout = durationpb.New(b.Timeout)
	}
	if b.Protocol == catalog.GRPC {
		callersTimeout(action, b.Timeout)
	}
	lead(action, api.Backends)
	return &routev3.Route_Route{Route: action}
}

// lead names the clusters. Of a lone backend it is done without weights, which cost Envoy
// a draw for each request.
func lead(action *routev3.RouteAction, backends []catalog.Backend) {
	if len(backends) == 1 {
		action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: clusterName(backends[0])}
		action.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: backends[0].URL.Host}
		action.AppendXForwardedHost = true
		return
	}
	shared := new(routev3.WeightedCluster)
	for _, b := range backends {
		shared.Clusters = append(shared.Clusters, &routev3.WeightedCluster_ClusterWeight{
			Name:                 clusterName(b),
			Weight:               wrapperspb.UInt32(uint32(b.Weight)),
			HostRewriteSpecifier: &routev3.WeightedCluster_ClusterWeight_HostRewriteLiteral{HostRewriteLiteral: b.URL.Host},
			// AppendXForwardedHost does nothing here; this is read before the host changes.
			RequestHeadersToAdd: []*corev3.HeaderValueOption{
				header("x-forwarded-host", "%REQ(:AUTHORITY)%", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD),
			},
		})
	}
	action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: shared}
}

// destinations lists the clusters that a route leads to.
func destinations(r *routev3.Route) []string {
	action := r.GetRoute()
	if action == nil {
		return nil
	}
	shared := action.GetWeightedClusters().GetClusters()
	if len(shared) == 0 {
		return []string{action.GetCluster()}
	}
	names := make([]string, len(shared))
	for i, c := range shared {
		names[i] = c.GetName()
	}
	return names
}

// callersTimeout ends a call when its grpc-timeout header says, or when the API's timeout
// does if that is sooner: with DEADLINE_EXCEEDED, where the route's own timeout would be
// UNAVAILABLE. A call without either ends when it ends. Envoy tells the backend the same
// deadline; one that hangs up at that moment, as some libraries do, may be first, and the
// caller hears UNAVAILABLE.
func callersTimeout(action *routev3.RouteAction, limit time.Duration) {
	action.Timeout = durationpb.New(0)
	action.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{GrpcTimeoutHeaderMax: durationpb.New(limit)} // 0 is no limit
	if limit > 0 {
		action.MaxStreamDuration.MaxStreamDuration = durationpb.New(limit)
	}
}

// tryAgain repeats what may be done twice, of any other method nothing, whatever became
// of it: whether a POST was done before its connection broke only the backend knows. The
// pauses are Envoy's, 25 ms at first. Tries after the first are not checked again.
func tryAgain(times int) *routev3.RetryPolicy {
	if times == 0 {
		return nil
	}
	p := &routev3.RetryPolicy{RetryOn: tryAgainOn, NumRetries: wrapperspb.UInt32(uint32(times))}
	for _, method := range repeatable {
		p.RetriableRequestHeaders = append(p.RetriableRequestHeaders, &routev3.HeaderMatcher{
			Name:                 ":method",
			HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: exactly(method)},
		})
	}
	return p
}
