package authz_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"

	"github.com/durward/durward/policy/contract"
)

var headerName = regexp.MustCompile(`^[a-z0-9-]+$`)

// mustBeWellFormed holds what is true of every answer, and returns whether it allows.
func mustBeWellFormed(t testing.TB, res *authv3.CheckResponse) bool {
	t.Helper()
	if res == nil || res.Status == nil {
		t.Fatalf("an answer without status allows: %v", res)
	}
	if err := res.ValidateAll(); err != nil {
		t.Error(err)
	}
	if res.GetErrorResponse() != nil {
		t.Error("an error_response obeys failure_mode_allow")
	}
	if res.Status.Code == int32(codes.OK) {
		mustBeAllow(t, res.GetOkResponse())
		return true
	}
	mustBeDeny(t, res.GetDeniedResponse())
	return false
}

func mustBeAllow(t testing.TB, ok *authv3.OkHttpResponse) {
	t.Helper()
	if ok == nil {
		t.Fatal("an allow without ok_response")
	}
	covered := map[string]bool{}
	for _, h := range slices.Concat(ok.Headers, ok.ResponseHeadersToAdd) {
		mustBeHeader(t, h)
		if h.Append == nil || h.Append.Value || h.AppendAction != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			t.Errorf("%s may be added beside the caller's", h.Header.Key)
		}
	}
	for _, h := range ok.Headers {
		if covered[h.Header.Key] {
			t.Errorf("%s is set twice", h.Header.Key)
		}
		covered[h.Header.Key] = true
	}
	for _, name := range ok.HeadersToRemove {
		if covered[name] {
			t.Errorf("%s is set and removed, or removed twice", name)
		}
		covered[name] = true
	}
	for _, name := range contract.MutableHeaders() {
		if !covered[name] {
			t.Errorf("%s is neither set nor removed", name)
		}
		delete(covered, name)
	}
	if len(covered) > 0 {
		t.Errorf("Envoy refuses to change %v", covered)
	}
	if len(ok.ResponseHeadersToAdd) != 1 || ok.ResponseHeadersToAdd[0].Header.Key != contract.HeaderDecisionID {
		t.Errorf("the caller gets %v", ok.ResponseHeadersToAdd)
	}
}

func mustBeDeny(t testing.TB, denied *authv3.DeniedHttpResponse) {
	t.Helper()
	if denied == nil {
		t.Fatal("a deny without denied_response is a bare 403")
	}
	if code := denied.GetStatus().GetCode(); code < 400 || code > 599 {
		t.Errorf("status %d", code)
	}
	for _, h := range denied.Headers {
		mustBeHeader(t, h)
		if h.Append != nil || h.AppendAction != 0 {
			t.Errorf("%s may be dropped by Envoy: append is set", h.Header.Key)
		}
	}
}

func mustBeHeader(t testing.TB, h *corev3.HeaderValueOption) {
	t.Helper()
	key, value := h.GetHeader().GetKey(), h.GetHeader().GetValue()
	if !headerName.MatchString(key) || value == "" || len(h.Header.RawValue) > 0 {
		t.Errorf("header %q: %q", key, value)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("%s: %q is not printable ASCII", key, value)
	}
}
