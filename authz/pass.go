package authz

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// credentials are the headers that tell a backend nothing but what opens it.
var credentials = []string{contract.HeaderAuthorization, contract.HeaderDPoP}

// ownedHeaders are the request headers, but for credentials and x-decision-id, of which
// no caller's copy reaches a backend under cat. A preset that is not used is none of them:
// its names belong to others then.
func ownedHeaders(cat *catalog.Catalogue) []string {
	names := slices.Concat(contract.IdentityHeaders(), contract.RewriteHeaders())
	if cat != nil {
		for _, h := range cat.Headers.Claims {
			names = append(names, h.Header)
		}
	}
	var owned []string
	for _, name := range names {
		if name != contract.HeaderDecisionID && !slices.Contains(owned, name) {
			owned = append(owned, name)
		}
	}
	return owned
}

// passed overwrites or removes every header we own, so that no copy of the caller's
// survives. Envoy removes after it sets: no name may be in both lists. Where only shadow
// mode lets a request pass, nothing is said of who sent it.
func passed(d policy.Decision, id string, owned []string) *authv3.OkHttpResponse {
	var identity []policy.Header
	if d.Allowed() {
		identity = d.Identity
	}
	ok := &authv3.OkHttpResponse{
		Headers:              make([]*corev3.HeaderValueOption, 0, len(identity)+1),
		HeadersToRemove:      make([]string, 0, len(owned)+len(credentials)),
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{overwrite(contract.HeaderDecisionID, id)},
	}
	for _, h := range identity {
		ok.Headers = append(ok.Headers, overwrite(h.Name, h.Value))
	}
	ok.Headers = append(ok.Headers, overwrite(contract.HeaderDecisionID, id))
	for _, name := range owned {
		if !slices.ContainsFunc(identity, func(h policy.Header) bool { return h.Name == name }) {
			ok.HeadersToRemove = append(ok.HeadersToRemove, name)
		}
	}
	if d.API == nil || !d.API.ForwardAuthorization {
		ok.HeadersToRemove = append(ok.HeadersToRemove, credentials...)
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
