package ads_test

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/durward/durward/policy/catalog"
)

const pageOrigin = "https://app.example.com"

// call is a request as it is written.
type call struct {
	h2             bool
	method, target string
	// hosts are as many headers in HTTP/1; in HTTP/2 the first is :authority.
	hosts []string
	// headers are names and values in turn.
	headers []string
}

func (c call) String() string {
	return fmt.Sprintf("h2=%t %s %q hosts %q headers %q", c.h2, c.method, c.target, c.hosts, c.headers)
}

// plain returns the place that a request asks for if it can be read in one way, and is
// for nobody but the API there to answer.
func (c call) plain() (host, path string, ok bool) {
	if len(c.hosts) != 1 || len(c.headers) > 0 || c.method == "CONNECT" || c.method != strings.ToUpper(c.method) {
		return "", "", false
	}
	host, err := catalog.CanonicalHost(c.hosts[0])
	path, _, _ = strings.Cut(c.target, "?")
	return host, path, err == nil && catalog.CheckPath(path) == nil && !strings.Contains(c.target, "#")
}

// isFatal reports whether HTTP/2 cannot say it: Envoy then waits a second before it ends
// the connection.
func (c call) isFatal() bool {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }
	return !strings.HasPrefix(c.target, "/") || strings.ContainsFunc(c.target, odd) || c.method == "CONNECT" || slices.Contains(c.headers, "connection") ||
		len(c.hosts) == 0 || c.hosts[0] == "" || strings.ContainsFunc(c.hosts[0], odd) || strings.ContainsAny(c.hosts[0], "@/?#")
}

var (
	hostOddities = []func(string) string{
		strings.ToUpper,
		func(h string) string { return strings.ToUpper(h[:1]) + h[1:] },
		func(h string) string { return h + "." },
		func(h string) string { return h + ":80" },
		func(h string) string { return strings.ToUpper(h) + ".:8443" },
		func(h string) string { return h + ".." },
		func(h string) string { return h + ":" },
		func(h string) string { return h + ":x" },
		func(h string) string { return h + ":80:80" },
		func(h string) string { return h + ":99999" },
		func(h string) string { return h + ":00080" },
		func(h string) string { return h + ".:80." },
		func(h string) string { return "user@" + h },
		func(h string) string { return "user:x@" + h },
		func(h string) string { return h + ",b" },
		func(h string) string { return h + " b" },
		func(h string) string { return h + "/x" },
		func(h string) string { return h + "%2fx" },
		func(h string) string { return h + "\\x" },
		func(h string) string { return h + "?x" },
		func(h string) string { return h + "#x" },
		func(h string) string { return "*." + h },
		func(h string) string { return "." + h },
		func(h string) string { return h + "x" },
		func(h string) string { return "x" + h },
		func(h string) string { return strings.Replace(h, ".", "..", 1) },
		func(h string) string { return strings.Replace(h, "a", "\u0430", 1) }, // Cyrillic
		func(h string) string { return strings.Replace(h, "a", "%61", 1) },
		func(string) string { return "" },
		func(string) string { return "*" },
		func(string) string { return "*." },
		func(string) string { return "*:80" },
		func(string) string { return "#" },
		func(string) string { return "." },
		func(string) string { return "[2001:DB8:0::1]" },
		func(string) string { return "[2001:DB8::1]:443" },
		func(string) string { return "[2001:db8::1" },
		func(string) string { return "[2001:db8::1%25lo]" },
		func(string) string { return "2001:db8::1" },
		func(string) string { return "192.0.2.07" },
		func(h string) string { return strings.Repeat("a.", 200) + h },
	}
	pathOddities = []func(string) string{
		func(p string) string { return p + "x" },
		func(p string) string { return p + "/" },
		func(p string) string { return p + "//" },
		func(p string) string { return p + "/." },
		func(p string) string { return p + "/.." },
		func(p string) string { return p + "/../y" },
		func(p string) string { return p + "/%2e%2E/y" },
		func(p string) string { return p + "/.%2e/../x" },
		func(p string) string { return p + "%2F" },
		func(p string) string { return p + "%2fy" },
		func(p string) string { return p + "%5c..%5cy" },
		func(p string) string { return p + "\\..\\y" },
		func(p string) string { return p + ";v=1" },
		func(p string) string { return p + ";/../y" },
		func(p string) string { return p + "?" },
		func(p string) string { return p + "?q=/../y" },
		func(p string) string { return p + "?q#f" },
		func(p string) string { return p + "/?/x//y" },
		func(p string) string { return p + "#" },
		func(p string) string { return p + "#/../x" },
		func(p string) string { return p + "/\u00e9" },
		func(p string) string { return p + "/\xff" },
		func(p string) string { return p + "%" },
		func(p string) string { return p + "%zz" },
		func(p string) string { return p + "%00" },
		func(p string) string { return p + "%0d%0a" },
		func(p string) string { return p + "/%252e%252e/y" },
		func(p string) string { return p + " /y" },
		func(p string) string { return p + "\t" },
		func(p string) string { return p + "/" + strings.Repeat("y", 10_000) },
		func(p string) string { return p + strings.Repeat("/y", 10_000) },
		func(p string) string { return "/" + p },
		func(p string) string { return "/." + p },
		func(p string) string { return "/y/.." + p },
		func(p string) string { return "/%2e%2e" + p },
		func(p string) string { return strings.TrimPrefix(p, "/") },
		func(p string) string { return "http://a.example.com" + p },
		func(p string) string { return "https://A:80" + p },
		func(p string) string { return "http:" + p },
		func(p string) string { return "ftp://a" + p },
		strings.ToUpper,
		strings.ToLower,
		func(p string) string { return strings.Replace(p, "x", "%78", 1) },
		func(p string) string { return strings.ReplaceAll(p, "%C3", "%c3") },
		func(p string) string { return strings.ReplaceAll(p, "!", "%21") },
		func(p string) string { return strings.Replace(p, "/x", "/x/", 1) },
		func(p string) string { return strings.Replace(p, "/y", "/", 1) },
		func(p string) string { return strings.ReplaceAll(p, "/", "//") },
		func(string) string { return "*" },
		func(string) string { return "" },
		func(string) string { return "/" + wellKnown },
		func(p string) string { return "/" + wellKnown + strings.TrimSuffix(p, "/") },
		func(p string) string { return "/" + wellKnown + p + "/" },
	}
	methods = []string{"GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "CONNECT", "get", "PROPFIND"}
	extras  = [][]string{
		{"origin", pageOrigin},
		{"origin", pageOrigin, "access-control-request-method", "GET"},
		{"origin", "https://evil.example", "access-control-request-method", "GET"},
		{"x-durward-shard", "a/x"},
		{"x-forwarded-host", "a"},
		{"x-original-url", "/x"},
		{"x-http-method-override", "CONNECT"},
		{"x-envoy-original-path", "/x"},
		{"connection", "upgrade", "upgrade", "websocket"},
		{"connection", "upgrade, http2-settings", "upgrade", "h2c", "http2-settings", ""},
		{"expect", "100-continue"},
		{"te", "trailers"},
	}
)

// once draws true once in n times.
func once(t *rapid.T, n int, what string) bool { return rapid.IntRange(1, n).Draw(t, what) == n }

// drawCall draws a request that mostly is for one of the APIs, and as often as not odd
// in one respect. Unless fatal, it is none of which HTTP/2 dies.
func drawCall(t *rapid.T, cat *catalog.Catalogue, fatal bool) call {
	host, path := drawnHost.Draw(t, "host"), drawnPath.Draw(t, "path")
	if len(cat.APIs) > 0 && !once(t, 4, "stranger") {
		api := rapid.SampledFrom(cat.APIs).Draw(t, "API")
		if pattern := rapid.SampledFrom(api.Hosts).Draw(t, "pattern"); pattern != "*" {
			host = strings.Replace(pattern, "*", rapid.SampledFrom(labels).Draw(t, "label"), 1)
		}
		if rapid.Bool().Draw(t, "exactly") {
			path = api.BasePath
		} else {
			path = strings.TrimSuffix(api.BasePath, "/") + path
		}
	}
	c := call{method: "GET", target: path, hosts: []string{host}, h2: once(t, 3, "h2")}
	if once(t, 2, "odd path") {
		c.target = rapid.SampledFrom(pathOddities).Draw(t, "path oddity")(path)
	}
	if once(t, 3, "odd host") {
		c.hosts[0] = rapid.SampledFrom(hostOddities).Draw(t, "host oddity")(host)
	}
	switch rapid.IntRange(0, 22).Draw(t, "rare") {
	case 0:
		c.hosts = append(c.hosts, drawnHost.Draw(t, "second host"))
	case 1:
		c.hosts = slices.Repeat(c.hosts, 2)
	case 2:
		c.hosts = nil
	case 3, 4, 5:
		c.headers = rapid.SampledFrom(extras).Draw(t, "headers")
		c.method = rapid.SampledFrom([]string{"GET", "OPTIONS"}).Draw(t, "method")
	case 6, 7, 8:
		c.method = rapid.SampledFrom(methods).Draw(t, "method")
	case 9, 10: // as if host and path named a bucket
		c.hosts[0] = rapid.SampledFrom([]string{"*", "*.", "*:80", "#"}).Draw(t, "mark")
		c.target = "/" + rapid.SampledFrom([]string{"5", "53", "0"}).Draw(t, "bucket") + rapid.SampledFrom([]string{"", "/x"}).Draw(t, "rest")
	}
	c.h2 = c.h2 && (fatal || !c.isFatal())
	return c
}
