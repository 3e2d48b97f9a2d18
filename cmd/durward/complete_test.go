package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompletionIsLive: the shell is offered what the configuration declares, and nothing
// of one that does not load.
func TestCompletionIsLive(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "durward.yaml")
	complete := func(args ...string) string {
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), append([]string{"__complete"}, args...), &stdout, &stderr); code != 0 {
			t.Errorf("%q: exit code %d: %s", args, code, &stderr)
		}
		return stdout.String()
	}
	if got := complete("login", "-c", config, ""); strings.Contains(got, "mobile") {
		t.Errorf("without a configuration: %s", got)
	}
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), []string{"init", "-c", config}, &stdout, &stderr); code != 0 {
		t.Fatalf("init: %s", &stderr)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"login", "-c", config, ""}, "mobile\npartner\nwarehouse\n"},
		{[]string{"logout", "-c", config, ""}, "mobile\n"},
		{[]string{"call", "-c", config, ""}, "mobile\n"},
		{[]string{"call", "-c", config, "mobile", ""}, "GET\n"},
		{[]string{"call", "-c", config, "mobile", "GET", ""}, "/orders\tAPI orders\n"},
		{[]string{"explain", "-c", config, ""}, "GET\n"},
		{[]string{"explain", "-c", config, "GET", ""}, "/orders\tAPI orders\n"},
		{[]string{"explain", "-c", config, "--as", ""}, "mobile\n"},
		{[]string{"bootstrap", "-c", config, "--gateway", ""}, "edge\n"},
		{[]string{"help", "scope_m"}, "scope_missing"},
	} {
		if got := complete(tt.args...); !strings.Contains(got, tt.want) {
			t.Errorf("%q offers %q, want %q", tt.args, got, tt.want)
		}
	}
}
