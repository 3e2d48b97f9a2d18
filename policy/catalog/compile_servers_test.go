package catalog

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// compileServer compiles the example with its server changed.
func compileServer(t *testing.T, change func(s *durwardv1.AuthorizationServer)) (*Catalogue, []Finding) {
	t.Helper()
	cfg := exampleConfig(t)
	change(cfg.GetAuthorizationServers()[0])
	return Compile(cfg, nil)
}

func TestServerDefaults(t *testing.T) {
	t.Parallel()
	s := compileExample(t).Servers[0]
	want := &AuthorizationServer{
		Name: "default", Issuer: "https://example.okta.com/oauth2/default", Issuers: []string{"https://example.okta.com/oauth2/default"},
		Audience: "api://default", Leeway: 30 * time.Second, Algorithms: []string{"RS256"}, LongestAge: 30 * time.Second,
		Introspection: Introspection{ClientID: "0oaGATEWAY", SecretFile: "/run/secrets/okta", Auth: ClientSecretBasic},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("server (-want +got):\n%s", diff)
	}
}

// TestServerKeys sets every key of a server.
func TestServerKeys(t *testing.T) {
	t.Parallel()
	cat, findings := compileServer(t, func(s *durwardv1.AuthorizationServer) {
		s.Issuer, s.Issuers = "", []string{"https://login.example.com/oauth2/default", "https://example.okta.com/oauth2/default"}
		s.Tokens, s.CaFile, s.Leeway = "jwt", "/etc/ca.pem", durationpb.New(5*time.Minute)
		s.Algorithms = []string{"ES256", "RS256"}
		s.Introspection = &durwardv1.Introspection{ClientId: "0oaKey", AuthMethod: "private_key_jwt", PrivateKeyFile: "/run/key", KeyId: "k1"}
	})
	if cat == nil {
		t.Fatalf("findings: %v", findings)
	}
	want := &AuthorizationServer{
		Name: "default", Issuer: "https://login.example.com/oauth2/default",
		Issuers:  []string{"https://login.example.com/oauth2/default", "https://example.okta.com/oauth2/default"},
		Audience: "api://default", CAFile: "/etc/ca.pem", Leeway: 5 * time.Minute,
		Algorithms: []string{"ES256", "RS256"}, LongestAge: 30 * time.Second,
		Introspection: Introspection{ClientID: "0oaKey", KeyFile: "/run/key", KeyID: "k1", Auth: PrivateKeyJWT},
	}
	if diff := cmp.Diff(want, cat.Servers[0]); diff != "" {
		t.Errorf("server (-want +got):\n%s", diff)
	}
}

// TestOpaque holds which servers' tokens are not read, and that none of them is verified
// by a signature.
func TestOpaque(t *testing.T) {
	t.Parallel()
	const custom, org = "https://example.okta.com/oauth2/default", "https://example.okta.com"
	for _, tt := range []struct {
		issuer, tokens, verify  string
		isOrg, isOpaque, refuse bool
	}{
		{custom, "", "introspection", false, false, false},
		{custom, "", "jwt", false, false, false},
		{custom, "jwt", "both", false, false, false},
		{custom, "opaque", "introspection", false, true, false},
		{custom, "opaque", "jwt", false, true, true},
		{custom, "opaque", "both", false, true, true},
		{org, "", "introspection", true, true, false},
		{org, "opaque", "introspection", true, true, false},
		{org, "jwt", "introspection", true, true, true},
		{org, "", "jwt", true, true, true},
		{org, "opaque", "both", true, true, true},
	} {
		cfg := exampleConfig(t)
		cfg.AuthorizationServers[0].Issuer, cfg.AuthorizationServers[0].Tokens = tt.issuer, tt.tokens
		cfg.TokenPolicies[0].Verify = tt.verify
		cat, findings := Compile(cfg, nil)
		if (cat == nil) != tt.refuse || (len(findings) == 1) != tt.refuse {
			t.Errorf("%+v: findings %v", tt, findings)
		}
		if cat != nil && (cat.Servers[0].Org != tt.isOrg || cat.Servers[0].Opaque != tt.isOpaque) {
			t.Errorf("%+v: Org %t, Opaque %t", tt, cat.Servers[0].Org, cat.Servers[0].Opaque)
		}
	}
}

// TestLongestAge holds that the cache is kept for the policy that bears the oldest facts,
// and that policies which never ask have no say.
func TestLongestAge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		verify string
		ages   [2]time.Duration // negative: not written
		want   time.Duration
	}{
		{"introspection", [2]time.Duration{2 * time.Second, 0}, 2 * time.Second},
		{"both", [2]time.Duration{0, time.Minute}, time.Minute},
		{"both", [2]time.Duration{-1, 2 * time.Second}, 30 * time.Second},
		{"introspection", [2]time.Duration{0, 0}, 0},
		{"introspection", [2]time.Duration{time.Hour, -1}, time.Hour},
	} {
		cfg := exampleConfig(t)
		for i, p := range cfg.GetTokenPolicies() {
			p.Verify, p.MaxAge = tt.verify, nil
			if tt.ages[i] >= 0 {
				p.MaxAge = durationpb.New(tt.ages[i])
			}
		}
		cat, findings := Compile(cfg, nil)
		if cat == nil || cat.Servers[0].LongestAge != tt.want {
			t.Errorf("%v: %v; want %s", tt, findings, tt.want)
		}
	}
	cfg := exampleConfig(t)
	for _, p := range cfg.GetTokenPolicies() {
		p.Verify, p.MaxAge = "jwt", nil
	}
	cat, findings := Compile(cfg, nil)
	if cat == nil || cat.Servers[0].LongestAge != 0 || cat.TokenPolicies[0].MaxAge != 0 {
		t.Errorf("findings %v; a policy that never asks has an age", findings)
	}
}

func TestListenerTLS(t *testing.T) {
	t.Parallel()
	cfg := exampleConfig(t)
	cfg.Listeners = &durwardv1.Listeners{
		Check: &durwardv1.Listener{Address: "0.0.0.0:9001", Tls: &durwardv1.ListenerTLS{
			CertFile: "c.pem", KeyFile: "k.pem", ClientCaFile: "ca.pem", AllowedSans: []string{"envoy"},
			Envoy: &durwardv1.EnvoyTLS{CertFile: "/e/c.pem", KeyFile: "/e/k.pem", CaFile: "/e/ca.pem", ServerName: "durward.internal"},
		}},
		Xds: &durwardv1.Listener{Address: "unix:/run/xds.sock"},
	}
	cat, findings := Compile(cfg, nil)
	if cat == nil {
		t.Fatalf("findings: %v", findings)
	}
	want := Listeners{
		Check: Listener{Address: "0.0.0.0:9001", TLS: &ListenerTLS{
			CertFile: "c.pem", KeyFile: "k.pem", ClientCAFile: "ca.pem", AllowedSANs: []string{"envoy"},
			Envoy: EnvoyTLS{CertFile: "/e/c.pem", KeyFile: "/e/k.pem", CAFile: "/e/ca.pem", ServerName: "durward.internal"},
		}},
		XDS: Listener{Address: "unix:/run/xds.sock", Mode: 0o600},
		Ops: "127.0.0.1:8081", Admin: "127.0.0.1:9902",
	}
	if diff := cmp.Diff(want, cat.Listeners); diff != "" {
		t.Errorf("Listeners (-want +got):\n%s", diff)
	}
	cfg.Listeners.Xds.Mode = "0660"
	if cat, findings = Compile(cfg, nil); cat == nil || cat.Listeners.XDS.Mode != 0o660 {
		t.Errorf("mode 0660: %v", findings)
	}
}

// TestRevisionOfServers holds that every key about servers and ports counts.
func TestRevisionOfServers(t *testing.T) {
	t.Parallel()
	seen := map[string]string{compileExample(t).Revision: "nothing"}
	server := func(c *durwardv1.Config) *durwardv1.AuthorizationServer { return c.AuthorizationServers[0] }
	listener := func(c *durwardv1.Config) *durwardv1.Listener {
		c.Listeners = &durwardv1.Listeners{Check: &durwardv1.Listener{Tls: &durwardv1.ListenerTLS{CertFile: "c", KeyFile: "k", ClientCaFile: "ca", AllowedSans: []string{"a"}}}}
		return c.Listeners.Check
	}
	for name, change := range map[string]func(*durwardv1.Config){
		"tokens":           func(c *durwardv1.Config) { server(c).Tokens = "opaque" },
		"issuers":          func(c *durwardv1.Config) { server(c).Issuers, server(c).Issuer = []string{server(c).Issuer}, "" },
		"ca_file":          func(c *durwardv1.Config) { server(c).CaFile = "ca" },
		"leeway":           func(c *durwardv1.Config) { server(c).Leeway = durationpb.New(time.Second) },
		"algorithms":       func(c *durwardv1.Config) { server(c).Algorithms = []string{"ES256"} },
		"verify":           func(c *durwardv1.Config) { c.TokenPolicies[0].Verify = "both" },
		"private_key_file": func(c *durwardv1.Config) { server(c).Introspection.PrivateKeyFile = "k" },
		"key_id":           func(c *durwardv1.Config) { server(c).Introspection.KeyId = "k" },
		"tls":              func(c *durwardv1.Config) { listener(c) },
		"cert_file":        func(c *durwardv1.Config) { listener(c).Tls.CertFile = "x" },
		"key_file":         func(c *durwardv1.Config) { listener(c).Tls.KeyFile = "x" },
		"client_ca_file":   func(c *durwardv1.Config) { listener(c).Tls.ClientCaFile = "x" },
		"allowed_sans":     func(c *durwardv1.Config) { listener(c).Tls.AllowedSans = []string{"x"} },
		"envoy":            func(c *durwardv1.Config) { listener(c).Tls.Envoy = &durwardv1.EnvoyTLS{} },
		"envoy.cert_file":  func(c *durwardv1.Config) { listener(c).Tls.Envoy = &durwardv1.EnvoyTLS{CertFile: "x"} },
		"envoy.key_file":   func(c *durwardv1.Config) { listener(c).Tls.Envoy = &durwardv1.EnvoyTLS{KeyFile: "x"} },
		"envoy.ca_file":    func(c *durwardv1.Config) { listener(c).Tls.Envoy = &durwardv1.EnvoyTLS{CaFile: "x"} },
		"server_name":      func(c *durwardv1.Config) { listener(c).Tls.Envoy = &durwardv1.EnvoyTLS{ServerName: "x"} },
		"mode":             func(c *durwardv1.Config) { c.Listeners = &durwardv1.Listeners{Xds: &durwardv1.Listener{Mode: "0660"}} },
		"log.user":         func(c *durwardv1.Config) { c.Log = &durwardv1.Log{User: "clear"} },
	} {
		cfg := exampleConfig(t)
		change(cfg)
		got := compile(cfg, nil, nil).cat.Revision
		if seen[got] != "" {
			t.Errorf("%s: revision %s is that of %s", name, got, seen[got])
		}
		seen[got] = name
	}
}
