package source_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/durward/durward/policy/catalog/source"
)

func TestAdminAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"flow":         {`listeners: { admin: { address: "127.0.0.1:7000" } }` + "\napis: ]\n", "127.0.0.1:7000"},
		"block":        {"listeners:\n  admin:\n    address: unix:/run/durward/admin.sock\napis: ]\n", "unix:/run/durward/admin.sock"},
		"not compiled": {"version: 1\nlisteners: { admin: { address: '[::1]:7000' } }\n", "[::1]:7000"},
		"not written":  {"version: 1\n", "127.0.0.1:9902"},
		"of others":    {"listeners: { ops: { address: 127.0.0.1:7000 } }\nx: administrator: 1\n", "127.0.0.1:9902"},
	} {
		path := filepath.Join(t.TempDir(), "durward.yaml")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := source.AdminAddress(path); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if got := source.AdminAddress(filepath.Join(t.TempDir(), "absent.yaml")); got != "127.0.0.1:9902" {
		t.Errorf("no file: %s", got)
	}
}
