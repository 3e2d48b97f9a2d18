package authz

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/contract"
)

// defaultRetry is the Retry-After of an outage of unknown length.
const defaultRetry = 2 * time.Second

// realm names us in challenges (RFC 9110 section 11.5).
const realm = "durward"

// respond is the only place where a CheckResponse is made. The status is always set:
// Envoy lets a response without one pass.
func respond(d policy.Decision, q question, id string) *authv3.CheckResponse {
	if d.Allowed() {
		return &authv3.CheckResponse{
			Status:          &statuspb.Status{Code: int32(codes.OK)},
			HttpResponse:    &authv3.CheckResponse_OkResponse{OkResponse: allowed(d, id)},
			DynamicMetadata: metadata(d, id),
		}
	}
	return &authv3.CheckResponse{
		Status:          &statuspb.Status{Code: int32(codes.PermissionDenied), Message: string(d.Reason)},
		HttpResponse:    &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied(d, q, id)},
		DynamicMetadata: metadata(d, id),
	}
}

// removable are the headers that an allow removes unless it sets them.
var removable = contract.MutableHeaders()

// allowed overwrites or removes every header we own, so that no copy of the caller's
// survives. Envoy removes after it sets: no name may be in both lists.
func allowed(d policy.Decision, id string) *authv3.OkHttpResponse {
	ok := &authv3.OkHttpResponse{
		Headers:              make([]*corev3.HeaderValueOption, 0, len(d.Identity)+1),
		HeadersToRemove:      make([]string, 0, len(removable)),
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{overwrite(contract.HeaderDecisionID, id)},
	}
	for _, h := range d.Identity {
		ok.Headers = append(ok.Headers, overwrite(h.Name, h.Value))
	}
	ok.Headers = append(ok.Headers, overwrite(contract.HeaderDecisionID, id))
	for _, name := range removable {
		if !slices.ContainsFunc(ok.Headers, func(h *corev3.HeaderValueOption) bool { return h.Header.Key == name }) {
			ok.HeadersToRemove = append(ok.HeadersToRemove, name)
		}
	}
	return ok
}

// replaced is append=false of every header of every allow; answers are only read.
var replaced = wrapperspb.Bool(false)

// overwrite replaces every copy on all Envoys: releases up to 1.40 read append alone,
// later ones append_action. raw_value is ignored by Envoy.
func overwrite(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		Append:       replaced, //nolint:staticcheck // deprecated, and all that Envoy up to 1.40 reads
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
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
		out.Headers = append(out.Headers, header("www-authenticate", challenge(told, d.Scopes)))
	}
	if told.Retry {
		out.Headers = append(out.Headers, header("retry-after", retryAfter(d.RetryAfter)))
	}
	if status == 405 {
		out.Headers = append(out.Headers, header("allow", strings.Join(d.Methods, ", ")))
	}
	if q.isGRPC() {
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

// challenge follows RFC 6750 section 3.
func challenge(told contract.Denial, scopes []string) string {
	var b strings.Builder
	b.WriteString(told.Scheme + ` realm="` + realm + `"`)
	if told.ChallengeError != "" {
		b.WriteString(`, error="` + told.ChallengeError + `", error_description="` + told.Title + `"`)
	}
	if told.ChallengeError == "insufficient_scope" && len(scopes) > 0 {
		b.WriteString(`, scope="` + strings.Join(scopes, " ") + `"`)
	}
	return b.String()
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
	if d.API != nil {
		fields["api"] = structpb.NewStringValue(d.API.Name)
	}
	if d.Application != nil {
		fields["application"] = structpb.NewStringValue(d.Application.Name)
	}
	return &structpb.Struct{Fields: fields}
}
