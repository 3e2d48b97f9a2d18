package login

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const twoServers = `version: 1
gateways: [ { name: edge, listen: "127.0.0.1:0", url: "http://127.0.0.1:10000" } ]
authorization_servers:
  - { name: people, issuer: "https://a.example.com/oauth2/default", audience: "api://a", introspection: { client_id: 0oaGATEWAY, client_secret_file: secret } }
  - { name: partners, issuer: "https://b.example.com/oauth2/default", audience: "api://b", introspection: { client_id: 0oaGATEWAY, client_secret_file: secret } }
token_policies:
  - { name: of-people, authorization_server: people, verify: introspection }
  - { name: of-partners, authorization_server: partners, verify: introspection }
organizations:
  - { name: retail, applications: [ { name: mobile, client_ids: [0oaA, 0oaB] }, { name: till, client_ids: [0oaC] }, { name: idle, client_ids: [0oaD] } ] }
  - { name: trade, applications: [ { name: mobile, client_ids: [0oaE] } ] }
apis:
  - name: orders
    frontend: { hosts: ["*"], path: /orders }
    backend: { url: "http://127.0.0.1:1" }
    token_policy: of-people
    operations:
      - { methods: [GET], path: "/{id}", scopes: { all: [z.read, a.read] } }
      - { methods: [GET], path: "/", scopes: { all: [a.read] } }
      - { methods: [POST], path: "/", scopes: { any: [m.write, m.admin] } }
      - { methods: [GET], path: "/news", public: true }
  - name: stock
    frontend: { hosts: ["*"], path: /stock }
    backend: { url: "http://127.0.0.1:1" }
    token_policy: of-partners
    operations: [ { methods: [GET], path: "/", scopes: { all: [s.read] } } ]
grants:
  - { api: orders, organization: retail, applications: [mobile, till] }
  - { api: stock, organization: retail, applications: [mobile] }
`

func TestChoose(t *testing.T) {
	t.Parallel()
	cat := catalogue(t, twoServers)
	for name, tt := range map[string]struct {
		app, server, client    string
		wantServer, wantClient string
		scopes                 []string
		// says is the error.
		says string
	}{
		"only server":    {app: "till", wantServer: "people", wantClient: "0oaC", scopes: []string{"a.read", "m.write", "z.read"}},
		"first client":   {app: "retail/mobile", server: "partners", wantServer: "partners", wantClient: "0oaA", scopes: []string{"s.read"}},
		"named client":   {app: "retail/mobile", server: "people", client: "0oaB", wantServer: "people", wantClient: "0oaB", scopes: []string{"a.read", "m.write", "z.read"}},
		"no grant":       {app: "idle", server: "people", wantServer: "people", wantClient: "0oaD"},
		"ambiguous":      {app: "mobile", says: `several organizations have an application "mobile"; say retail/mobile or trade/mobile`},
		"unknown":        {app: "til", says: `no application "til"; did you mean "till"?`},
		"unknown, full":  {app: "retail/mobil", says: `did you mean "retail/mobile"?`},
		"several":        {app: "retail/mobile", says: "several authorization servers; name one with --server: people, partners"},
		"unknown server": {app: "till", server: "peple", says: `no authorization server for till "peple"; did you mean "people"?`},
		"useless server": {app: "till", server: "partners", says: `no authorization server for till "partners"`},
		"no grant, two":  {app: "idle", says: "--server: people, partners"},
		"foreign client": {app: "till", client: "0oaA", says: `no client id of till "0oaA"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, err := Application(cat, tt.app)
			var got Target
			if err == nil {
				got, err = Choose(cat, app, tt.server, tt.client)
			}
			if tt.says != "" {
				var name *NameError
				if !errors.As(err, &name) {
					t.Fatalf("the error is %v", err)
				}
				says(t, err, nil, tt.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Server.Name != tt.wantServer || got.ClientID != tt.wantClient {
				t.Errorf("server %s, client %s", got.Server.Name, got.ClientID)
			}
			if diff := cmp.Diff(tt.scopes, got.Scopes); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// $BROWSER may be a list, and each may say where the address goes.
func TestBrowserVariable(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "show")
	record := filepath.Join(dir, "record")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" > "+record+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	const address = "http://127.0.0.1/authorize?a=1&b=$(id)"
	for list, want := range map[string]string{
		script:                         address,
		"/nowhere/browser:" + script:   address,
		script + " --new %s --quiet":   "--new " + address + " --quiet",
		script + " --url=%s:" + "true": "--url=" + address,
	} {
		t.Setenv("BROWSER", list)
		if err := OpenBrowser(address); err != nil {
			t.Errorf("%s: %v", list, err)
		}
		got, err := os.ReadFile(record)
		if err != nil || strings.Join(strings.Fields(string(got)), " ") != want {
			t.Errorf("%s: %q %v", list, got, err)
		}
	}
	for _, list := range []string{"/nowhere/browser", ":", script + "x"} {
		t.Setenv("BROWSER", list)
		if err := OpenBrowser(address); err == nil {
			t.Errorf("%s: opened", list)
		}
	}
	t.Setenv("BROWSER", "false")
	if err := OpenBrowser(address); err == nil {
		t.Error("a browser that fails is no error")
	}
}
