package envoy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/policy/catalog"
)

const (
	filterCORS = "envoy.filters.http.cors"

	headerAllowOrigin      = "access-control-allow-origin"
	headerAllowCredentials = "access-control-allow-credentials"
)

// corsFilter is in every listener and does nothing on routes without a policy, so that
// no listener changes when an API gets one.
func corsFilter() (*hcmv3.HttpFilter, error) {
	typed, err := pack(new(corsv3.Cors))
	if err != nil {
		return nil, fmt.Errorf("cors: %w", err)
	}
	return httpFilter(filterCORS, typed), nil
}

// allowPages lets pages of the API's origins call through its routes, and read answers,
// denials among them. Envoy answers their preflights; those of other origins are checked
// like any request.
func allowPages(api *catalog.API, routes []*routev3.Route) error {
	if api.CORS == nil {
		return nil
	}
	origins, err := originMatchers(api.CORS)
	if err != nil {
		return err
	}
	typed, err := pack(&corsv3.CorsPolicy{
		AllowOriginStringMatch:       origins,
		AllowMethods:                 strings.Join(methods(api), ","),
		AllowHeaders:                 strings.Join(api.CORS.AllowHeaders, ","),
		ExposeHeaders:                strings.Join(api.CORS.ExposeHeaders, ","),
		MaxAge:                       strconv.FormatInt(int64(api.CORS.MaxAge/time.Second), 10),
		AllowCredentials:             wrapperspb.Bool(api.CORS.Credentials),
		ForwardNotMatchingPreflights: wrapperspb.Bool(true), // else Envoy answers them with 200
	})
	if err != nil {
		return fmt.Errorf("cors: %w", err)
	}
	for _, r := range routes {
		r.TypedPerFilterConfig[filterCORS] = typed
		// Who may read is not for the backend to say. These go before the filter adds
		// its own.
		r.ResponseHeadersToRemove = []string{
			headerAllowOrigin, headerAllowCredentials, "access-control-allow-headers",
			"access-control-allow-methods", "access-control-expose-headers", "access-control-max-age",
		}
		r.ResponseHeadersToAdd = []*corev3.HeaderValueOption{variesByOrigin()}
	}
	return nil
}

// variesByOrigin keeps caches from giving one origin what was made for another (Fetch,
// "CORS protocol and HTTP caches"), which Envoy's filter leaves out.
func variesByOrigin() *corev3.HeaderValueOption {
	return header("vary", "origin", corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD)
}

func header(name, value string, action corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}, AppendAction: action}
}

// methods lists those of all operations, sorted: a preflight is about a path, but a
// policy about a whole API.
func methods(api *catalog.API) []string {
	var all []string
	for _, op := range api.Operations {
		all = append(all, op.Methods...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func originMatchers(cors *catalog.CORS) ([]*matcherv3.StringMatcher, error) {
	list := make([]*matcherv3.StringMatcher, 0, len(cors.Origins))
	for _, origin := range cors.Origins {
		m, err := originMatcher(origin)
		if err != nil {
			return nil, fmt.Errorf("cors: %w", err)
		}
		list = append(list, m)
	}
	return list, nil
}

// originMatcher matches one origin, or those of all hosts below a domain. Envoy compares
// with regard to case, and of several Origin headers the values joined by a comma, which
// no host has.
func originMatcher(origin string) (*matcherv3.StringMatcher, error) {
	scheme, host, ok := strings.Cut(origin, "://")
	domain, wildcard := strings.CutPrefix(host, "*.")
	// A matcher that takes "*" would let every origin in: Envoy tries that first.
	if !ok || scheme == "" || domain == "" || strings.Contains(domain, "*") {
		return nil, fmt.Errorf("%q is not an origin", origin)
	}
	if !wildcard {
		return exactly(origin), nil
	}
	// It must match the whole origin.
	return matching(regexp.QuoteMeta(scheme) + `://([a-z0-9_-]+\.)+` + regexp.QuoteMeta(domain)), nil
}
