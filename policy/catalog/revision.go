package catalog

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// revision hashes the content: named things in the order of their names, so that
// neither the split into files nor the order in them counts.
func revision(cfg *durwardv1.Config) (string, error) {
	c := proto.CloneOf(cfg)
	sortByName(c.GetGateways())
	sortByName(c.GetAuthorizationServers())
	sortByName(c.GetTokenPolicies())
	sortByName(c.GetOrganizations())
	for _, o := range c.GetOrganizations() {
		sortByName(o.GetApplications())
	}
	sortByName(c.GetApis())
	for _, g := range c.GetGrants() {
		slices.Sort(g.GetApplications())
	}
	slices.SortStableFunc(c.GetGrants(), func(a, b *durwardv1.Grant) int {
		return cmp.Or(cmp.Compare(a.GetApi(), b.GetApi()), cmp.Compare(a.GetOrganization(), b.GetOrganization()))
	})
	slices.SortStableFunc(c.GetDenials(), func(a, b *durwardv1.Denial) int {
		return cmp.Or(cmp.Compare(a.GetUserId(), b.GetUserId()), cmp.Compare(a.GetClientId(), b.GetClientId()), cmp.Compare(a.GetTokenId(), b.GetTokenId()))
	})
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])[:12], nil
}

func sortByName[T interface{ GetName() string }](list []T) {
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(a.GetName(), b.GetName()) })
}

func durationOr(d *durationpb.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return d.AsDuration()
}
