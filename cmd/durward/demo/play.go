package demo

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/durward/durward/cmd/durward/serve"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/clientkey"
	"github.com/durward/durward/policy/oktatest"
)

// ErrUnplayable is a catalogue with an authorization server that cannot be played.
var ErrUnplayable = errors.New("the configuration cannot be played")

// org is one local Okta: the authorization servers of a catalogue under one address.
type org struct {
	listen  string
	config  oktatest.Config
	servers []*catalog.AuthorizationServer
	// secrets are those that config has, by client id.
	secrets map[string]string
}

// play makes the orgs that a catalogue names: its servers, with the scopes that operations
// ask of them, its applications as native apps, and its introspection clients with the
// secrets in their files. Errors wrap ErrUnplayable, or are a *serve.ConfigError for a
// secret file.
func play(cat *catalog.Catalogue) ([]*org, error) {
	byAddress := make(map[string]*org)
	var orgs []*org
	var errs []error
	for _, s := range cat.Servers {
		u, err := url.Parse(s.Issuer)
		if err != nil || u.Scheme != "http" || !isLoopback(u.Hostname()) {
			errs = append(errs, fmt.Errorf("%w: authorization server %s%s is %s, and a local Okta plays http issuers on loopback addresses alone; `durward init` writes such a catalogue", ErrUnplayable, s.Name, in(s.At), s.Issuer))
			continue
		}
		o := byAddress[u.Host]
		if o == nil {
			o = &org{listen: listenOn(u), config: oktatest.Config{BaseURL: "http://" + u.Host, Users: users()}, secrets: make(map[string]string)}
			o.config.Clients = apps(cat)
			byAddress[u.Host] = o
			orgs = append(orgs, o)
		}
		if err := o.add(cat, s, u); err != nil {
			errs = append(errs, err)
		}
	}
	if len(cat.Servers) == 0 {
		errs = append(errs, fmt.Errorf("%w: it has no authorization server", ErrUnplayable))
	}
	return orgs, errors.Join(errs...)
}

// add lets the org play one more server, or one more name of the same.
func (o *org) add(cat *catalog.Catalogue, s *catalog.AuthorizationServer, u *url.URL) error {
	same := slices.IndexFunc(o.servers, func(other *catalog.AuthorizationServer) bool { return other.Issuer == s.Issuer })
	if same < 0 {
		o.servers = append(o.servers, s)
		o.config.AuthorizationServers = append(o.config.AuthorizationServers, serverOf(cat, s, u))
		return o.addIntrospection(s)
	}
	if other := o.servers[same]; other.Audience != s.Audience {
		return fmt.Errorf("%w: authorization servers %s%s and %s%s are one in Okta, which has one audience", ErrUnplayable, other.Name, in(other.At), s.Name, in(s.At))
	}
	return o.addIntrospection(s)
}

// serverOf is one authorization server: the org's own has nothing to configure.
func serverOf(cat *catalog.Catalogue, s *catalog.AuthorizationServer, u *url.URL) oktatest.AuthorizationServer {
	if s.Org {
		return oktatest.AuthorizationServer{ID: oktatest.OrgServer}
	}
	as := oktatest.AuthorizationServer{
		ID: strings.TrimPrefix(u.Path, "/oauth2/"), Audience: s.Audience, Scopes: scopesOf(cat, s), Claims: []string{"groups"},
	}
	if s.Opaque {
		as.AccessTokens = "opaque"
	}
	return as
}

// addIntrospection registers the client that introspects at s, once.
func (o *org) addIntrospection(s *catalog.AuthorizationServer) error {
	secret, err := serve.ReadSecret(s)
	if err != nil {
		return err
	}
	id := s.Introspection.ClientID
	known, registered := o.secrets[id]
	switch {
	case registered && known != secret:
		return fmt.Errorf("%w: client %s has two secrets, one of them that of %s%s", ErrUnplayable, id, s.Name, in(s.At))
	case registered:
		return nil
	}
	o.secrets[id] = secret
	client := service(id, "durward-"+s.Name, secret)
	switch s.Introspection.Auth {
	case catalog.PrivateKeyJWT:
		key, err := clientkey.Parse([]byte(secret), s.Introspection.KeyID)
		if err != nil {
			return fmt.Errorf("%w: private_key_file of %s%s: %w", ErrUnplayable, s.Name, in(s.At), err)
		}
		client.Secret, client.Keys = "", map[string]crypto.PublicKey{cmp.Or(key.ID, "durward"): key.Private.Public()}
	case catalog.ClientAuthNone:
		client = native(id, "durward-"+s.Name)
		if slices.ContainsFunc(o.config.Clients, func(c oktatest.Client) bool { return c.ID == id }) {
			return nil // an application may introspect with its own public client
		}
	}
	o.config.Clients = append(o.config.Clients, client)
	return nil
}

// apps are the catalogue's applications as native apps. Okta's labels are unique, names of
// applications only within their organization.
func apps(cat *catalog.Catalogue) []oktatest.Client {
	var list []oktatest.Client
	taken := make(map[string]bool)
	for _, organization := range cat.Organizations {
		for _, app := range organization.Applications {
			for i, id := range app.ClientIDs {
				name := app.Name
				if taken[name] {
					name = organization.Name + "/" + app.Name
				}
				if taken[name] {
					name = fmt.Sprintf("%s/%d", name, i+1)
				}
				taken[name] = true
				list = append(list, native(id, name))
			}
		}
	}
	return list
}

// scopesOf are the scopes that operations ask of a server's tokens, but for those of
// OpenID Connect, which every server has.
func scopesOf(cat *catalog.Catalogue, s *catalog.AuthorizationServer) []string {
	var list []string
	for _, api := range cat.APIs {
		for _, op := range api.Operations {
			if op.Policy != nil && op.Policy.Server.Issuer == s.Issuer {
				list = union(list, slices.Concat(op.AllScopes, op.AnyScopes))
			}
		}
	}
	openID := []string{"openid", "profile", "email", "address", "phone", "offline_access"}
	return slices.DeleteFunc(list, func(scope string) bool { return slices.Contains(openID, scope) })
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// listenOn is where a server under the URL listens.
func listenOn(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// in says where something stands, for the end of a noun.
func in(at catalog.Position) string {
	if at.Line == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s:%d)", at.File, at.Line)
}
