package scaffold_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/envoy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
)

func initIn(t *testing.T, dir, issuer string) (path, said string, err error) {
	t.Helper()
	var out bytes.Buffer
	path = filepath.Join(dir, "durward.yaml")
	err = scaffold.Init(scaffold.Options{Path: path, Issuer: issuer, Schema: []byte("{}\n"), Out: &out})
	return path, out.String(), err
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	at, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return at.Mode()
}

// What init writes passes every check, warnings included, and becomes Envoy's resources.
func TestInitForTheLocalOkta(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, said, err := initIn(t, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	cat, findings, err := source.Load(path)
	if err != nil || len(findings) > 0 {
		t.Fatalf("%v, %v", findings, err)
	}
	if _, err := envoy.Translate(cat, "edge"); err != nil {
		t.Error(err)
	}
	text := read(t, path)
	if !strings.HasPrefix(text, "# yaml-language-server: $schema=durward.schema.json\nversion: 1\n") {
		t.Errorf("the file begins with %.80q", text)
	}
	secret := filepath.Join(dir, "okta-secret")
	if got := cat.Servers[0].Introspection.SecretFile; got != secret {
		t.Errorf("the secret is expected in %s", got)
	}
	if m := mode(t, secret); m != 0o600 {
		t.Errorf("the secret's mode is %v", m)
	}
	if m := mode(t, path); m&0o022 != 0 {
		t.Errorf("the catalogue's mode is %v", m)
	}
	value := strings.TrimSpace(read(t, secret))
	if len(value) < 40 || strings.Contains(said, value) || strings.Contains(text, value) {
		t.Errorf("a secret of %d characters, or it is shown", len(value))
	}
	other := t.TempDir()
	if _, _, err := initIn(t, other, ""); err != nil || strings.TrimSpace(read(t, filepath.Join(other, "okta-secret"))) == value {
		t.Errorf("two secrets are the same; %v", err)
	}
	for _, want := range []string{"durward emulate -c " + path + " --backend", "durward serve -c " + path, "durward login mobile -c " + path} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
}

func TestInitOverwritesNothing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"durward.yaml", "okta-secret", "durward.schema.json", "durward_test.yaml"} {
		for kind, occupy := range map[string]func(string) error{
			"file":      func(p string) error { return os.WriteFile(p, []byte("mine"), 0o644) },
			"directory": func(p string) error { return os.Mkdir(p, 0o755) },
			"link":      func(p string) error { return os.Symlink("/nowhere/at/all", p) },
		} {
			dir := t.TempDir()
			if err := occupy(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			_, said, err := initIn(t, dir, "")
			if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), filepath.Join(dir, name)) || said != "" {
				t.Errorf("%s %s: %v, %q", kind, name, err, said)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 {
				t.Errorf("%s %s: %v %v is left behind", kind, name, entries, err)
			}
		}
	}
	if _, _, err := initIn(t, filepath.Join(t.TempDir(), "absent", "too"), ""); err != nil {
		t.Errorf("a missing directory is not made: %v", err)
	}
}

func TestInitForAnOrg(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const issuer = "https://example.okta.com/oauth2/aus1234567890abcdef"
	path, said, err := initIn(t, dir, issuer)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"console of example.okta.com", "Native Application", "http://127.0.0.1:8765/callback", "http://127.0.0.1:18765/callback",
		"Authorization Code, Refresh Token", "API Services", "Client secret", "Authorization Servers > aus1234567890abcdef",
		issuer, "api://default", "      orders.read\n      orders.write\n      orders.admin\n", "Access Policies > Add Policy", "Add Rule",
		"has no policy", "Assignments", "Copy its Client ID into " + path, "Copy its Client secret into " + filepath.Join(dir, "okta-secret"),
		"openid offline_access orders.read",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	// What only the org knows is missing, and every reader says where.
	cat, findings, err := source.Load(path)
	if err != nil || cat != nil {
		t.Fatalf("the unfinished catalogue loads: %v", err)
	}
	missing := map[string]bool{}
	for _, f := range findings {
		if f.Severity == catalog.Error {
			missing[f.Path] = f.At.Line > 0 && f.Line != "" && f.Fix != ""
		}
	}
	for _, want := range []string{"organizations[0].applications[0].client_ids[0]", "authorization_servers[0].introspection.client_id"} {
		if !missing[want] || len(missing) != 2 {
			t.Errorf("%s is not reported well: %v", want, findings)
		}
	}
	secret := filepath.Join(dir, "okta-secret")
	if m := mode(t, secret); m != 0o600 || read(t, secret) != "" {
		t.Errorf("the secret file has mode %v and holds %q", m, read(t, secret))
	}
	// Pasted in, it is whole.
	text := strings.NewReplacer(`client_ids: [""]`, "client_ids: [0oaNATIVE]", `client_id: ""`, "client_id: 0oaSERVICE").Replace(read(t, path))
	cat, findings = source.Parse("durward.yaml", []byte(text))
	if cat == nil || len(findings) > 0 || cat.Servers[0].Issuer != issuer || cat.Client("0oaNATIVE").Name != "mobile" {
		t.Errorf("finished, it gives %v", findings)
	}
	if strings.Contains(text, "partner") || strings.Contains(text, scaffold.Mobile) {
		t.Error("it holds clients of the local Okta")
	}
}

func TestInitRefusesIssuers(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		"https://example.okta.com":                         "https://example.okta.com/oauth2/default",
		"https://example.okta.com/":                        "org authorization server",
		"https://example.okta.com/oauth2/default/":         "slash",
		"http://example.okta.com/oauth2/default":           "plaintext",
		"https://example-admin.okta.com/oauth2/default":    "https://example.okta.com/oauth2/default",
		"https://example-admin.oktapreview.com/oauth2/a":   "https://example.oktapreview.com/oauth2/a",
		"https://example.okta.com/oauth2/default?x=1":      "query",
		"https://u:p@example.okta.com/oauth2/default":      "user",
		"https://example.okta.com/oauth2/":                 "custom authorization server",
		"https://example.okta.com/oauth2/v1/token":         "custom authorization server",
		"example.okta.com/oauth2/default":                  "https",
		"https://example.okta.com/oauth2/a\"\nversion: 2":  "control",
		"https://example.okta.com/oauth2/a }, {{.Secret}}": "blank",
		"https://example.okta.com/oauth2/\u202ea":          "non-ASCII",
		"https://" + strings.Repeat("a", 2000):             "too long",
	} {
		dir := t.TempDir()
		_, said, err := initIn(t, dir, issuer)
		var refused *scaffold.IssuerError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "fix: ") || said != "" {
			t.Errorf("%q: %v", issuer, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("%q: %v was written", issuer, entries)
		}
	}
	for _, issuer := range []string{"https://login.example.com/oauth2/default", "http://127.0.0.1:8090/oauth2/default", "http://localhost:1/oauth2/aus1"} {
		if _, _, err := initIn(t, t.TempDir(), issuer); err != nil {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}
