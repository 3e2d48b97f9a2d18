package ads

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

const tables = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

func editionOf(versions map[string]string) *edition {
	return &edition{snap: &snapshot{kinds: map[string]kind{tables: {versions: versions}}}}
}

// An Envoy has answered an edition when it holds or has refused each part of it, not when it
// once refused one.
func TestAnswered(t *testing.T) {
	t.Parallel()
	want := editionOf(map[string]string{"old": "1", "new": "2"})
	for name, tt := range map[string]struct {
		held, refused map[string]string
		all, answered bool
	}{
		"nothing came yet":     {map[string]string{"old": "1"}, nil, false, false},
		"one is refused":       {nil, map[string]string{"new": "2"}, false, false},
		"it was, as another":   {map[string]string{"old": "1"}, map[string]string{"new": "1"}, false, false},
		"the rest is held":     {map[string]string{"old": "1"}, map[string]string{"new": "2"}, false, true},
		"something is left":    {map[string]string{"old": "1", "more": "1"}, map[string]string{"new": "2"}, false, false},
		"all is held":          {map[string]string{"old": "1", "new": "2"}, nil, true, true},
		"all is held, at last": {map[string]string{"old": "1", "new": "2"}, map[string]string{"new": "2"}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStream(nil, nil)
			st.held[tables] = tt.held
			for name, version := range tt.refused {
				st.refused[resource{tables, name, version}] = "no"
			}
			if all, answered := st.holds(want); all != tt.all || answered != tt.answered {
				t.Errorf("all %t, answered %t", all, answered)
			}
		})
	}
}

// What is known of an Envoy from what changed is what a look at all of it says.
func TestAnsweredByChanges(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	name := func() string { return fmt.Sprint(r.IntN(4)) }
	version := func() string { return fmt.Sprint(1 + r.IntN(2)) }
	st := newStream(nil, nil)
	st.held[tables], st.unused[tables] = make(map[string]string), make(map[string]bool)
	want := editionOf(map[string]string{"0": "1"})
	seen := make(map[[2]bool]int)
	for n := range 20_000 {
		switch r.IntN(8) {
		case 0:
			st.lose(tables, name())
		case 1:
			if len(st.refused) > 3 {
				clear(st.refused)
			}
			st.refused[resource{tables, name(), version()}] = "no"
		case 2:
			next := make(map[string]string)
			for range r.IntN(4) {
				next[name()] = version()
			}
			former := want
			want = editionOf(next)
			st.follow(former, want, differences(former, want))
		case 3:
			clear(st.unused[tables])
			st.unused[tables][name()] = true
		default:
			st.hold(nil, resource{tables, name(), version()})
		}
		all, answered := st.holds(want)
		anew := newStream(nil, nil)
		anew.held, anew.unused, anew.refused = st.held, st.unused, st.refused
		if a, b := anew.holds(want); a != all || b != answered {
			t.Fatalf("step %d: %t, %t by changes; %t, %t by a look at all", n, all, answered, a, b)
		}
		seen[[2]bool{all, answered}]++
	}
	if len(seen) != 3 {
		t.Errorf("seen %v", seen)
	}
}
