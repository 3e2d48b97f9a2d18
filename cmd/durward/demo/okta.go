package demo

import (
	"slices"

	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/policy/oktatest"
)

// Clients that the local Okta knows. All but stray are in the catalogue.
const (
	clientMobile    = scaffold.Mobile
	clientPartner   = scaffold.Partner
	clientWarehouse = scaffold.Warehouse
	clientStray     = "0oastrayS7hPswFV10h7"
	clientGateway   = scaffold.Gateway
)

// redirectURIs are the registered ones of every native app here: the two of `durward
// login`, Postman's, and a mobile app's private-use scheme.
func redirectURIs() []string {
	return slices.Concat(scaffold.RedirectURIs(), []string{
		"https://www.getpostman.com/oauth2/callback",
		"com.example.orders:/callback",
	})
}

// native is a public app that people sign in with.
func native(id, name string) oktatest.Client {
	return oktatest.Client{
		ID: id, Name: name, Type: "native", RedirectURIs: redirectURIs(),
		GrantTypes: []string{"authorization_code", "refresh_token"}, RotateRefresh: true,
	}
}

// service is the confidential client that introspects.
func service(id, name, secret string) oktatest.Client {
	return oktatest.Client{ID: id, Name: name, Type: "service", Secret: secret, GrantTypes: []string{"client_credentials"}}
}

// users can sign in with any password.
func users() []oktatest.User {
	return []oktatest.User{
		{Login: "alice@example.com", Name: "Alice Archer", Profile: map[string]any{"groups": []string{"Everyone", "sales"}}},
		{Login: "bob@example.com", Name: "Bob Baker", Profile: map[string]any{"groups": []string{"Everyone"}}},
	}
}

// orgConfig is the demo's Okta org.
func orgConfig(secret string) oktatest.Config {
	return oktatest.Config{
		AuthorizationServers: []oktatest.AuthorizationServer{{
			ID: "default", Audience: "api://default",
			Scopes: []string{"orders.read", "orders.write", "orders.admin"}, Claims: []string{"groups"},
		}},
		Clients: []oktatest.Client{
			native(clientMobile, "mobile"), native(clientPartner, "partner"),
			native(clientWarehouse, "warehouse"), native(clientStray, "stray"),
			service(clientGateway, "gateway", secret),
		},
		Users: users(),
	}
}
