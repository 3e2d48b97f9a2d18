package authz

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/contract"
)

// defaultRetry is the Retry-After of an outage of unknown length.
const defaultRetry = 2 * time.Second

// respond is the only place where a CheckResponse is made. The status is always set:
// Envoy lets a response without one pass. owned are the catalogue's ownedHeaders.
func respond(d policy.Decision, q question, id string, owned []string) *authv3.CheckResponse {
	if d.Allowed() || d.Shadowed() {
		return &authv3.CheckResponse{
			Status:          &statuspb.Status{Code: int32(codes.OK)},
			HttpResponse:    &authv3.CheckResponse_OkResponse{OkResponse: passed(d, id, owned)},
			DynamicMetadata: metadata(d, id),
		}
	}
	return &authv3.CheckResponse{
		Status:          &statuspb.Status{Code: int32(codes.PermissionDenied), Message: string(d.Reason)},
		HttpResponse:    &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied(d, q, id)},
		DynamicMetadata: metadata(d, id),
	}
}

// header is for denials, where a set append would drop the header on some Envoys.
func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}}
}

// denied tells the caller what the reason alone allows to tell.
func denied(d policy.Decision, q question, id string) *authv3.DeniedHttpResponse {
	told := d.Reason.Denial()
	status := d.Status()
	out := &authv3.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: typev3.StatusCode(status)},
		Headers: []*corev3.HeaderValueOption{
			header(contract.HeaderDecisionID, id),
			header("cache-control", "no-store"),
		},
	}
	if told.Scheme != "" {
		out.Headers = append(out.Headers, header("www-authenticate", challenge(told, d)))
	}
	if told.Retry {
		out.Headers = append(out.Headers, header("retry-after", retryAfter(d.RetryAfter)))
	}
	if status == 405 {
		out.Headers = append(out.Headers, header("allow", strings.Join(d.Methods, ", ")))
	}
	if q.isGRPC() {
		// The name of a reason is its own percent-encoding, which grpc-message needs.
		out.Headers = append(out.Headers,
			header("grpc-status", strconv.FormatUint(uint64(told.GRPC), 10)),
			header("grpc-message", string(told.Told)))
		return out
	}
	out.Headers = append(out.Headers, header("content-type", "application/problem+json"))
	if q.Method != "HEAD" {
		out.Body = problem(told, status, id)
	}
	return out
}

func retryAfter(wait time.Duration) string {
	if wait <= 0 {
		wait = defaultRetry
	}
	return strconv.Itoa(int(math.Ceil(wait.Seconds())))
}

// problemType begins the type of every problem; what follows is a reason.
const problemType = "urn:durward:reason:"

// problem is the body of a denial (RFC 9457).
func problem(told contract.Denial, status int, id string) string {
	body, err := json.Marshal(struct {
		Type       string          `json:"type"`
		Title      string          `json:"title"`
		Status     int             `json:"status"`
		Reason     contract.Reason `json:"reason"`
		DecisionID string          `json:"decision_id"`
	}{problemType + string(told.Told), told.Title, status, told.Told, id})
	if err != nil {
		return ""
	}
	return string(body)
}

// metadata is for Envoy's access log: no claims, no token.
func metadata(d policy.Decision, id string) *structpb.Struct {
	fields := map[string]*structpb.Value{"decision_id": structpb.NewStringValue(id)}
	if d.Reason != "" {
		fields["reason"] = structpb.NewStringValue(string(d.Reason))
	}
	if d.Shadowed() {
		fields["shadow"] = structpb.NewBoolValue(true)
	}
	if d.API != nil {
		fields["api"] = structpb.NewStringValue(d.API.Name)
	}
	if d.Application != nil {
		fields["application"] = structpb.NewStringValue(d.Application.Name)
	}
	return &structpb.Struct{Fields: fields}
}
