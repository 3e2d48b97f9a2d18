package serve

import (
	"slices"
	"strings"
	"testing"
)

// foreignRow has request paths, and what they end in.
type foreignRow map[string]string

const foreignMalformed = "400 request_malformed"

// TestAttackForeignEnvoy has the rows about paths, hosts, methods and headers, before an
// Envoy that normalises and removes nothing.
func TestAttackForeignEnvoy(t *testing.T) {
	t.Parallel()
	for name, filter := range map[string]string{"plain": plainFilter, "documented": documentedFilter()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newForeign(t, filter).attack(t)
		})
	}
}

func (f *foreign) attack(t *testing.T) {
	t.Helper()
	alice := f.token(t, "mobile", "alice", "orders.read")
	for id, paths := range foreignPaths {
		t.Run(id, func(t *testing.T) {
			for path, want := range paths {
				f.wants(t, id, "GET "+path, alice, "", want)
			}
		})
	}
	t.Run("Q09", func(t *testing.T) { f.hosts(t, alice) })
	t.Run("Q11", func(t *testing.T) { f.forms(t, alice) })
	t.Run("Q12", func(t *testing.T) { f.pseudoHeaders(t, alice) })
	t.Run("Q15", func(t *testing.T) { f.methods(t, alice) })
	t.Run("Q16", func(t *testing.T) { f.upgrades(t, alice) })
	t.Run("Q24", func(t *testing.T) { f.bytes(t, alice) })
	t.Run("Q25", func(t *testing.T) { f.crowds(t, alice) })
	t.Run("Q26", func(t *testing.T) { f.probes(t) })
	t.Run("Q27", func(t *testing.T) { f.addresses(t, alice) })
	t.Run("Q28", func(t *testing.T) { f.smuggles(t, alice) })
}

// foreignPaths are asked for with a token that opens orders, files and vault.
var foreignPaths = map[string]foreignRow{
	"Q01": {
		"/files/../admin": foreignMalformed, "/files/./a": foreignMalformed, "/files/.": foreignMalformed, "/files/..": foreignMalformed, "/../files/a": foreignMalformed,
		"/files/a/.%2e/b": foreignMalformed, "/files/%2e%2e/admin": foreignMalformed, "/files/a/..": foreignMalformed, "/watched/../admin": foreignMalformed, "/..": foreignMalformed,
	},
	"Q02": {
		"/files/a%2fb": foreignMalformed, "/files/a%2Fb": foreignMalformed, "/files/a%5cb": foreignMalformed, "/files/a%5Cb": foreignMalformed, "/files/%2e": foreignMalformed,
		"/files/%00": foreignMalformed, "/files/%01": foreignMalformed, "/files/%0a": foreignMalformed, "/files/%7f": foreignMalformed, "/files/%c0%af": "200",
		"/files/%zz": foreignMalformed, "/files/%": foreignMalformed, "/files/%2": foreignMalformed, "/%66iles/a": foreignMalformed, "/orders%2f7": foreignMalformed,
	},
	"Q03": {"/files/a%252fb": foreignMalformed, "/files/%252e%252e": foreignMalformed, "/orders/%252e": foreignMalformed},
	"Q04": {"//files/a": foreignMalformed, "/files//a": foreignMalformed, "//vault@api.example.com/keys": foreignMalformed, "/files/a//": foreignMalformed, "//": foreignMalformed},
	"Q05": {
		"/files/a;b=c": foreignMalformed, "/files/..;/admin": foreignMalformed, "/files/;/a": foreignMalformed, `/files/..\admin`: foreignMalformed, "/orders;x/7": foreignMalformed,
		"/files/a%3Bb": "200", "/files/a,b": "200",
	},
	"Q06": {
		"/files/a?/../admin": "200", "/admin?x=/files/a": "404 api_unknown", "/nothing?/files/public": "404 api_unknown",
		"/files/public%3f/../a": foreignMalformed, "/files/a%23": "200", "/files/public%3Fx": "200", "/orders?/7": "405 operation_unknown",
	},
	"Q07": {"/Files/a": "404 api_unknown", "/FILES/public": "404 api_unknown", "/orders/BY/x/y": "404 operation_unknown", "/%E2%84%AAeys": "404 api_unknown", "/f%C4%B1les/a": "404 api_unknown"},
	"Q08": {
		"/orders/": "404 operation_unknown", "/orders/7/": "404 operation_unknown", "/orders.json": "404 api_unknown", "/orders.": "404 api_unknown",
		"/ordersx/7": "404 api_unknown", "/orders/7": "200", "/files": "200",
	},
}

// hosts: one reading of every host, or none.
func (f *foreign) hosts(t *testing.T, alice string) {
	t.Helper()
	for host, want := range map[string]string{
		"vault.example.com": "200", "VAULT.Example.COM": "200", "vault.example.com.": "200", "vault.example.com:443": "200",
		"vault.example.com:0443": "200", "vault.example.com:10000": "200",
		"api.example.com": "404 api_unknown", "vault.example.com.evil.com": "404 api_unknown", "xvault.example.com": "404 api_unknown",
		"[::1]": "404 api_unknown", "[::1]:80": "404 api_unknown", "127.0.0.1": "404 api_unknown",
		"u@vault.example.com": foreignMalformed, "vault.example.com@evil.com": foreignMalformed, "vault.example.com,evil.com": foreignMalformed,
		"vault.example.com:80:80": foreignMalformed, "vault.example.com:x": foreignMalformed, "vault..example.com": foreignMalformed, ".vault.example.com": foreignMalformed,
		"vault.example.com..": foreignMalformed, "[::1": foreignMalformed, "[fe80::1%25eth0]": foreignMalformed,
	} {
		f.wants(t, host, "GET /vault/keys", alice, "host: "+host+"\r\n", want)
	}
	f.wants(t, "two hosts", "GET /vault/keys", alice, "host: api.example.com\r\nhost: vault.example.com\r\n", foreignMalformed)
	f.wants(t, "two hosts", "GET /vault/keys", alice, "host: vault.example.com\r\nhost: vault.example.com\r\n", foreignMalformed)
	f.wants(t, "no host", "GET /vault/keys", alice, "host:\r\n", foreignMalformed)
	f.wants(t, "a host that we do not read", "GET /vault/keys", alice, "x-forwarded-host: vault.example.com\r\n", "404 api_unknown")
}

// forms of request targets that are no path.
func (f *foreign) forms(t *testing.T, alice string) {
	t.Helper()
	for line, want := range map[string]string{
		"GET http://vault.example.com/vault/keys": "200", // its own host counts
		"GET http://api.example.com/vault/keys":   "404 api_unknown",
		"GET http://evil/admin":                   "404 api_unknown",
		"GET http://u@vault.example.com/vault/..": foreignMalformed,
		"OPTIONS *":                     "404",
		"GET *":                         "400",
		"GET files/a":                   "400",
		"CONNECT vault.example.com:443": "404",
	} {
		f.wants(t, "target", line, alice, "host: api.example.com\r\n", want)
	}
}

// pseudoHeaders cannot be told otherwise by headers.
func (f *foreign) pseudoHeaders(t *testing.T, alice string) {
	t.Helper()
	for _, line := range []string{":path: /orders/8\r\n", ":method: POST\r\n", ":authority: vault.example.com\r\n"} {
		f.wants(t, line, "GET /orders/7", alice, line, "400")
	}
	good := []string{":method", "GET", ":scheme", "http", ":path", "/orders/7", ":authority", "api.example.com", "authorization", "Bearer " + alice}
	if got := f.h2(t, good...); got != 200 {
		t.Errorf("HTTP/2: %d", got)
	}
	f.backend.take()
	for _, more := range [][]string{{":path", "/orders/8"}, {":authority", "vault.example.com"}, {"host", "vault.example.com"}, {":method", "POST"}} {
		got := f.h2(t, append(slices.Clone(good), more...)...)
		// Of host beside :authority the first is Envoy's own to drop.
		if seen := f.backend.take(); got == 200 && (more[0] != "host" || seen[0].Host != "api.example.com") || got != 200 && len(seen) > 0 {
			t.Errorf("%q: %d, the backend saw %v", more, got, seen)
		}
	}
}

func (f *foreign) methods(t *testing.T, alice string) {
	t.Helper()
	for method, want := range map[string]string{
		"HEAD": "405", "OPTIONS": "405 operation_unknown", "PUT": "405 operation_unknown", "TRACE": "405 operation_unknown",
		"get": "400", "Get": "400", "FOO": "400", strings.Repeat("A", 1024): "400",
	} {
		f.wants(t, "method", method+" /orders/7", alice, "", want)
	}
	f.wants(t, "preflight", "OPTIONS /orders/7", "", "origin: https://evil.example\r\naccess-control-request-method: GET\r\n", "401 token_missing")
}
