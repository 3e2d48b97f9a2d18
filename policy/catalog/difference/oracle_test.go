package difference_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/difference"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/token"
)

// asked is one request with what would be believed of its token; none has no client.
type asked struct {
	method, host, path string
	claims             token.Claims
}

func questions() (all []asked) {
	callers := []token.Claims{{}}
	for _, client := range []string{"0oaMOBILE", "0oaTABLET", "0oaWEB", "0oaDEPOT", "0oaNEW"} {
		for _, scopes := range [][]string{{"read"}, {"write"}, {"read", "write"}, {"admin", "x"}, {"read", "x", "write"}} {
			for _, subject := range []string{"gold", "tin"} {
				callers = append(callers, token.Claims{
					ClientID: client, Scopes: scopes, Subject: subject, UserID: "00uEVE", TokenID: "AT.2", ACR: "phrh", AuthTime: now.Add(-6 * time.Minute),
				}, token.Claims{
					ClientID: client, Scopes: scopes, Subject: subject, UserID: "00uBOB", TokenID: "AT.2", ACR: "phr", AuthTime: now.Add(-time.Minute),
				})
			}
		}
	}
	for _, line := range [][3]string{
		{"GET", "shop.example.com", "/orders/7"},
		{"HEAD", "api.example.com", "/orders/7"},
		{"POST", "shop.example.com", "/orders"},
		{"DELETE", "shop.example.com", "/orders/7"},
		{"GET", "shop.example.com", "/items"},
		{"GET", "x.example.com", "/orders/7"},
		{"GET", "any.example.com", "/a"},
	} {
		for _, claims := range callers {
			all = append(all, asked{line[0], line[1], line[2], claims})
		}
	}
	return all
}

// passes reports whether serve would let the request reach a backend.
func passes(cat *catalog.Catalogue, q asked) bool {
	r := policy.Request{API: contract.NoAPI, Method: q.method, Host: q.host, Path: q.path}
	if api := cat.Route(q.host, q.path); api != nil {
		r.API = api.Name
	}
	if q.claims.ClientID != "" {
		r.Authorization = []string{"Bearer token"}
	}
	claims := q.claims
	claims.ExpiresAt = now.Add(time.Hour)
	d := policy.Decide(cat, r, policy.Witness{
		Verify: func(*catalog.TokenPolicy, token.Token) (token.Fact, error) { return token.Fact{Claims: claims}, nil },
		Now:    func() time.Time { return now },
	}, nil)
	return d.Allowed() || d.Shadowed()
}

// Whatever passes after an edit and did not before is in a row that widens, and the
// reverse: the judge of requests is asked about the same two catalogues.
func TestNothingIsMissed(t *testing.T) {
	t.Parallel()
	var names []string
	var cats []*catalog.Catalogue
	var passed [][]bool
	all := questions()
	for _, name := range slices.Sorted(maps.Keys(edits)) {
		cat := parse(t, edit(t, edits[name].pairs...))
		answers := make([]bool, len(all))
		for i, q := range all {
			answers[i] = passes(cat, q)
		}
		names, cats, passed = append(names, name), append(cats, cat), append(passed, answers)
	}
	gained := 0
	for x := range cats {
		for y := range cats {
			widens, narrows := false, false
			for _, r := range difference.Between(cats[x], cats[y], now) {
				widens = widens || r.Direction != difference.Narrowed
				narrows = narrows || r.Direction != difference.Widened
			}
			for i, q := range all {
				if passed[y][i] && !passed[x][i] {
					gained++
					if !widens {
						t.Fatalf("from %q to %q: %+v passes now, and no row widens", names[x], names[y], q)
					}
				}
				if passed[x][i] && !passed[y][i] && !narrows {
					t.Fatalf("from %q to %q: %+v passes no more, and no row narrows", names[x], names[y], q)
				}
			}
		}
	}
	if gained < 1000 {
		t.Errorf("only %d requests passed that did not before", gained)
	}
}
