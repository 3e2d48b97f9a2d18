package scaffold

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed catalogue.yaml
var catalogueText string

//go:embed tests.yaml
var testsText string

var testsTemplate = template.Must(template.New("tests.yaml").Parse(testsText))

var catalogueTemplate = template.Must(template.New("catalogue.yaml").Parse(catalogueText))

// Client ids of the local Okta's clients.
const (
	Mobile    = "0oaf2no1n6hPswFV10h7"
	Partner   = "0oapartnerQ7hPswFV1h"
	Warehouse = "0oawarehouseR7hPsw1h"
	Gateway   = "0oagatewayT7hPswF1h7"
)

// Values are what differs from one first catalogue to another.
type Values struct {
	// Schema is the path of the JSON Schema for editors, relative to the catalogue;
	// empty for none.
	Schema string
	// Gateway, Check, XDS, Ops and Admin are host:port.
	Gateway, Check, XDS, Ops, Admin string
	// GatewayURL is how callers reach the gateway, Backend where it sends them.
	GatewayURL, Backend string
	// Server names the authorization server.
	Server, Issuer, Audience string
	// ClientID is the introspection client's, SecretFile where its secret is.
	ClientID, SecretFile string
	// Mobile, Partner and Warehouse are client ids. The last two, and their
	// applications, are left out where empty.
	Mobile, Partner, Warehouse string
}

// Local are the values of the demo, at its usual ports: its local Okta, backend and
// clients.
func Local() Values {
	return Values{
		Gateway: "127.0.0.1:10000", Check: "127.0.0.1:9001", XDS: "127.0.0.1:18000", Ops: "127.0.0.1:8081", Admin: "127.0.0.1:9902",
		GatewayURL: "http://127.0.0.1:10000", Backend: "http://127.0.0.1:8091",
		Server: "default", Issuer: "http://127.0.0.1:8090/oauth2/default", Audience: "api://default",
		ClientID: Gateway, SecretFile: "okta-secret",
		Mobile: Mobile, Partner: Partner, Warehouse: Warehouse,
	}
}

// Catalogue writes the first catalogue, commented. The values are the caller's to check.
func Catalogue(v Values) ([]byte, error) {
	var text bytes.Buffer
	if err := catalogueTemplate.Execute(&text, v); err != nil {
		return nil, fmt.Errorf("write the first catalogue: %w", err)
	}
	return text.Bytes(), nil
}

// Tests writes the policy tests of the catalogue of the same values, whose file is named
// catalogue.
func Tests(v Values, catalogue string) ([]byte, error) {
	var text bytes.Buffer
	if err := testsTemplate.Execute(&text, struct {
		Values
		Catalogue string
	}{v, filepath.Base(catalogue)}); err != nil {
		return nil, fmt.Errorf("write the first policy tests: %w", err)
	}
	return text.Bytes(), nil
}

// TestsPath is where the tests of a catalogue go, a file or a directory.
func TestsPath(catalogue string) string {
	if at, err := os.Stat(catalogue); err == nil && at.IsDir() {
		return filepath.Join(catalogue, "policy_test.yaml")
	}
	return strings.TrimSuffix(catalogue, filepath.Ext(catalogue)) + "_test.yaml"
}
