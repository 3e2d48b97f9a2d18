package envoy

import (
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	bufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	ondemandv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/durward/durward/policy/contract"
)

// everyMessage visits m and all messages in it, also those packed into Anys.
func everyMessage(t *testing.T, m proto.Message, visit func(proto.Message)) {
	t.Helper()
	err := protorange.Range(m.ProtoReflect(), func(p protopath.Values) error {
		if m, ok := p.Index(-1).Value.Interface().(protoreflect.Message); ok {
			visit(m.Interface())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Promise 10: what we write fails closed. The test walks all that is in the resources,
// not only the places where we put it.
func TestResourcesFailClosed(t *testing.T) {
	t.Parallel()
	res := mustTranslate(t, compile(t, small()))
	var checks, routes, managers, tls int
	for name, m := range res.messages() {
		everyMessage(t, m, func(m proto.Message) {
			if v, ok := m.(message); ok {
				if err := v.ValidateAll(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			switch m := m.(type) {
			case *extauthzv3.ExtAuthz:
				checks++
				failsClosed(t, m)
			case *hcmv3.HttpConnectionManager:
				managers++
				checksAll(t, m)
			case *extauthzv3.ExtAuthzPerRoute:
				if m.GetDisabled() || m.GetCheckSettings() == nil || m.GetCheckSettings().GetGrpcService() != nil {
					t.Errorf("%s: per-route check is %v", name, m)
				}
			case *routev3.Route:
				routes++
				ours(t, m)
			case *routev3.RouteConfiguration:
				endsInCatchAll(t, m)
			case *routev3.ScopedRouteConfiguration:
				if m.GetOnDemand() || m.GetRouteConfiguration() != nil {
					t.Errorf("scope %s is on demand or carries its own table", m.GetName())
				}
			case *routev3.RouteAction:
				if m.GetInternalRedirectPolicy() != nil {
					t.Errorf("route action redirects: %v", m)
				}
				upgradesKnowingly(t, m)
				ends(t, m)
			case *routev3.RouteMatch_ConnectMatcher, *ondemandv3.OnDemand, *ondemandv3.PerRouteConfig:
				t.Errorf("%s: forbidden %T", name, m)
			case *tlsv3.UpstreamTlsContext:
				tls++
				verifies(t, m)
			}
		})
	}
	if checks != 1 || managers != 1 || routes != 34 || tls != 3 {
		t.Errorf("saw %d ext_authz filters, %d connection managers, %d routes, %d TLS contexts", checks, managers, routes, tls)
	}
	for _, c := range res.Clusters {
		if https := strings.HasPrefix(c.GetName(), "https://"); https != (c.GetTransportSocket() != nil) {
			t.Errorf("cluster %s: transport socket %v", c.GetName(), c.GetTransportSocket())
		}
	}
}

// upgradesKnowingly holds that a route says of websockets whether they may be opened, and
// then how long they last, and opens nothing else.
func upgradesKnowingly(t *testing.T, m *routev3.RouteAction) {
	t.Helper()
	up := m.GetUpgradeConfigs()
	if len(up) != 1 || up[0].GetUpgradeType() != websocket || up[0].GetEnabled() == nil || up[0].GetConnectConfig() != nil {
		t.Errorf("route action has upgrades: %v", up)
	} else if up[0].GetEnabled().GetValue() && m.GetMaxStreamDuration().GetMaxStreamDuration().AsDuration() <= 0 {
		t.Errorf("websockets last for good: %v", m)
	}
}

func failsClosed(t *testing.T, m *extauthzv3.ExtAuthz) {
	t.Helper()
	if m.GetFailureModeAllow() || m.GetFailureModeAllowHeaderAdd() || m.GetShadowMode() || m.GetClearRouteCache() ||
		m.GetFilterEnabled() != nil || m.GetFilterEnabledMetadata() != nil || m.GetHttpService() != nil {
		t.Errorf("ext_authz can let an unchecked request pass: %v", m)
	}
	if m.GetStatusOnError().GetCode() != 503 || !m.GetValidateMutations() || !m.GetEncodeRawHeaders() {
		t.Errorf("ext_authz: %v", m)
	}
	retry := m.GetGrpcService().GetRetryPolicy()
	if got, want := retry.GetRetryBackOff().GetMaxInterval().AsDuration(), m.GetGrpcService().GetTimeout().AsDuration(); got != want {
		t.Errorf("max_interval, which is the timeout of each try, is %v of a timeout of %v", got, want)
	}
	rules := m.GetDecoderHeaderMutationRules()
	if !rules.GetDisallowAll().GetValue() || !rules.GetDisallowIsError().GetValue() {
		t.Errorf("mutation rules: %v", rules)
	}
	var sent []string
	for _, p := range m.GetAllowedHeaders().GetPatterns() {
		sent = append(sent, p.GetExact())
	}
	if diff := cmp.Diff(contract.CheckedHeaders(), sent); diff != "" {
		t.Errorf("headers sent with a check (-want +got):\n%s", diff)
	}
}

// checksAll holds that the check comes before anything that could answer or forward, but
// for Envoy's CORS filter, which answers preflights alone.
func checksAll(t *testing.T, m *hcmv3.HttpConnectionManager) {
	t.Helper()
	var filters []string
	for _, f := range m.GetHttpFilters() {
		filters = append(filters, f.GetName())
		if f.GetDisabled() || f.GetIsOptional() {
			t.Errorf("filter %s is disabled or optional", f.GetName())
		}
	}
	want := []string{
		"durward.shard.host", "durward.shard.rest", filterUpgrade, filterCORS,
		contract.FilterExtAuthz, filterBuffer, filterSize, filterTrailers, "envoy.filters.http.router",
	}
	if diff := cmp.Diff(want, filters); diff != "" {
		t.Errorf("filters (-want +got):\n%s", diff)
	}
	if up := m.GetUpgradeConfigs(); len(up) != 1 || up[0].GetUpgradeType() != websocket || len(up[0].GetFilters()) > 0 {
		t.Errorf("upgrades: %v", up)
	}
	if m.GetHttp2ProtocolOptions().GetAllowConnect() || m.GetRds() != nil || m.GetRouteConfig() != nil {
		t.Error("CONNECT or routes besides the scoped are on")
	}
	if m.GetLocalReplyConfig() != nil {
		t.Error("a local reply configuration would rewrite our denials")
	}
	if !m.GetNormalizePath().GetValue() || !m.GetMergeSlashes() ||
		m.GetPathWithEscapedSlashesAction() != hcmv3.HttpConnectionManager_REJECT_REQUEST {
		t.Error("paths are not normalised")
	}
}

func ours(t *testing.T, r *routev3.Route) {
	t.Helper()
	for filter := range r.GetTypedPerFilterConfig() {
		backed := slices.Contains([]string{filterCORS, filterBuffer, filterSize}, filter) && r.GetRoute() != nil
		if filter != contract.FilterExtAuthz && !backed {
			t.Errorf("route %s configures %s", r.GetName(), filter)
		}
	}
	told := r.GetMetadata().GetFilterMetadata()[luaMetadata].GetFields()[sayWebsocket].GetBoolValue()
	if up := r.GetRoute().GetUpgradeConfigs(); told != (len(up) > 0 && up[0].GetEnabled().GetValue()) {
		t.Errorf("route %s tells Envoy %v of websockets, and the script %t", r.GetName(), up, told)
	}
	var config extauthzv3.ExtAuthzPerRoute
	if err := r.GetTypedPerFilterConfig()[contract.FilterExtAuthz].UnmarshalTo(&config); err != nil {
		t.Fatalf("route %s: %v", r.GetName(), err)
	}
	want := map[string]string{contract.ContextExtensionAPI: r.GetName()}
	if diff := cmp.Diff(want, config.GetCheckSettings().GetContextExtensions()); diff != "" {
		t.Errorf("route %s: context extensions (-want +got):\n%s", r.GetName(), diff)
	}
	document := strings.HasPrefix(r.GetMatch().GetPath(), "/.well-known/oauth-protected-resource")
	switch isNone := r.GetName() == contract.NoAPI; {
	case isNone && r.GetDirectResponse().GetStatus() == 404:
	case !isNone && r.GetRoute() != nil:
	case !isNone && document && r.GetDirectResponse().GetStatus() == 200:
	default:
		t.Errorf("route %s: %v: action %v", r.GetName(), r.GetMatch(), r.GetAction())
	}
}

func endsInCatchAll(t *testing.T, rc *routev3.RouteConfiguration) {
	t.Helper()
	var buffer bufferv3.BufferPerRoute
	if err := rc.GetTypedPerFilterConfig()[filterBuffer].UnmarshalTo(&buffer); err != nil || !buffer.GetDisabled() {
		t.Errorf("requests are held back without a limit: %v, %v", rc.GetTypedPerFilterConfig(), err)
	}
	if rc.GetVhds() != nil || len(rc.GetTypedPerFilterConfig()) != 1 {
		t.Error("the table loads virtual hosts on demand or overrides filters")
	}
	anyPath := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
	var domains []string
	for _, vh := range rc.GetVirtualHosts() {
		domains = append(domains, vh.GetDomains()...)
		if vh.GetMatcher() != nil || len(vh.GetTypedPerFilterConfig()) > 0 || vh.GetRequireTls() != 0 {
			t.Errorf("virtual host %s decides apart from its routes", vh.GetName())
		}
		last := vh.GetRoutes()[len(vh.GetRoutes())-1]
		if last.GetName() != contract.NoAPI || !proto.Equal(last.GetMatch(), anyPath) {
			t.Errorf("virtual host %s ends in %v", vh.GetName(), last)
		}
	}
	if !slices.Contains(domains, "*") {
		t.Errorf("no virtual host for all other hosts in %q", domains)
	}
}

// ends holds that requests end, calls when their callers say, and that only what may be
// done twice is.
func ends(t *testing.T, m *routev3.RouteAction) {
	t.Helper()
	if m.GetTimeout() == nil || m.GetTimeout().AsDuration() <= 0 && m.GetMaxStreamDuration().GetGrpcTimeoutHeaderMax() == nil {
		t.Error("route action without timeout")
	}
	p := m.GetRetryPolicy()
	if p == nil {
		return
	}
	var methods []string
	for _, h := range p.GetRetriableRequestHeaders() {
		if h.GetName() != ":method" || h.GetInvertMatch() || h.GetStringMatch().GetExact() == "" {
			t.Errorf("retries of requests with %v", h)
		}
		methods = append(methods, h.GetStringMatch().GetExact())
	}
	if diff := cmp.Diff([]string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}, methods); diff != "" {
		t.Errorf("methods that are repeated (-want +got):\n%s", diff)
	}
	if p.GetNumRetries().GetValue() == 0 || p.GetNumRetries().GetValue() > 5 { // Envoy's default is 1
		t.Errorf("%v retries", p.GetNumRetries())
	}
}

func verifies(t *testing.T, m *tlsv3.UpstreamTlsContext) {
	t.Helper()
	v := m.GetCommonTlsContext().GetValidationContext()
	if v.GetTrustedCa().GetFilename() == "" || len(v.GetMatchTypedSubjectAltNames()) == 0 ||
		v.GetTrustChainVerification() != tlsv3.CertificateValidationContext_VERIFY_TRUST_CHAIN || v.GetAllowExpiredCertificate() {
		t.Errorf("a backend's certificate is not verified: %v", v)
	}
	if m.GetCommonTlsContext().GetTlsParams().GetTlsMinimumProtocolVersion() != tlsv3.TlsParameters_TLSv1_2 {
		t.Error("TLS before 1.2 is accepted")
	}
}

// The expression lets answers touch the contract's headers, those of mapped claims, and
// nothing like them.
func TestMutationRules(t *testing.T) {
	t.Parallel()
	whole := wholeMatch(t, mutationRules("x-claim-").GetAllowExpression().GetRegex())
	for _, name := range append(contract.MutableHeaders(), "x-claim-email", "x-claim-7-a") {
		if !whole.MatchString(name) {
			t.Errorf("%s is refused", name)
		}
	}
	for _, name := range []string{
		"", "x-auth-", "x-auth-evil", "xx-auth-subject", "x-auth-subject2", "host", ":path",
		"cookie", "x-forwarded-for", "x-envoy-retry-on", "content-length", "authorization2", "x_auth_subject",
		"x-claim-", "x-claim_email", "x-claim-Email", "x-claim-a b", "xx-claim-email", "x.claim-email", "x-claimemail",
	} {
		if whole.MatchString(name) {
			t.Errorf("%s is allowed", name)
		}
	}
}
