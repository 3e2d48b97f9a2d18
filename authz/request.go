package authz

import (
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/contract"
)

// question is what we use of a CheckRequest.
type question struct {
	policy.Request
	requestID   string
	contentType string
	// unrouted says that the route which the request took in Envoy names no API at all.
	unrouted bool
	// exact says that the path was sent byte by byte, too.
	exact bool
	// others are the names of the headers that are not read, in lower case.
	others []string
}

// parseRequest reads both encodings of headers. The pseudo-headers, where a foreign
// configuration sends them, must agree with the attributes: the attributes are what
// Envoy routes by.
func parseRequest(req *authv3.CheckRequest) question {
	attributes := req.GetAttributes()
	http := attributes.GetRequest().GetHttp()
	api, routed := attributes.GetContextExtensions()[contract.ContextExtensionAPI]
	q := question{unrouted: !routed, Request: policy.Request{
		API:      api,
		Method:   http.GetMethod(),
		Host:     http.GetHost(),
		Path:     http.GetPath(),
		SourceIP: sourceIP(attributes.GetSource()),
	}}
	if http == nil {
		q.Defect = "no HTTP request"
	}
	for name, value := range http.GetHeaders() {
		q.header(strings.ToLower(name), value)
	}
	for _, h := range http.GetHeaderMap().GetHeaders() {
		name := strings.ToLower(h.GetKey())
		q.header(name, headerValue(h))
		q.exact = q.exact || name == ":path" && len(h.GetRawValue()) > 0
	}
	return q
}

// sourceIP is the peer as Envoy has it, an IPv4 address as such; no header of the
// caller's has a say in it.
func sourceIP(peer *authv3.AttributeContext_Peer) string {
	ip, err := netip.ParseAddr(peer.GetAddress().GetSocketAddress().GetAddress())
	if err != nil {
		return "" // a unix socket, or none
	}
	return ip.Unmap().String()
}

func headerValue(h *corev3.HeaderValue) string {
	if raw := h.GetRawValue(); len(raw) > 0 {
		return string(raw)
	}
	return h.GetValue()
}

func (q *question) header(name, value string) {
	switch name {
	case contract.HeaderAuthorization:
		q.Authorization = append(q.Authorization, value)
	case contract.HeaderDPoP:
		q.Proofs = append(q.Proofs, value)
	case "x-request-id":
		q.requestID = value
	case "content-type":
		q.contentType = value
	case ":method":
		q.agree(name, value, q.Method)
	case ":path":
		q.agree(name, value, q.Path)
	case ":authority", "host":
		q.agree(name, value, q.Host)
	default:
		q.others = append(q.others, name)
	}
}

func (q *question) agree(name, header, attribute string) {
	if header != attribute {
		q.Defect = name + " differs from the request's own"
	}
}

// isGRPC reports whether the caller speaks gRPC, to whom Envoy answers in trailers.
// grpc-web is plain HTTP to it.
func (q *question) isGRPC() bool {
	rest, ok := strings.CutPrefix(strings.ToLower(q.contentType), "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}
