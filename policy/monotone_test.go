package policy_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// removals are the ways to take something away from a configuration, or to ask for more.
// Each says whether it found anything to change.
var removals = map[string]func(*rapid.T, *durwardv1.Config) bool{
	"grant": func(t *rapid.T, cfg *durwardv1.Config) bool { return drop(t, &cfg.Grants) },
	"application of a grant": func(t *rapid.T, cfg *durwardv1.Config) bool {
		return len(cfg.Grants) > 0 && drop(t, &one(t, "grant", cfg.Grants...).Applications)
	},
	"application": func(t *rapid.T, cfg *durwardv1.Config) bool {
		org := one(t, "organization", cfg.Organizations...)
		if !drop(t, &org.Applications) {
			return false
		}
		for _, g := range cfg.Grants {
			g.Applications = slices.DeleteFunc(g.Applications, func(name string) bool {
				return g.Organization == org.Name && !slices.ContainsFunc(org.Applications, func(a *durwardv1.Application) bool { return a.Name == name })
			})
		}
		return true
	},
	"client id": func(t *rapid.T, cfg *durwardv1.Config) bool {
		return drop(t, &one(t, "application", one(t, "organization", cfg.Organizations...).Applications...).ClientIds)
	},
	"API": func(t *rapid.T, cfg *durwardv1.Config) bool {
		if len(cfg.Apis) < 2 || !drop(t, &cfg.Apis) {
			return false
		}
		cfg.Grants = slices.DeleteFunc(cfg.Grants, func(g *durwardv1.Grant) bool {
			return !slices.ContainsFunc(cfg.Apis, func(a *durwardv1.API) bool { return a.Name == g.Api })
		})
		return true
	},
	"host": func(t *rapid.T, cfg *durwardv1.Config) bool {
		f := one(t, "frontend", cfg.Apis...).Frontend
		return len(f.Hosts) > 1 && drop(t, &f.Hosts)
	},
	"operation": func(t *rapid.T, cfg *durwardv1.Config) bool {
		api := one(t, "api", cfg.Apis...)
		return len(api.Operations) > 1 && drop(t, &api.Operations)
	},
	"denial": func(t *rapid.T, cfg *durwardv1.Config) bool {
		d := one(t, "denial", &durwardv1.Denial{UserId: "00uALICE"}, &durwardv1.Denial{ClientId: "0oa00"}, &durwardv1.Denial{TokenId: "AT.1"})
		if slices.ContainsFunc(cfg.Denials, func(o *durwardv1.Denial) bool { return o.UserId+o.ClientId+o.TokenId == d.UserId+d.ClientId+d.TokenId }) {
			return false
		}
		cfg.Denials = append(cfg.Denials, &durwardv1.Denial{UserId: d.UserId, ClientId: d.ClientId, TokenId: d.TokenId, Reason: "added"})
		return true
	},
	"enabled": func(t *rapid.T, cfg *durwardv1.Config) bool {
		org := one(t, "organization", cfg.Organizations...)
		if one(t, "all", true, false) || len(org.Applications) == 0 {
			org.Enabled = proto.Bool(false)
		} else {
			one(t, "application", org.Applications...).Enabled = proto.Bool(false)
		}
		return true
	},
	"machine tokens": func(t *rapid.T, cfg *durwardv1.Config) bool {
		p := one(t, "token policy", cfg.TokenPolicies...)
		accepted := p.MachineTokens
		p.MachineTokens = false
		return accepted
	},
	"requirement of a token policy": func(t *rapid.T, cfg *durwardv1.Config) bool {
		p := one(t, "token policy", cfg.TokenPolicies...)
		return askMore(t, &p.Claims, &p.Rule, &p.AcrValues)
	},
	"requirement of an API": func(t *rapid.T, cfg *durwardv1.Config) bool {
		api := one(t, "api", cfg.Apis...)
		return askMore(t, &api.Claims, &api.Rule, &api.AcrValues)
	},
	"requirement of an operation": func(t *rapid.T, cfg *durwardv1.Config) bool {
		op := one(t, "operation", one(t, "api", cfg.Apis...).Operations...)
		return !op.Public && askMore(t, &op.Claims, &op.Rule, &op.AcrValues)
	},
	"scopes of any": func(t *rapid.T, cfg *durwardv1.Config) bool {
		some := false
		for _, api := range cfg.Apis {
			for _, op := range api.Operations {
				some = len(op.GetScopes().GetAny()) > 1 && drop(t, &op.Scopes.Any) || some
			}
		}
		return some
	},
}

// askMore adds what drawNeeds may leave out.
func askMore(t *rapid.T, claims *[]*durwardv1.RequiredClaim, rule *string, acr *[]string) bool {
	switch one(t, "requirement", "claim", "rule", "sign-in") {
	case "claim":
		*claims = append(*claims, &durwardv1.RequiredClaim{Claim: "department", Equals: structpb.NewStringValue("finance")})
	case "rule":
		if *rule == "" {
			*rule = "true"
		}
		*rule = "(" + *rule + `) && token.claims.department == "finance"`
	default:
		if len(*acr) == 0 {
			*acr = []string{"phr"}
		}
	}
	return true
}

// drop removes one element of a list.
func drop[T any](t *rapid.T, list *[]T) bool {
	if len(*list) == 0 {
		return false
	}
	i := rapid.IntRange(0, len(*list)-1).Draw(t, "dropped")
	*list = slices.Delete(*list, i, i+1)
	return true
}

// uncovers reports whether less stands between r and a less specific operation than
// did: the operation that was removed had the path to itself.
func uncovers(before, after *durwardv1.Config, r policy.Request) bool {
	path, _, _ := strings.Cut(r.Path, "?")
	answering := func(cfg *durwardv1.Config) (found []string) {
		for _, api := range cfg.Apis {
			if _, template := oracleOperation(api, r.Method, path); api.Name == r.API {
				found = append(found, template)
			}
		}
		return found
	}
	return !slices.Equal(answering(before), answering(after))
}

// TestP02 (P02): to take something away from a configuration or a token never turns a
// denial into an allow. There is one exception, by design: the most specific path
// answers alone, so without its operations a less specific one answers for it.
func TestP02(t *testing.T) {
	t.Parallel()
	for name, remove := range removals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := 0
			rapid.Check(t, func(t *rapid.T) {
				cfg := drawWorld(t)
				before, less := compile(t, cfg), proto.CloneOf(cfg)
				if !remove(t, less) {
					return
				}
				after := compile(t, less)
				for range 100 {
					r, beliefs := drawRequest(t, cfg), drawBeliefs(t)
					closed += mustNotOpen(t, before, after, r, beliefs, beliefs, func() bool { return name == "operation" && uncovers(cfg, less, r) })
				}
			})
			if t.Logf("%d allows became denials", closed); closed == 0 {
				t.Error("nothing was ever closed")
			}
		})
	}
	t.Run("scope of the token", func(t *testing.T) {
		t.Parallel()
		closed := 0
		rapid.Check(t, func(t *rapid.T) {
			cfg := drawWorld(t)
			cat := compile(t, cfg)
			for range 100 {
				r, beliefs, less := drawRequest(t, cfg), drawBeliefs(t), make(map[string]belief)
				for name, b := range beliefs {
					b.claims.Scopes = slices.Clone(b.claims.Scopes)
					drop(t, &b.claims.Scopes)
					less[name] = b
				}
				closed += mustNotOpen(t, cat, cat, r, beliefs, less, func() bool { return false })
			}
		})
		if closed == 0 {
			t.Error("nothing was ever closed")
		}
	})
}

// mustNotOpen fails where a denial became an allow without excuse. It returns 1 where an allow became a denial, else 0.
func mustNotOpen(t *rapid.T, before, after *catalog.Catalogue, r policy.Request, had, has map[string]belief, excused func() bool) int {
	then := policy.Decide(before, r, witness(had), nil)
	now := policy.Decide(after, r, witness(has), nil)
	if !then.Allowed() && now.Allowed() && !excused() {
		t.Fatalf("%+v was denied (%s) and is allowed", r, then.Reason)
	}
	if then.Allowed() && !now.Allowed() {
		return 1
	}
	return 0
}
