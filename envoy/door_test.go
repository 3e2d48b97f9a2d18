package envoy

import (
	"slices"
	"strings"
	"testing"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"

	"github.com/durward/durward/policy/contract"
)

// door says what the early mutations do to a header of that name.
func door(t *testing.T, claimPrefix string, trustedHops int) func(name string) (removed bool) {
	t.Helper()
	extensions, err := doorMutations(claimPrefix, trustedHops)
	if err != nil {
		t.Fatal(err)
	}
	config := new(headermutationv3.HeaderMutation)
	if err := extensions[0].GetTypedConfig().UnmarshalTo(config); err != nil || len(extensions) != 1 {
		t.Fatalf("%d extensions, error %v", len(extensions), err)
	}
	return func(name string) bool {
		name = strings.ToLower(name) // as Envoy keeps names
		return slices.ContainsFunc(config.GetMutations(), func(m *mutationv3.HeaderMutation) bool {
			prefix := m.GetRemoveOnMatch().GetKeyMatcher().GetPrefix()
			return m.GetRemove() == name || prefix != "" && strings.HasPrefix(name, prefix)
		})
	}
}

// A caller's copy of whatever a check may tell the backend is gone before anything reads
// it, mapped claims and presets included, whether they are configured or not.
func TestDoor(t *testing.T) {
	t.Parallel()
	removed := door(t, "x-claim-", 0)
	names := append(contract.MutableHeaders(), "x-claim-email", "X-Claim-Email", "X-CLAIM-", "x-claim-not-mapped", "x-jwt-claim-new", "x-envoy-retry-on")
	for _, preset := range contract.Presets() {
		for _, h := range contract.PresetHeaders(preset) {
			names = append(names, h.Header)
		}
	}
	for _, name := range names {
		credential := name == contract.HeaderAuthorization || name == contract.HeaderDPoP
		if removed(name) == credential {
			t.Errorf("%s: removed is %t", name, !credential)
		}
	}
	for _, name := range []string{"x-claims", "x-clai", "xx-claim-email", "cookie", "origin", "host", "x-request-id", "content-type"} {
		if removed(name) {
			t.Errorf("%s is removed", name)
		}
	}
	if door(t, "x-user-", 0)("x-claim-email") || !door(t, "x-user-", 0)("x-user-email") {
		t.Error("the prefix is not that of the configuration")
	}
}
