package authz_test

import (
	"regexp"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"

	"github.com/durward/durward/policy/contract"
)

var headerName = regexp.MustCompile(`^[a-z0-9-]+$`)

// reporter is what rapid's tests and others have in common.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// terms are what an answer depends on beside the decision.
type terms struct {
	// mapped are the headers of mapped claims.
	mapped []string
	// forward leaves the credential to the backend.
	forward bool
}

// mustBeWellFormed holds what is true of every answer under the tests' configuration, and
// returns whether it allows.
func mustBeWellFormed(t reporter, res *authv3.CheckResponse) bool {
	t.Helper()
	return terms{}.mustBeWellFormed(t, res)
}

func (c terms) mustBeWellFormed(t reporter, res *authv3.CheckResponse) bool {
	t.Helper()
	if res == nil || res.Status == nil {
		t.Fatalf("an answer without status allows: %v", res)
	}
	if err := res.ValidateAll(); err != nil {
		t.Errorf("%v", err)
	}
	if res.GetErrorResponse() != nil {
		t.Errorf("an error_response obeys failure_mode_allow")
	}
	if res.Status.Code == int32(codes.OK) {
		c.mustBePass(t, res.GetOkResponse())
		if res.DynamicMetadata.GetFields()["shadow"].GetBoolValue() {
			mustBeAnonymous(t, res)
		}
		return true
	}
	mustBeDeny(t, res.GetDeniedResponse())
	return false
}

func (c terms) mustBePass(t reporter, ok *authv3.OkHttpResponse) {
	t.Helper()
	if ok == nil {
		t.Fatalf("a pass without ok_response")
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
	owned := slices.Concat(contract.IdentityHeaders(), contract.RewriteHeaders(), c.mapped)
	if !c.forward {
		owned = append(owned, contract.HeaderAuthorization, contract.HeaderDPoP)
	}
	for _, name := range owned {
		if !covered[name] {
			t.Errorf("%s is neither set nor removed", name)
		}
	}
	for name := range covered {
		if !slices.Contains(owned, name) {
			t.Errorf("%s is not ours to change", name)
		}
	}
	if len(ok.ResponseHeadersToAdd) != 1 || ok.ResponseHeadersToAdd[0].Header.Key != contract.HeaderDecisionID {
		t.Errorf("the caller gets %v", ok.ResponseHeadersToAdd)
	}
}

// mustBeAnonymous holds that an answer sets nothing that tells of a caller.
func mustBeAnonymous(t reporter, res *authv3.CheckResponse) {
	t.Helper()
	set := res.GetOkResponse().GetHeaders()
	if len(set) != 1 || set[0].GetHeader().GetKey() != contract.HeaderDecisionID {
		t.Errorf("the backend is told %v", set)
	}
}

func mustBeDeny(t reporter, denied *authv3.DeniedHttpResponse) {
	t.Helper()
	if denied == nil {
		t.Fatalf("a deny without denied_response is a bare 403")
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

func mustBeHeader(t reporter, h *corev3.HeaderValueOption) {
	t.Helper()
	key, value := h.GetHeader().GetKey(), h.GetHeader().GetValue()
	if !headerName.MatchString(key) || value == "" || len(h.Header.RawValue) > 0 {
		t.Errorf("header %q: %q", key, value)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("%s: %q is not printable ASCII", key, value)
	}
}
