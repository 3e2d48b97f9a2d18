package catalog

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// TestCompileFindsAgain: what was found before is found again, where it is now.
func TestCompileFindsAgain(t *testing.T) {
	t.Parallel()
	cfg := exampleConfig(t)
	cfg.Gateways = nil
	cfg.Organizations[0].Name = "Retail"
	cfg.Denials = []*durwardv1.Denial{{ClientId: "nobody", Reason: "left"}}
	cfg.Apis[1].Operations[0].Path = "x"
	cfg.Grants[1].Organization = "none"
	in := func(first string) func(string) (Position, bool) {
		return func(path string) (Position, bool) {
			at := Position{File: "a.yaml", Line: 1, Column: len(path)}
			if path == "gateways" { // which is nowhere
				at.File = first
			}
			return at, false
		}
	}
	first := compile(cfg, in("one.yaml"), nil)
	again := compile(cfg, in("two.yaml"), first.kept())
	alone := compile(cfg, in("two.yaml"), nil)
	if len(first.findings) < 5 {
		t.Fatalf("findings %v", first.findings)
	}
	if diff := cmp.Diff(alone.findings, again.findings); diff != "" {
		t.Errorf("findings (-alone +again):\n%s", diff)
	}
	if again.cat.Revision != first.cat.Revision {
		t.Errorf("revision %s became %s", first.cat.Revision, again.cat.Revision)
	}
}

// TestCompilerKnowsMessagesByAddress: the same content in another message is compiled anew.
func TestCompilerKnowsMessagesByAddress(t *testing.T) {
	t.Parallel()
	cfg := exampleConfig(t)
	var k Compiler
	compiled := func(cfg *durwardv1.Config) *Catalogue {
		t.Helper()
		cat, findings := k.Compile(cfg, nil)
		if cat == nil {
			t.Fatal(findings)
		}
		return cat
	}
	first, again := compiled(cfg), compiled(cfg)
	if first == again || first.API("orders") != again.API("orders") || first.API("carts") != again.API("carts") {
		t.Error("APIs of the same messages are not kept")
	}
	next := new(durwardv1.Config)
	cfg.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		next.ProtoReflect().Set(f, v)
		return true
	})
	next.Apis = []*durwardv1.API{proto.CloneOf(cfg.GetApis()[0]), cfg.GetApis()[1]}
	other := compiled(next)
	if other.API("orders") == again.API("orders") || other.API("carts") != again.API("carts") || other.Revision != again.Revision {
		t.Error("of a message of the same content: the API is kept, or another one is not, or the revision changes")
	}
}
