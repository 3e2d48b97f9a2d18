package catalog

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

func TestHeaders(t *testing.T) {
	t.Parallel()
	if h := compileExample(t).Headers; h.Prefix != "x-claim-" || h.Claims != nil {
		t.Errorf("headers by default are %+v", h)
	}
	cat, findings := compileChanged(t, func(c *durwardv1.Config) {
		c.Headers = &durwardv1.Headers{Prefix: "x-shop-", Claims: map[string]string{"mail": "email", "country": "account.address.country"}, Preset: "istio"}
	})
	if cat == nil {
		t.Fatalf("findings: %v", findings)
	}
	want := Headers{Prefix: "x-shop-", Claims: []ClaimHeader{
		{"x-jwt-claim-cid", []string{"cid"}},
		{"x-jwt-claim-email", []string{"email"}},
		{"x-jwt-claim-groups", []string{"groups"}},
		{"x-jwt-claim-iss", []string{"iss"}},
		{"x-jwt-claim-scp", []string{"scp"}},
		{"x-jwt-claim-sub", []string{"sub"}},
		{"x-jwt-claim-uid", []string{"uid"}},
		{"x-shop-country", []string{"account", "address", "country"}},
		{"x-shop-mail", []string{"email"}},
	}}
	if diff := cmp.Diff(want, cat.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if cat, findings := compileChanged(t, headers("x-jwt-claim-", "", "role", "role")); cat == nil || cat.Headers.Claims[0].Header != "x-jwt-claim-role" {
		t.Errorf("findings: %v", findings)
	}
}

func TestBrowsers(t *testing.T) {
	t.Parallel()
	cat, findings := compileChanged(t, func(c *durwardv1.Config) {
		c.Apis[0].Cors = &durwardv1.CORS{
			AllowOrigins: []string{"https://app.example.com", "http://localhost:3000", "https://*.example.com:8443", "http://[::1]"},
			AllowHeaders: []string{"x-shop", "dpop"}, ExposeHeaders: []string{"x-auth-subject", "retry-after"}, AllowCredentials: true, MaxAge: durationpb.New(0),
		}
		c.Apis[1].Cors = &durwardv1.CORS{AllowOrigins: []string{"https://app.example.com"}}
	})
	if cat == nil {
		t.Fatalf("findings: %v", findings)
	}
	want := &CORS{
		Origins:       []string{"https://app.example.com", "http://localhost:3000", "https://*.example.com:8443", "http://[::1]"},
		AllowHeaders:  []string{"authorization", "content-type", "dpop", "x-shop"},
		ExposeHeaders: []string{"www-authenticate", "retry-after", "x-decision-id", "x-auth-subject"},
		Credentials:   true,
	}
	if diff := cmp.Diff(want, cat.API("orders").CORS); diff != "" {
		t.Errorf("cors (-want +got):\n%s", diff)
	}
	if got := cat.API("carts").CORS; got.MaxAge != 10*time.Minute || got.Credentials {
		t.Errorf("cors by default is %+v", got)
	}
	if compileExample(t).API("orders").CORS != nil {
		t.Error("cors of nobody")
	}
}

func TestExternal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ gateway, want string }{
		{"http://127.0.0.1:10000", "http://127.0.0.1:10000"},
		{"https://Shop.Example.com:443/", "https://shop.example.com"},
		{"http://shop.example.com:80", "http://shop.example.com"},
		{"https://shop.example.com:80", "https://shop.example.com:80"},
		{"http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080"},
	} {
		cat, findings := compileChanged(t, func(c *durwardv1.Config) { c.Gateways[0].Url = tt.gateway })
		if cat == nil {
			t.Errorf("%s: %v", tt.gateway, findings)
			continue
		}
		if got := cat.API("orders").External; !cmp.Equal(got, []string{tt.want}) {
			t.Errorf("%s is %v; want %s", tt.gateway, got, tt.want)
		}
	}
	own := []string{"https://api.example.com", "https://api.example.org:8443"}
	cat, _ := compileChanged(t, external(own...))
	if got := cat.API("orders").External; !cmp.Equal(got, own) {
		t.Errorf("own URLs are %v", got)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	cat, findings := compileChanged(t, func(c *durwardv1.Config) {
		c.Apis[0].Mode, c.Apis[0].ForwardAuthorization = "shadow", true
		c.Apis[1].Mode = "enforce"
	})
	if cat == nil || len(findings) > 0 {
		t.Fatalf("findings: %v", findings)
	}
	orders, carts := cat.API("orders"), cat.API("carts")
	if !orders.Shadow || !orders.ForwardAuthorization || carts.Shadow || carts.ForwardAuthorization || compileExample(t).API("orders").Shadow {
		t.Errorf("orders %+v, carts %+v", orders, carts)
	}
}
