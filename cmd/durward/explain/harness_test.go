package explain

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/policy/oktatest"
)

// site is a configuration and the Okta that it names.
type site struct {
	okta   *oktatest.Server
	config string
	secret string
}

// newSite writes the first catalogue, changed by replacing the pairs of edits, for a
// running local Okta.
func newSite(t *testing.T, edits ...string) *site {
	t.Helper()
	s := &site{okta: oktatest.New(t, func(c *oktatest.Config) {
		for i := range c.Clients {
			if c.Clients[i].Name == "gateway" {
				c.Clients[i].ID = scaffold.Gateway
			}
		}
		native := c.Clients[0]
		for name, id := range map[string]string{"partner": scaffold.Partner, "warehouse": scaffold.Warehouse, "stray": "0oaSTRAY"} {
			app := native
			app.ID, app.Name = id, name
			c.Clients = append(c.Clients, app)
		}
		c.AuthorizationServers[0].Scopes = append(c.AuthorizationServers[0].Scopes, "orders.admin")
	})}
	s.secret = s.okta.Client("gateway").Secret
	v := scaffold.Local()
	v.Issuer = s.okta.Issuer("default")
	text, err := scaffold.Catalogue(v)
	if err != nil {
		t.Fatal(err)
	}
	// What Okta answers is made up here: it agrees with no JWT. The lines below keep their
	// numbers.
	text = []byte(strings.NewReplacer("\n\n# Whom", "\n# Whom", "    audience:", "    tokens: opaque\n    audience:",
		"verify: both, max_age: 2s", "verify: introspection, max_age: 0s", "verify: both", "verify: introspection").Replace(string(text)))
	changed := strings.NewReplacer(edits...).Replace(string(text))
	if len(edits) > 0 && changed == string(text) {
		t.Fatalf("the catalogue holds none of %q", edits)
	}
	dir := t.TempDir()
	s.config = filepath.Join(dir, "durward.yaml")
	write(t, s.config, changed)
	write(t, filepath.Join(dir, "okta-secret"), s.secret)
	return s
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// token mints alice's.
func (s *site) token(t *testing.T, client string, scopes ...string) string {
	t.Helper()
	text, err := s.okta.Token(oktatest.TokenRequest{Client: client, User: "alice@example.com", Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

type reporter interface {
	WriteText(w io.Writer, s Style) error
	WriteJSON(w io.Writer) error
}

// shownText is a report for people, without colour. Neither form may hold a part of a
// secret, or a character that is not printable.
func shownText(t *testing.T, r reporter, secrets ...string) string {
	t.Helper()
	var text, object bytes.Buffer
	if err := r.WriteText(&text, Style{}); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(&object); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{text.String(), object.String()} {
		for _, secret := range secrets {
			for part := range strings.SplitSeq(secret, ".") {
				if len(part) > 5 && strings.Contains(form, part) {
					t.Errorf("a report shows a secret, beginning with %.8q:\n%s", part, form)
				}
			}
		}
		for _, c := range form {
			if c != '\n' && (c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u202e' || c == '\u200b') {
				t.Errorf("a report holds %U:\n%q", c, form)
			}
		}
	}
	return text.String()
}
