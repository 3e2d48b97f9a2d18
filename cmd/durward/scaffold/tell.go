package scaffold

import (
	"fmt"
	"io"
	"path"
	"strings"
	"text/template"
)

// RedirectURIs are the sign-in redirect URIs of `durward login`.
func RedirectURIs() []string {
	return []string{"http://127.0.0.1:8765/callback", "http://127.0.0.1:18765/callback"}
}

func tellLocal(w io.Writer, catalogue string) error {
	_, err := fmt.Fprintf(w, `
It is for a local Okta and a backend that echoes. Each in a terminal of its own:
  durward emulate -c %[2]s --backend
  durward serve%[1]s
  envoy -c <(durward bootstrap%[1]s)
Then:
  durward login mobile%[1]s
  durward call mobile GET /orders/7%[1]s
Who may do what, as its policy tests say:
  durward test%[1]s
For your own Okta: durward init -c FILE --issuer https://YOUR-ORG.okta.com/oauth2/default
`, flag(catalogue), quoted(catalogue))
	return err
}

var orgTemplate = template.Must(template.New("org").Parse(`
In Okta's admin console of {{.Host}}, with these exact values:

 1. Applications > Applications > Create App Integration
      Sign-in method            OIDC - OpenID Connect
      Application type          Native Application
      App integration name      mobile
      Grant type                Authorization Code, Refresh Token
      Sign-in redirect URIs     {{index .Redirects 0}}
                                {{index .Redirects 1}}
      Client authentication     None, with PKCE required
      Proof of possession       leave "Require DPoP" clear
    Copy its Client ID into {{.Path}}: organizations, application mobile, client_ids.
 2. In the same app, Assignments > Assign: the people or groups who may sign in. Nobody
    who is not assigned can.
 3. Applications > Create App Integration
      Sign-in method            API Services
      App integration name      durward-gateway
      Client authentication     Client secret
    Durward asks Okta about tokens with it; it needs no people and no scopes.
    Copy its Client ID into {{.Path}}: authorization_servers, introspection, client_id.
    Copy its Client secret into {{.Secret}} (the file is there, empty, for you
    alone; keep it out of version control).
 4. Security > API > Authorization Servers > {{.ID}}
      Settings > Issuer         {{.Issuer}}
      Settings > Audience       {{.Audience}}
    If yours shows another audience, write that into {{.Path}}: authorization_servers, audience.
 5. In the same server, Scopes > Add Scope, each with its name alone:
{{- range .Scopes}}
      {{.}}
{{- end}}
 6. In the same server, Access Policies > Add Policy
      Name                      durward
      Assign to                 All clients, or the app mobile
    and in it Add Rule
      Grant type is             Authorization Code (that covers Refresh Token)
      User is                   Any user assigned the app
      Scopes requested          Any scopes, or: openid offline_access{{range .Scopes}} {{.}}{{end}}
    A new org's server has no policy, and every sign-in fails until one allows it.

Then:
  durward check{{.Flag}} --secrets     names what is still to fill in
  durward test{{.Flag}}                runs the policy tests beside it
  durward serve{{.Flag}}
  durward login mobile{{.Flag}}
Backend and ports in {{.Path}} are the demo's: change them to yours.
`))

// tellOrg prints what the administrator of an org enters, and what is brought back.
func tellOrg(w io.Writer, catalogue, secret string, v Values, scopes []string) error {
	host := strings.TrimPrefix(strings.TrimPrefix(v.Issuer, "https://"), "http://")
	host, _, _ = strings.Cut(host, "/")
	return orgTemplate.Execute(w, map[string]any{
		"Host": host, "Path": catalogue, "Secret": secret, "ID": path.Base(v.Issuer), "Flag": flag(catalogue),
		"Issuer": v.Issuer, "Audience": v.Audience, "Redirects": RedirectURIs(),
		"Scopes": scopes,
	})
}
