package envoy

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/policy/catalog"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// messages lists all resources under unique names.
func (res Resources) messages() map[string]message {
	all := make(map[string]message)
	for _, c := range res.Clusters {
		all["cluster "+c.GetName()] = c
	}
	for _, l := range res.Listeners {
		all["listener "+l.GetName()] = l
	}
	for _, s := range res.Scopes {
		all["scope "+s.GetName()] = s
	}
	for _, rc := range res.Routes {
		all["routes "+rc.GetName()] = rc
	}
	return all
}

func (res Resources) bytes(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for name, m := range res.messages() {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	return all
}

func mustTranslate(t *testing.T, cat *catalog.Catalogue) Resources {
	t.Helper()
	res, err := Translate(cat, "edge")
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestTranslateGolden(t *testing.T) {
	t.Parallel()
	res := mustTranslate(t, compile(t, small()))
	got := new(txtar.Archive)
	for _, c := range res.Clusters {
		got.Files = append(got.Files, txtar.File{Name: "cluster " + c.GetName(), Data: indented(t, c)})
	}
	for _, l := range res.Listeners {
		got.Files = append(got.Files, txtar.File{Name: "listener " + l.GetName(), Data: indented(t, l)})
	}
	for _, rc := range res.Routes {
		got.Files = append(got.Files, txtar.File{Name: "routes " + rc.GetName(), Data: indented(t, rc)})
	}
	var scopes bytes.Buffer
	for _, s := range res.Scopes {
		if table := s.GetRouteConfigurationName(); table != "edge/*" { // nobody's buckets are many
			fmt.Fprintf(&scopes, "%s: %s\n", s.GetName(), table)
		}
	}
	got.Files = append(got.Files, txtar.File{Name: "scopes", Data: scopes.Bytes()})
	golden(t, "testdata/small.txtar", txtar.Format(got))
}

func TestBootstrapGolden(t *testing.T) {
	t.Parallel()
	cat := compile(t, small())
	got, err := Bootstrap(cat, "edge", BootstrapOptions{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/bootstrap.json", got)
	for range 20 { // protojson's blanks differ from run to run, not from call to call
		again, err := Bootstrap(cat, "edge", BootstrapOptions{})
		if err != nil || !bytes.Equal(got, again) {
			t.Fatalf("second bootstrap differs, error %v:\n%s", err, cmp.Diff(string(got), string(again)))
		}
	}
}

func indented(t *testing.T, m proto.Message) []byte {
	t.Helper()
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got), rewrite with -update:\n%s", file, diff)
	}
}

// Envoy is sent a resource anew when its bytes change. Map order must not do that.
func TestTranslateIsDeterministic(t *testing.T) {
	t.Parallel()
	want := mustTranslate(t, compile(t, small())).bytes(t)
	for range 50 {
		if got := mustTranslate(t, compile(t, small())).bytes(t); !cmp.Equal(want, got) {
			t.Fatal(cmp.Diff(want, got))
		}
	}
}

// proto.Marshal does not look into an Any, so that only pack can make its bytes stable.
func TestPackIsDeterministic(t *testing.T) {
	t.Parallel()
	many := make(map[string]string)
	for i := range 50 {
		many[fmt.Sprint(i)] = "x"
	}
	m := &extauthzv3.CheckSettings{ContextExtensions: many}
	want, err := pack(m)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		got, err := pack(m)
		if err != nil || !bytes.Equal(want.GetValue(), got.GetValue()) {
			t.Fatalf("second packing differs, error %v", err)
		}
	}
}

// A change of one API leaves alone what does not speak of it, the listener above all:
// a changed listener drains its connections.
func TestOneChange(t *testing.T) {
	t.Parallel()
	before := mustTranslate(t, compile(t, small())).bytes(t)
	// The table of the segment orders of any host, and that of a host of which another API
	// takes all segments that are not its own.
	at := func(host, segment string) string { return fmt.Sprintf("routes edge/%d", place{host, segment}.table()) }
	orders := []string{"routes edge/*354", at("[2001:db8::1]", "")}
	const documents = "routes edge/*706" // the table of .well-known
	tests := map[string]struct {
		change func(*catalog.Catalogue)
		want   []string
	}{
		"base path": {
			func(c *catalog.Catalogue) { c.API("orders").BasePath = "/o" },
			append([]string{"+routes edge/*111", "scope */111", documents}, orders...),
		},
		"backend path": {
			func(c *catalog.Catalogue) { c.API("billing").Backends[0].URL.Path = "/v3" },
			[]string{at("api.example.com", "billing")},
		},
		"timeout": {
			func(c *catalog.Catalogue) { c.API("orders").Backends[0].Timeout++ },
			orders,
		},
		"backend": {
			func(c *catalog.Catalogue) { c.API("billing").Backends[0].URL.Host = "billing-2.internal" },
			[]string{
				"+cluster https://billing-2.internal:443?ca_file=/etc/durward/backends.pem",
				"-cluster https://billing.internal:443?ca_file=/etc/durward/backends.pem",
				at("api.example.com", "billing"),
			},
		},
		"weight": {
			func(c *catalog.Catalogue) { c.API("catalog").Backends[0].Weight-- },
			[]string{at("api.example.com", "catalog")},
		},
		"protocol of one of two": {
			func(c *catalog.Catalogue) { c.API("catalog").Backends[1].Protocol = catalog.HTTP1 },
			[]string{
				"+cluster http://green.internal:8080", "-cluster http://green.internal:8080?protocol=h2",
				at("api.example.com", "catalog"),
			},
		},
		"claim": {
			func(c *catalog.Catalogue) {
				c.Headers.Claims = []catalog.ClaimHeader{{Header: "x-claim-email", Path: []string{"email"}}}
			},
			nil,
		},
		"claim prefix": {
			func(c *catalog.Catalogue) { c.Headers.Prefix = "x-user-" },
			[]string{"listener edge"},
		},
		"pages": {
			func(c *catalog.Catalogue) { c.API("billing").CORS = openAPI().CORS },
			[]string{at("api.example.com", "billing")},
		},
		"no pages": {
			func(c *catalog.Catalogue) { c.API("orders").CORS = nil },
			append([]string{documents}, orders...),
		},
		"protected resource": {
			func(c *catalog.Catalogue) { c.API("billing").ProtectedResource = true },
			[]string{"+" + at("api.example.com", ".well-known"), "+scope api.example.com/.well-known"},
		},
		"shadow": {
			func(c *catalog.Catalogue) { c.API("orders").Shadow = true },
			nil,
		},
		"credential": {
			func(c *catalog.Catalogue) { c.API("orders").ForwardAuthorization = true },
			nil,
		},
		"policy": {
			func(c *catalog.Catalogue) { c.API("billing").Operations[0].Methods = []string{"POST"} },
			nil,
		},
		"policy that preflights tell": {
			func(c *catalog.Catalogue) { c.API("orders").Operations[0].Methods = []string{"POST"} },
			orders,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cat := compile(t, small())
			tt.change(cat)
			after := mustTranslate(t, cat).bytes(t)
			got := make(map[string]bool)
			for name, b := range after {
				if old, ok := before[name]; !ok {
					got["+"+name] = true
				} else if old != b {
					got[name] = true
				}
			}
			for name := range before {
				if _, ok := after[name]; !ok {
					got["-"+name] = true
				}
			}
			want := make(map[string]bool)
			for _, name := range tt.want {
				want[name] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("changed resources (-want +got):\n%s", diff)
			}
		})
	}
}

func changed(change func(*catalog.API)) *catalog.API {
	a := literalAPI("a", "/", "http://b", "*")
	change(a)
	return a
}

func TestTranslateRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, gateway, want string
		cat                 *catalog.Catalogue
	}{
		{"unknown gateway", "egde", `no gateway is named "egde"; there is: edge`, literal()},
		{"zero check timeout", "edge", "check_timeout is not positive", &catalog.Catalogue{Gateways: literal().Gateways}},
		{"zero claim prefix", "edge", "headers.prefix is empty", &catalog.Catalogue{Gateways: literal().Gateways, CheckTimeout: time.Second}},
		{"zero backend timeout", "edge", "api a: backend.timeout is not positive", literal(changed(func(a *catalog.API) { a.Backends[0].Timeout = 0 }))},
		{"no backend", "edge", "api a: there is no backend", literal(changed(func(a *catalog.API) { a.Backends = nil }))},
		{"negative timeout of calls", "edge", "api a: backend.timeout is not positive", literal(changed(func(a *catalog.API) {
			a.Backends[0].Timeout, a.Backends[0].Protocol = -1, catalog.GRPC
		}))},
		{"negative idle timeout", "edge", "api a: backend.idle_timeout", literal(changed(func(a *catalog.API) { a.Backends[0].IdleTimeout = -1 }))},
		{"no weight", "edge", "api a: backends: a weight is not positive", literal(changed(func(a *catalog.API) { a.Backends = append(a.Backends, a.Backends[0]) }))},
		{"ftp backend", "edge", `api a: backend: scheme "ftp"`, literal(literalAPI("a", "/", "ftp://b", "*"))},
		{"backend without host", "edge", "api a: backend: http:///x has no host", literal(literalAPI("a", "/", "http:///x", "*"))},
		{"backend port", "edge", "api a: backend:", literal(literalAPI("a", "/", "http://b:99999", "*"))},
		{"host that Envoy refuses", "edge", `host "a\nb": invalid VirtualHost.Domains`, literal(literalAPI("a", "/", "http://b", "a\nb"))},
		{"name that protobuf refuses", "edge", "api \xff: ext_authz: pack", literal(literalAPI("\xff", "/", "http://b", "*"))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, err := Translate(tt.cat, tt.gateway)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if err != nil && res.Listeners != nil {
				t.Error("resources come with an error")
			}
		})
	}
}
