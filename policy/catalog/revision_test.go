package catalog

import (
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
		r, err := revision(cfg)
		if err != nil || seen[r] != "" {
			t.Errorf("%s has the revision %q of %s: %v", path, r, seen[r], err)
		}
		seen[r] = path
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
