package oktatest_test

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*oktatest.Config){
		"no authorization server": func(c *oktatest.Config) { c.AuthorizationServers = nil },
		"id is not":               func(c *oktatest.Config) { c.AuthorizationServers[0].ID = "a/b" },
		"no audience":             func(c *oktatest.Config) { c.AuthorizationServers[0].Audience = "" },
		"two authorization servers": func(c *oktatest.Config) {
			c.AuthorizationServers = append(c.AuthorizationServers, c.AuthorizationServers[0])
		},
		`scope "a b"`:                       func(c *oktatest.Config) { c.AuthorizationServers[0].Scopes = []string{"a b"} },
		`scope "openid"`:                    func(c *oktatest.Config) { c.AuthorizationServers[0].Scopes = []string{"openid"} },
		"lifetime 1m0s is outside":          func(c *oktatest.Config) { c.AuthorizationServers[0].AccessTokenLifetime = time.Minute },
		"lifetime 25h0m0s is outside":       func(c *oktatest.Config) { c.AuthorizationServers[0].AccessTokenLifetime = 25 * time.Hour },
		`claim "cid"`:                       func(c *oktatest.Config) { c.AuthorizationServers[0].Claims = []string{"cid"} },
		"base URL":                          func(c *oktatest.Config) { c.BaseURL = "http://127.0.0.1:1/" },
		`type "" is not`:                    func(c *oktatest.Config) { c.Clients[0].Type = "" },
		"a service client needs a secret":   func(c *oktatest.Config) { c.Clients[1].Secret = "" },
		"client_credentials needs a secret": func(c *oktatest.Config) { c.Clients[0].GrantTypes = []string{"client_credentials"} },
		"a service client has no users":     func(c *oktatest.Config) { c.Clients[1].GrantTypes = []string{"authorization_code"} },
		`grant type "password"`:             func(c *oktatest.Config) { c.Clients[0].GrantTypes = []string{"password"} },
		`redirect URI "/callback"`:          func(c *oktatest.Config) { c.Clients[0].RedirectURIs = []string{"/callback"} },
		`redirect URI "http://a/#b"`:        func(c *oktatest.Config) { c.Clients[0].PostLogoutRedirectURIs = []string{"http://a/#b"} },
		"two clients":                       func(c *oktatest.Config) { c.Clients[1].ID = c.Clients[0].ID },
		"two users":                         func(c *oktatest.Config) { c.Users[1].Login = strings.ToUpper(c.Users[0].Login) },
		`acr value "gold"`:                  func(c *oktatest.Config) { c.Users[0].LacksACR = []string{"gold"} },
		"user login":                        func(c *oktatest.Config) { c.Users[0].Login = "" },
	} {
		cfg := oktatest.DefaultConfig()
		change(&cfg)
		if s, err := oktatest.NewServer(cfg); err == nil || s != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestGeneratedFields(t *testing.T) {
	t.Parallel()
	a, b := oktatest.New(t), oktatest.New(t)
	if !regexp.MustCompile(`^00u\w{17}$`).MatchString(a.User("alice@example.com").ID) || !regexp.MustCompile(`^0oa\w{17}$`).MatchString(a.Client("gateway").ID) {
		t.Errorf("ids %q, %q", a.User("alice@example.com").ID, a.Client("gateway").ID)
	}
	if secret := a.Client("gateway").Secret; len(secret) != 64 || secret == b.Client("gateway").Secret {
		t.Error("two servers share a secret")
	}
	if a.Client("nobody").ID != "" || a.User("nobody").ID != "" {
		t.Error("an unknown name found somebody")
	}
}

// TestStartRefusesOtherMachines never listens on them: the check comes first.
func TestStartRefusesOtherMachines(t *testing.T) {
	t.Parallel()
	s, err := oktatest.NewServer(oktatest.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1"} {
		err := s.Start(addr)
		if err == nil {
			check(t, s.Close())
			t.Fatalf("listens on %s", addr)
		}
		if addr != "127.0.0.1" && !strings.Contains(err.Error(), "sign in as anybody") {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if s.URL() != "" {
		t.Errorf("URL %q", s.URL())
	}
	check(t, s.Start("127.0.0.1:0"))
	defer s.Close()
	if err := s.Start("127.0.0.1:0"); err == nil {
		t.Error("started twice")
	}
	cfg := oktatest.DefaultConfig()
	cfg.AllowRemote = true
	remote, err := oktatest.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Start("0.0.0.0:0"); err == nil || !strings.Contains(err.Error(), "needs a base URL") {
		t.Errorf("listening everywhere without a base URL: %v", err)
	}
}

func TestStartNamesABusyPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := oktatest.NewServer(oktatest.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(l.Addr().String()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("busy port: %v", err)
	}
}

// fatal is a TB whose Fatalf is seen instead of ending the test.
type fatal struct{ said string }

func (*fatal) Helper()                          {}
func (*fatal) Cleanup(func())                   {}
func (f *fatal) Fatalf(format string, a ...any) { f.said = fmt.Sprintf(format, a...) }

func TestNewIsFatalOnABadConfig(t *testing.T) {
	t.Parallel()
	var tb fatal
	if s := oktatest.New(&tb, func(c *oktatest.Config) { c.Users[0].Login = "" }); s != nil || !strings.Contains(tb.said, "user login") {
		t.Errorf("server %v, said %q", s, tb.said)
	}
}
