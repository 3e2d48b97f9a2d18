package catalog

import (
	"encoding/hex"
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// TestEveryKeyCounts holds that each key of the configuration changes the revision.
func TestEveryKeyCounts(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	keys := 0
	cfg := new(durwardv1.Config)
	note := func(path string) {
		keys++
		cat := compile(cfg, nil, nil).cat
		if raw, err := hex.DecodeString(cat.Hash); err != nil || len(raw) != 32 || cat.Revision != cat.Hash[:12] {
			t.Fatalf("%s: hash %q, revision %q", path, cat.Hash, cat.Revision)
		}
		if seen[cat.Hash] != "" {
			t.Errorf("%s has the hash %q of %s", path, cat.Hash, seen[cat.Hash])
		}
		seen[cat.Hash] = path
	}
	var walk func(path string, m protoreflect.Message)
	walk = func(path string, m protoreflect.Message) {
		note(path)
		for i := range m.Descriptor().Fields().Len() {
			f := m.Descriptor().Fields().Get(i)
			path := path + "." + string(f.Name())
			ours := f.Message() != nil && f.Message().ParentFile() == m.Descriptor().ParentFile()
			switch {
			case f.IsMap():
				m.Mutable(f).Map().Set(protoreflect.ValueOfString("k").MapKey(), protoreflect.ValueOfString("v"))
				note(path)
			case f.IsList() && ours:
				walk(path, m.Mutable(f).List().AppendMutable().Message())
			case f.IsList() && f.Message() != nil:
				m.Mutable(f).List().AppendMutable()
				note(path)
			case f.IsList():
				m.Mutable(f).List().Append(protoreflect.ValueOfString("v"))
				note(path)
			case ours:
				walk(path, m.Mutable(f).Message())
			case f.Message() != nil:
				m.Mutable(f)
				note(path)
			case f.Kind() == protoreflect.BoolKind:
				m.Set(f, protoreflect.ValueOfBool(true))
				note(path)
			case f.Kind() == protoreflect.StringKind:
				m.Set(f, protoreflect.ValueOfString("v"))
				note(path)
			case f.Kind() == protoreflect.Uint32Kind:
				m.Set(f, protoreflect.ValueOfUint32(1))
				note(path)
			default:
				m.Set(f, protoreflect.ValueOfInt32(1))
				note(path)
			}
			m.Clear(f)
		}
	}
	walk("", cfg.ProtoReflect())
	if keys < 100 {
		t.Errorf("only %d keys", keys)
	}
}

// TestOrderOfLists holds of which lists the order changes the hash.
func TestOrderOfLists(t *testing.T) {
	t.Parallel()
	example := func() *durwardv1.Config {
		c := exampleConfig(t)
		c.Apis[0].Frontend.Hosts = []string{"a.example.com", "b.example.com"}
		c.Apis[0].Operations[0].Scopes = &durwardv1.Scopes{All: []string{"read", "write"}}
		c.Organizations[0].Applications = []*durwardv1.Application{{Name: "one"}, {Name: "two"}}
		c.Grants[0].Applications = []string{"one", "two"}
		c.Denials = []*durwardv1.Denial{{ClientId: "one"}, {ClientId: "two"}}
		return c
	}
	was := compile(example(), nil, nil).cat.Hash
	for name, tt := range map[string]struct {
		reverse func(*durwardv1.Config)
		counts  bool
	}{
		"apis":                   {func(c *durwardv1.Config) { slices.Reverse(c.Apis) }, false},
		"grants":                 {func(c *durwardv1.Config) { slices.Reverse(c.Grants) }, false},
		"denials":                {func(c *durwardv1.Config) { slices.Reverse(c.Denials) }, false},
		"applications":           {func(c *durwardv1.Config) { slices.Reverse(c.Organizations[0].Applications) }, false},
		"applications of grants": {func(c *durwardv1.Config) { slices.Reverse(c.Grants[0].Applications) }, false},
		"hosts":                  {func(c *durwardv1.Config) { slices.Reverse(c.Apis[0].Frontend.Hosts) }, true},
		"operations":             {func(c *durwardv1.Config) { slices.Reverse(c.Apis[0].Operations) }, true},
		"scopes":                 {func(c *durwardv1.Config) { slices.Reverse(c.Apis[0].Operations[0].Scopes.All) }, true},
	} {
		c := example()
		tt.reverse(c)
		if counts := compile(c, nil, nil).cat.Hash != was; counts != tt.counts {
			t.Errorf("the order of %s counts: %t", name, counts)
		}
	}
}

// TestWithoutOrderIsNoSum: things of the same sum, or exclusive or, are told apart, and so
// is how often one comes.
func TestWithoutOrderIsNoSum(t *testing.T) {
	t.Parallel()
	one, two, three, four := digest{31: 1}, digest{31: 2}, digest{31: 3}, digest{31: 4}
	seen := make(map[digest]int)
	for i, things := range [][]digest{nil, {one}, {one, one}, {one, one, one}, {one, four}, {two, three}, {one, two, four}, {three, four}} {
		d := withoutOrder(slices.Clone(things))
		if other, ok := seen[d]; ok {
			t.Errorf("lists %d and %d are the same", i, other)
		}
		seen[d] = i
		slices.Reverse(things)
		if withoutOrder(things) != d {
			t.Errorf("the order of list %d counts", i)
		}
	}
}
