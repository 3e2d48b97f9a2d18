package authz

import (
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
)

// Respond answers req with a decision of the test's under cat.
func Respond(d policy.Decision, req *authv3.CheckRequest, cat *catalog.Catalogue) *authv3.CheckResponse {
	return respond(d, parseRequest(req), newDecisionID(), ownedHeaders(cat))
}
