package demo

import (
	"fmt"
	"io"
	"strings"

	"github.com/durward/durward/policy/catalog"
)

// printTable shows where everything is.
func (d *demo) printTable() {
	c := d.durward.Catalogue().Listeners
	d.printf(`durward demo: everything below is on this machine; Ctrl-C stops it all

  gateway       %-42s a real Envoy; call it
  local Okta    %-42s users alice and bob, any password
  backend       %-42s echoes what reaches it
  ext_authz     %-42s Envoy asks here
  xDS           %-42s Envoy is configured from here
  ops           %-42s /healthz /readyz /metrics
  state         %s

`, d.gateway, d.issuer, d.backendURL, c.Check.Address, c.XDS.Address, "http://"+d.durward.OpsAddress(), d.State)
}

// printNext shows what a newcomer may type now.
func (d *demo) printNext() {
	d.printf(`
Type next, in another terminal:
  curl -i -H @%s %s/orders/7
  curl -i -H @%s -X POST %s/orders
  curl -i %s/orders/7
  tail -n 3 %s
  curl -s http://%s/metrics | grep ^durward_
The catalogue is %s: save an edit, and Envoy serves it at once.
  durward status -c %s
  durward test %s
Ctrl-C stops everything.
`, d.file("alice.header"), d.gateway, d.file("alice.header"), d.gateway, d.gateway,
		d.file("durward.log"), d.durward.OpsAddress(), d.file("durward.yaml"), d.file("durward.yaml"), d.file("durward.yaml"))
}

// printPlayed shows everything that is played, and nothing secret.
func printPlayed(w io.Writer, cat *catalog.Catalogue, orgs []*org, backends []backend) {
	_, _ = fmt.Fprint(w, "local Okta, not Okta: everybody can sign in as anybody. Ctrl-C stops it.\n\n")
	for _, o := range orgs {
		o.print(w)
	}
	var secrets []string
	for _, s := range cat.Servers {
		if s.Introspection.SecretFile != "" {
			secrets = union(secrets, []string{fmt.Sprintf("of %s, from %s", s.Introspection.ClientID, s.Introspection.SecretFile)})
		}
	}
	for _, line := range secrets {
		_, _ = fmt.Fprintf(w, "  secret         %s\n", line)
	}
	_, _ = fmt.Fprintf(w, "  users          alice, bob, with any password\n  callbacks      %s\n", strings.Join(redirectURIs()[:2], " "))
	for _, b := range backends {
		what := "echoes"
		if b.refused != "" {
			what = b.refused
		}
		_, _ = fmt.Fprintf(w, "  backend        %-24s of %s: %s\n", b.url, strings.Join(b.apis, ", "), what)
	}
}

// print shows the org's servers and clients.
func (o *org) print(w io.Writer) {
	for i, s := range o.servers {
		_, _ = fmt.Fprintf(w, "  issuer         %s\n  audience       %s\n  scopes         openid offline_access %s\n",
			s.Issuer, s.Audience, strings.Join(o.config.AuthorizationServers[i].Scopes, " "))
	}
	for _, c := range o.config.Clients {
		kind := "native app"
		if c.Type == "service" {
			kind = "service app"
		}
		_, _ = fmt.Fprintf(w, "  %-13s  %-24s %s\n", kind, c.ID, c.Name)
	}
	_, _ = fmt.Fprintln(w)
}
