package dpop

import (
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	const want = "https://api.example.com/orders/17"
	for _, same := range []string{
		want, "HTTPS://api.example.com/orders/17", "https://API.Example.COM/orders/17", "https://api.example.com:443/orders/17", "https://api.example.com:/orders/17",
		"https://api.example.com/orders/%31%37", "https://api.example.com/%6Frders/17", "https://api.example.com/%6frders/17", "https://api.example.com/orders/./17",
		"https://api.example.com/x/../orders/17", "https://api.example.com/../orders/17", "https://api.example.com/%2E%2e/orders/17", want + "?a=b", want + "#c", want + "?a=https://evil.example#c", want + "?",
	} {
		if got, err := normalize(same); err != nil || got != want {
			t.Errorf("%s: %s, %v", same, got, err)
		}
	}
	for _, differs := range []string{
		"http://api.example.com/orders/17", "https://api.example.com:8443/orders/17", "https://api.example.com:80/orders/17", "https://api.example.com./orders/17", "https://api.example.com/Orders/17",
		"https://api.example.com/orders/17/", "https://api.example.com//orders/17", "https://api.example.com/orders%2F17", "https://api.example.com/orders/17;a", "https://api.example.com/orders/17%00",
		"https://api.example.com", "https://evil.example/orders/17", "https://api.example.com.evil.example/orders/17", "https://api.example.com/orders/17/..", "https://api.example.com/orders/17/.",
		"https://api.example.com:0443/orders/17", "https://api.example.com/orders/%2531%2537",
	} {
		if got, err := normalize(differs); err != nil || got == want {
			t.Errorf("%s: %s, %v", differs, got, err)
		}
	}
	for _, bad := range []string{
		"", "/orders/17", "api.example.com/orders/17", "//api.example.com/orders/17", "ftp://api.example.com/", "https:/api.example.com/", "https:api.example.com", "https://", "https:///orders", "https://:443/orders",
		"https://api.example.com@evil.example/", "https://a:b@api.example.com/orders/17", "https://a@api.example.com/orders/17", "https://api.example.com:x/", "https://api.example.com:-1/", "https://api%2eexample.com/",
		"https://api.example.com/%", "https://api.example.com/%4", "https://api.example.com/%zz", "https://api.example.com/a b", "https://api.example.com/a\\b", "https://api.example.com/\x00", "https://api.example.com/é", "https://apí.example.com/",
		" https://api.example.com/", "https://api.example.com /", "https://api.example.com\\@evil.example/", "https://api.example.com/\n", "http://0::", "http://a:1:2/", "http://[::1/", "http://::1]/", "http://[]/", "http://[::1]]/", "http://[[::1]/", "http://a[b]/", "http://[::1]x/",
	} {
		if got, err := normalize(bad); err == nil {
			t.Errorf("%q: %s", bad, got)
		}
	}
	for text, want := range map[string]string{
		"http://[2001:DB8::1]:80/a": "http://[2001:db8::1]/a", "http://[::1]:8080": "http://[::1]:8080/", "http://127.0.0.1:80?x": "http://127.0.0.1/", "https://h:444#x": "https://h:444/",
		"https://h/a%2fb%c3%a9": "https://h/a%2Fb%C3%A9", "https://h/a/b/c/./../../g": "https://h/a/g", "https://h/..": "https://h/", "https://h/.a/..b/c.": "https://h/.a/..b/c.",
		"https://h/a//../b": "https://h/a/b", "https://h/a/b/..": "https://h/a/",
	} {
		if got, err := normalize(text); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
}

// FuzzNormalize: a normal form is its own, and holds nothing that would mean another host.
func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{"https://api.example.com/a/../%41?b#c", "HTTP://[::1]:80", "https://a@b/", "https://h/%2e%2E/..", "https://h:443//.//", "http://..", "http://a..b", "http://[:0:", "http://[::ffff:1.2.3.4]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := normalize(text)
		if err != nil {
			return
		}
		if twice, err := normalize(once); err != nil || twice != once {
			t.Errorf("%q: %q, then %q, %v", text, once, twice, err)
		}
		if strings.ContainsAny(once, "?#@ \\\x00") && !strings.Contains(once[len("https://"):], "/") || strings.Contains(once, "/../") {
			t.Errorf("%q: %q", text, once)
		}
	})
}

func TestMatchesAny(t *testing.T) {
	t.Parallel()
	// What Envoy let through may hold what no URL does; it still equals itself.
	odd := "https://api.example.com/a|b"
	if !matchesAny(odd, []string{odd}) || matchesAny(odd, []string{odd + "c"}) {
		t.Error("odd")
	}
	if !matchesAny("https://API.example.com:443/a?x", []string{"not a URL", "https://api.example.com/a"}) || matchesAny("https://api.example.com/a", nil) {
		t.Error("usual")
	}
}
