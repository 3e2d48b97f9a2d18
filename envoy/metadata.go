package envoy

import (
	"encoding/json"
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// maxDocumentBytes bounds what a route answers itself. Envoy's own bound is 4 KiB.
const maxDocumentBytes = 64 << 10

// metadata is a protected resource's (RFC 9728 section 2). Lists without elements are
// left out, as section 3.2 wants.
type metadata struct {
	Resource             string   `json:"resource"`
	ResourceName         string   `json:"resource_name"`
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	ProofAlgorithms      []string `json:"dpop_signing_alg_values_supported"`
}

// describe says of an API what its callers have to know: what it is, who issues tokens
// for it, for which scopes, and how they are presented.
func describe(api *catalog.API) metadata {
	m := metadata{
		Resource:        api.ResourceURL(),
		ResourceName:    api.Name,
		BearerMethods:   []string{"header"},
		ProofAlgorithms: contract.ProofAlgorithms(),
	}
	policies := []*catalog.TokenPolicy{api.Policy}
	for _, op := range api.Operations {
		policies = append(policies, op.Policy)
		m.Scopes = append(m.Scopes, op.AllScopes...)
		m.Scopes = append(m.Scopes, op.AnyScopes...)
	}
	for _, p := range policies {
		if p == nil {
			continue
		}
		for _, issuer := range p.Server.Issuers {
			if !slices.Contains(m.AuthorizationServers, issuer) {
				m.AuthorizationServers = append(m.AuthorizationServers, issuer)
			}
		}
	}
	slices.Sort(m.Scopes)
	m.Scopes = slices.Compact(m.Scopes)
	return m
}

// metadataRoutes answer for the API's metadata path, after a check. Envoy's CORS filter
// passes over routes without a backend, so that there is one for each origin that may
// read the document, which takes no preflight, and one for everybody else.
func metadataRoutes(api *catalog.API) ([]*routev3.Route, error) {
	if api.MetadataPath() == "" {
		return nil, nil
	}
	document, err := json.Marshal(describe(api))
	if err != nil {
		return nil, fmt.Errorf("resource metadata: %w", err)
	}
	if len(document) > maxDocumentBytes {
		return nil, fmt.Errorf("resource metadata: %d bytes are more than %d", len(document), maxDocumentBytes)
	}
	config, err := checkedAs(api.Name)
	if err != nil {
		return nil, err
	}
	last := &routev3.Route{
		Name:  api.Name,
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: api.MetadataPath()}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
			Status: 200,
			Body:   &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: string(document)}},
		}},
		TypedPerFilterConfig: config,
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{
			header("content-type", "application/json", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD),
		},
	}
	if api.CORS == nil {
		return []*routev3.Route{last}, last.ValidateAll()
	}
	last.ResponseHeadersToAdd = append(last.ResponseHeadersToAdd, variesByOrigin())
	routes, err := readable(last, api.CORS)
	return append(routes, last), err
}

// readable are copies of a route for the origins that may read what it answers.
func readable(r *routev3.Route, cors *catalog.CORS) ([]*routev3.Route, error) {
	origins, err := originMatchers(cors)
	if err != nil {
		return nil, err
	}
	routes := make([]*routev3.Route, 0, len(origins)+1)
	for _, origin := range origins {
		c := proto.CloneOf(r)
		c.Match.Headers = []*routev3.HeaderMatcher{{
			Name:                 "origin",
			HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: origin},
		}}
		c.ResponseHeadersToAdd = append(c.ResponseHeadersToAdd,
			header(headerAllowOrigin, "%REQ(origin)%", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
		if cors.Credentials {
			c.ResponseHeadersToAdd = append(c.ResponseHeadersToAdd,
				header(headerAllowCredentials, "true", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
		}
		if err := c.ValidateAll(); err != nil {
			return nil, fmt.Errorf("resource metadata: %w", err)
		}
		routes = append(routes, c)
	}
	return routes, nil
}
