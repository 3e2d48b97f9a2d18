package envoy

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/policy/contract"
)

const (
	maxCheckResponseBytes = 256 << 10
	maxDenyBodyBytes      = 4096
	checkRetries          = 1
	// The second try of a check is there for a connection that broke, and need not
	// wait for anything.
	checkRetryPause = 5 * time.Millisecond
)

// extAuthz is the filter that asks us about every request.
func extAuthz(timeout time.Duration, claimPrefix string) (*hcmv3.HttpFilter, error) {
	typed, err := pack(&extauthzv3.ExtAuthz{
		TransportApiVersion: corev3.ApiVersion_V3,
		Services:            &extauthzv3.ExtAuthz_GrpcService{GrpcService: checkService(timeout)},
		FailureModeAllow:    false,
		// An outage must not look like a refusal, which is Envoy's default.
		StatusOnError:               &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		ValidateMutations:           true,
		DecoderHeaderMutationRules:  mutationRules(claimPrefix),
		EncodeRawHeaders:            true,
		IncludeTlsSession:           true,
		AllowedHeaders:              checkedHeaders(),
		MaxDeniedResponseBodyBytes:  maxDenyBodyBytes,
		EnforceResponseHeaderLimits: true,
		ChargeClusterResponseStats:  wrapperspb.Bool(false),
		EmitFilterStateStats:        true,
	})
	if err != nil {
		return nil, fmt.Errorf("ext_authz: %w", err)
	}
	return httpFilter(contract.FilterExtAuthz, typed), nil
}

func checkService(timeout time.Duration) *corev3.GrpcService {
	return &corev3.GrpcService{
		TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
			ClusterName:             checkCluster,
			MaxReceiveMessageLength: wrapperspb.UInt32(maxCheckResponseBytes),
		}},
		Timeout: durationpb.New(timeout),
		RetryPolicy: &corev3.RetryPolicy{
			NumRetries: wrapperspb.UInt32(checkRetries),
			RetryOn:    "connect-failure,refused-stream,reset,unavailable",
			RetryBackOff: &corev3.BackoffStrategy{
				BaseInterval: durationpb.New(min(checkRetryPause, timeout)),
				// Envoy takes this for the timeout of each try, too; its default of
				// ten base intervals would end every check that asks Okta.
				MaxInterval: durationpb.New(timeout),
			},
		},
	}
}

func checkedHeaders() *matcherv3.ListStringMatcher {
	var list matcherv3.ListStringMatcher
	for _, name := range contract.CheckedHeaders() {
		list.Patterns = append(list.Patterns, exactly(name))
	}
	return &list
}

// mutationRules lets answers touch the headers of the contract, those of mapped claims and
// no other: one that tries makes the request fail.
func mutationRules(claimPrefix string) *mutationv3.HeaderMutationRules {
	names := contract.MutableHeaders()
	for i, name := range names {
		names[i] = regexp.QuoteMeta(name)
	}
	names = append(names, regexp.QuoteMeta(claimPrefix)+"[a-z0-9-]+")
	return &mutationv3.HeaderMutationRules{
		DisallowAll:     wrapperspb.Bool(true),
		DisallowIsError: wrapperspb.Bool(true),
		// Envoy matches the expression against the whole name, and before disallow_all.
		// It is too long for an Envoy whose bootstrap is not ours: see regexLimit.
		AllowExpression: &matcherv3.RegexMatcher{Regex: strings.Join(names, "|")},
	}
}

// checkedAs is the per-route configuration that tells us which API is asked for.
func checkedAs(api string) (map[string]*anypb.Any, error) {
	typed, err := pack(&extauthzv3.ExtAuthzPerRoute{Override: &extauthzv3.ExtAuthzPerRoute_CheckSettings{
		CheckSettings: &extauthzv3.CheckSettings{
			ContextExtensions: map[string]string{contract.ContextExtensionAPI: api},
		},
	}})
	if err != nil {
		return nil, fmt.Errorf("ext_authz: %w", err)
	}
	return map[string]*anypb.Any{contract.FilterExtAuthz: typed}, nil
}

func exactly(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}
}

func matching(regex string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: regex}}}
}

func beginning(s string, ignoreCase bool) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: s}, IgnoreCase: ignoreCase}
}
