package policytest_test

import (
	"strings"
	"testing"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
	"github.com/durward/durward/policy/policytest"
)

const world = `version: 1
gateways: [ { name: edge, listen: 127.0.0.1:10000, url: http://127.0.0.1:10000 } ]
authorization_servers:
  - { name: default, issuer: https://example.okta.com/oauth2/default, audience: api://default, introspection: { client_id: 0oaGATEWAY, auth_method: none } }
token_policies:
  - { name: people, authorization_server: default, verify: both }
  - { name: machines, authorization_server: default, verify: both, machine_tokens: true }
organizations:
  - { name: retail, applications: [ { name: mobile, client_ids: [0oaMOBILE] }, { name: kiosk, client_ids: [0oaKIOSK] } ] }
  - { name: logistics, applications: [ { name: warehouse, client_ids: [0oaWAREHOUSE] } ] }
headers: { claims: { email: email, level: profile.level } }
denials:
  - { user_id: 00uMALLORY, reason: left }
apis:
  - name: orders
    frontend: { hosts: ["*"], path: /orders }
    backend: { url: http://orders.internal:8080 }
    token_policy: people
    operations:
      - { methods: [GET], path: "/{id}", scopes: { all: [orders.read] } }
      - { methods: [GET], path: "/by/{login}", scopes: { all: [orders.read] }, rule: "request.params.login == token.sub" }
      - { methods: [DELETE], path: "/{id}", scopes: { all: [orders.write] }, acr_values: [phr], max_auth_age: 5m }
      - { methods: [GET], path: "/health", public: true }
      - { methods: [PUT], path: "/{id}", scopes: { all: [orders.write] }, rule: "request.source_ip == '192.0.2.7'" }
  - name: stock
    frontend: { hosts: [stock.example.com], path: /stock }
    backend: { url: http://stock.internal:8080 }
    token_policy: machines
    mode: shadow
    operations: [ { methods: [GET], path: "/**", scopes: { any: [stock.read, stock.admin] } } ]
  - name: red
    frontend: { hosts: ["*.red.example.com"], path: /shared }
    backend: { url: http://red.internal:8080 }
    token_policy: people
    operations: [ { methods: [GET], path: "/", scopes: { all: [shared.read] } } ]
  - name: blue
    frontend: { hosts: [blue.example.com], path: /shared }
    backend: { url: http://blue.internal:8080 }
    token_policy: people
    operations: [ { methods: [GET], path: "/", scopes: { all: [shared.read] } } ]
  - name: green
    frontend: { hosts: ["*.green.example.com"], path: /green }
    backend: { url: http://green.internal:8080 }
    token_policy: people
    operations: [ { methods: [GET], path: "/", scopes: { all: [shared.read] } } ]
grants:
  - { api: orders, organization: retail, applications: [mobile] }
  - { api: orders, organization: logistics, applications: [] }
  - { api: stock, organization: logistics, all_applications: true }
`

// catalogue compiles the world, changed by replacing the pairs of edits.
func catalogue(t testing.TB, edits ...string) *catalog.Catalogue {
	t.Helper()
	text := strings.NewReplacer(edits...).Replace(world)
	if len(edits) > 0 && text == world {
		t.Fatalf("the world holds none of %q", edits)
	}
	cat, findings := source.Parse("world.yaml", []byte(text))
	if cat == nil {
		t.Fatalf("the world has findings: %v", findings)
	}
	return cat
}

const tokens = `version: 1
tokens:
  alice: { application: retail/mobile, uid: 00uALICE, sub: alice@example.com, scopes: [orders.read, orders.write], email: alice@example.com, profile: { level: 3 } }
  plain: { client_id: 0oaMOBILE, uid: 00uALICE, scopes: [orders.read], groups: ["a,b", c] }
  cid: { cid: 0oaMOBILE, uid: 00uALICE, scope: openid orders.read }
  passkey: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.write], acr: phr, auth_time: -4m }
  stale: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.write], acr: phr, auth_time: -6m }
  dated: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.write], acr: phr, auth_time: "2026-01-01T11:58:00Z" }
  counted: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.write], acr: phr, auth_time: 1767268740 }
  bound: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.read], bound: true }
  unbound: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.read], bound: false }
  certificate: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.read], cnf: { "x5t#S256": abc } }
  expired: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.read], expires_in: 0s }
  late: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.read], exp: 1s }
  soon: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.read], nbf: 20s, iat: 20s }
  early: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.read], nbf: 10m }
  foreign: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.read], iss: https://evil.example.com }
  elsewhere: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.read], aud: [api://other] }
  id: { cid: 0oaMOBILE, uid: 00uALICE, scopes: [orders.read], jti: ID.1 }
  machine: { cid: 0oaMOBILE, scopes: [orders.read] }
  mallory: { cid: 0oaMOBILE, uid: 00uMALLORY, scopes: [orders.read] }
  kiosk: { application: retail/kiosk, uid: 00uALICE, scopes: [orders.read] }
  nobody: { cid: 0oaNOBODY, uid: 00uALICE, scopes: [orders.read] }
  robot: { application: logistics/warehouse, scopes: [stock.admin] }
  idle: { application: logistics/warehouse, scopes: [openid], uid: null }
  blue: { application: retail/mobile, uid: 00uALICE, scopes: [shared.read] }
  absent: { application: retail/absent, uid: 00uALICE, scopes: [orders.read] }
`

// read parses cases that use the tokens above.
func read(t testing.TB, cases string) []policytest.Case {
	t.Helper()
	list, findings := policytest.Parse("world_test.yaml", []byte(tokens+cases))
	for _, f := range findings {
		t.Fatal(f.Text(nil))
	}
	return list
}
