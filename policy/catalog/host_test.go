package catalog

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCanonicalHost(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"example.com":                   "example.com",
		"Example.COM":                   "example.com",
		"example.com.":                  "example.com",
		"example.com:443":               "example.com",
		"example.com:0443":              "example.com",
		"example.com.:8080":             "example.com",
		"127.0.0.1:10000":               "127.0.0.1",
		"my_service":                    "my_service",
		"[::1]":                         "[::1]",
		"[::1]:10000":                   "[::1]",
		"[2001:DB8::1]":                 "[2001:db8::1]",
		"[::ffff:192.0.2.1]:8":          "[::ffff:192.0.2.1]",
		"xn--bcher-kva.example":         "xn--bcher-kva.example",
		strings.Repeat("a.", 126) + "a": strings.Repeat("a.", 126) + "a",
	}
	for host, want := range good {
		if got, err := CanonicalHost(host); got != want || err != nil {
			t.Errorf("CanonicalHost(%q) = %q, %v; want %q", host, got, err, want)
		}
	}
	bad := []string{
		"", ".", ":80", "..", "a..", "a..b", ".a", "a:b", "a:", "a:80:80", "a:123456", "a,b", "user@a", "a b",
		" a", "a\t", "a\x00", "a\r\n", "bücher.example", "\u212aiosk.example", "a/b", "a%2e", "*", "*.a", "a\\b",
		"[::1", "[::1]x", "[::1]:", "[::1]:x", "[]", "[fe80::1%25eth0]", "[127.0.0.1]", "::1", "[::1]]", "[[::1]]",
		"[0:0:0:0:0:0:0:1]", "[2001:db8:0::1]", "[2001:db8::01]", "[::ffff:c000:201]",
		strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a",
	}
	for _, host := range bad {
		if got, err := CanonicalHost(host); err == nil {
			t.Errorf("CanonicalHost(%q) = %q; want an error", host, got)
		} else if got != "" {
			t.Errorf("CanonicalHost(%q) = %q beside an error", host, got)
		}
	}
}

// checkCanonical holds what every accepted host has: it is its own canonical form, and
// is of the few characters that no parser disagrees about.
func checkCanonical(t interface{ Fatalf(string, ...any) }, host string) {
	got, err := CanonicalHost(host)
	if err != nil {
		return
	}
	if again, err := CanonicalHost(got); again != got || err != nil {
		t.Fatalf("CanonicalHost(%q) = %q, and of that %q, %v", host, got, again, err)
	}
	if strings.Trim(got, "abcdefghijklmnopqrstuvwxyz0123456789.-_[]:") != "" || got == "" {
		t.Fatalf("CanonicalHost(%q) = %q", host, got)
	}
	if upper, err := CanonicalHost(strings.ToUpper(host)); upper != got || err != nil {
		t.Fatalf("CanonicalHost(%q) = %q, but in upper case %q, %v", host, got, upper, err)
	}
}

func TestCanonicalHostIsIdempotent(t *testing.T) {
	t.Parallel()
	part := rapid.SampledFrom([]string{"a", "B", ".", ":", "80", "[", "]", "::1", "-", "_", "@", ",", " ", "é", "\u212a"})
	rapid.Check(t, func(t *rapid.T) {
		checkCanonical(t, strings.Join(rapid.SliceOfN(part, 0, 8).Draw(t, "host"), ""))
	})
}

func FuzzCanonicalHost(f *testing.F) {
	for _, seed := range []string{"example.com:443", "[::1]:80", "EXAMPLE.com.", "a..b", "[::FFFF:1.2.3.4]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) { checkCanonical(t, host) })
}

func TestServesHost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		hosts    []string
		yes, not []string
	}{
		{[]string{"*"}, []string{"a", "a.example.com", "[::1]"}, []string{""}},
		{[]string{"example.com"}, []string{"example.com"}, []string{"www.example.com", "xexample.com", "example.com.evil", ""}},
		{[]string{"*.example.com"}, []string{"a.example.com", "a.b.example.com"}, []string{"example.com", ".example.com", "aexample.com", "a.example.com.evil", ""}},
		{[]string{"a", "*.b"}, []string{"a", "x.b"}, []string{"b", "x.a"}},
		{nil, nil, []string{"", "a"}},
	}
	for _, tt := range tests {
		api := &API{Hosts: tt.hosts}
		for _, h := range tt.yes {
			if !api.ServesHost(h) {
				t.Errorf("%v does not serve %q", tt.hosts, h)
			}
		}
		for _, h := range tt.not {
			if api.ServesHost(h) {
				t.Errorf("%v serves %q", tt.hosts, h)
			}
		}
	}
}
