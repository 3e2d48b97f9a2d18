package source_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/catalog/source"
)

// TestCompileIsBounded fills a file with what costs most once it is read: references to
// nothing beside many names, and findings by the thousand. Each would take minutes if
// its cost grew with the square of its size.
func TestCompileIsBounded(t *testing.T) {
	text := string(validFiles(t, "valid")[0].Data)
	head, apis, _ := strings.Cut(text, "apis:\n")
	api, _, _ := strings.Cut(apis, "grants:\n")
	var many, unknown, foreign strings.Builder
	for i := range 2_000 {
		fmt.Fprintf(&many, "%s", strings.ReplaceAll("  - name: NAME\n    frontend: { hosts: [NAME.example.com], path: / }\n    backend: { url: \"http://NAME\" }\n    operations: [ { methods: [GET], path: /, public: true } ]\n", "NAME", fmt.Sprintf("orders-%020d", i)))
	}
	for i := range 3_000 {
		fmt.Fprintf(&unknown, "  - { api: order-%020d, organization: retial, applications: [x, z] }\n", i)
	}
	names := make([]string, 30_000)
	for i := range names {
		names[i] = fmt.Sprintf("a%06d", i)
	}
	fmt.Fprintf(&foreign, "  - { api: orders, organization: retail, applications: [%s] }\n", strings.Join(names, ","))
	for name, tt := range map[string]string{
		"dangling":     head + "apis:\n" + many.String() + "grants:\n" + unknown.String(),
		"applications": head + "apis:\n" + api + "grants:\n" + foreign.String(),
		"items":        "version: 1\napis:\n" + strings.Repeat("- a\n", 50_000),
		"gateways":     "version: 1\ngateways:\n" + strings.Repeat("- { listen: \"127.0.0.1:1\", url: \"http://a\" }\n", 10_000),
		"secrets":      "version: 1\napis: " + strings.Repeat("x", 1000) + "\n" + strings.Repeat("# secret password: api_key token\n", 8_000),
	} {
		if len(tt) > 4<<20 {
			t.Fatalf("%s has %d bytes", name, len(tt))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		cat, findings := source.Parse("a.yaml", []byte(tt))
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		t.Logf("%s: %d bytes, %d findings, %v, %d MiB allocated", name, len(tt), len(findings), took, (after.TotalAlloc-before.TotalAlloc)>>20)
		if cat != nil || len(findings) == 0 || took > 30*time.Second {
			t.Errorf("%s: %d findings, %v", name, len(findings), took)
		}
	}
}
