package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExplainTokenInitExitCodes runs the verbs that ask and write nothing but files of a
// newcomer: what they end with is their interface.
func TestExplainTokenInitExitCodes(t *testing.T) {
	t.Parallel()
	good := somewhere().write(t, "secret")
	dead := somewhere()
	dead.issuer = "http://" + freeAddress(t) + "/oauth2/default"
	unanswered := dead.write(t, "secret")
	text, err := os.ReadFile(unanswered)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unanswered, []byte(asking(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e := base64.RawURLEncoding.EncodeToString
	secret := e([]byte(`{"alg":"RS256"}`)) + "." + e([]byte(`{"cid":"0oaMOBILE"}`)) + "." + e([]byte("signature-canary"))
	header := filepath.Join(dir, "alice.header")
	if err := os.WriteFile(header, []byte("Authorization: Bearer "+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(dir, "first.yaml")
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"explain", "GET", "/orders/7", "--as", "mobile", "--scope", "openid,orders.read", "-c", good}, 0, "ALLOW"},
		{[]string{"explain", "GET", "/orders/7", "--as", "mobile", "--scope", "openid", "--scope", "email", "-c", good}, 5, "scope_missing"},
		{[]string{"explain", "GET", "/orders/7", "--as", "mobile", "-o", "json", "-c", good}, 5, `"reason": "scope_missing"`},
		{[]string{"explain", "GET", "/orders/7", "-c", good}, 5, "token_missing"},
		{[]string{"explain", "GET", "/orders/7", "--token", "@" + header, "-c", unanswered}, 6, "okta_unavailable"},
		{[]string{"explain", "GET", "/orders/7", "--token", secret, "-c", good}, 2, "never as an argument"},
		{[]string{"explain", "GET", "/orders/7", "--as", "mobil", "-c", good}, 2, `did you mean "mobile"?`},
		{[]string{"explain", "GET", "-c", good}, 2, "2 arg"},
		{[]string{"explain", "GET", "/", secret, "-c", good}, 2, "2 arg"},
		{[]string{"explain", "GET", "/", "-o", "yaml", "-c", good}, 2, "neither text nor json"},
		{[]string{"explain", "GET", "/", "-c", good + "x"}, 3, "no such file"},
		{[]string{"explain", "GET", "/", "--token", "@" + dir + "/absent", "-c", good}, 3, "no such file"},

		{[]string{"token", "@" + header, "-c", good}, 0, "application mobile of organization retail"},
		{[]string{"token", "@" + header, "-c", good, "-o", "json"}, 0, `"verified": false`},
		{[]string{"token", "@" + header, "--introspect", "-c", unanswered}, 6, "NOT VERIFIED"},
		{[]string{"token", secret, "-c", good}, 2, "never as an argument"},
		{[]string{"token", "@" + good, "-c", good}, 2, "more than one line"},
		{[]string{"token", "@" + header, "-c", good + "x"}, 3, "no such file"},

		{[]string{"init", "-c", first}, 0, "wrote " + filepath.Join(dir, "durward.schema.json")},
		{[]string{"init", "-c", first}, 1, first + " is there already"},
		{[]string{"check", "-c", first}, 0, "good"},
		{[]string{"init", "-c", filepath.Join(dir, "other.yaml"), "--issuer", "https://example.okta.com"}, 2, "org authorization server"},
		{[]string{"emulate", "-c", good}, 3, "https://example.okta.com/oauth2/default"},
		{[]string{"emulate", "--backend"}, 2, "-c"},
		{[]string{"emulate", "-c", first, "--listen", "127.0.0.1:0"}, 2, "--listen"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), tt.args, &stdout, &stderr)
		both := stdout.String() + stderr.String()
		if code != tt.code || !strings.Contains(both, tt.says) {
			t.Errorf("%q: exit code %d, want %d, saying %q:\n%s", tt.args, code, tt.code, tt.says, both)
		}
		for part := range strings.SplitSeq(secret, ".") {
			if strings.Contains(both, part) {
				t.Errorf("%q shows a part of the token:\n%s", tt.args, both)
			}
		}
		if tt.code == 5 && stderr.Len() > 0 {
			t.Errorf("%q: a deny is said twice: %s", tt.args, stderr.String())
		}
		if strings.Contains(strings.Join(tt.args, " "), "json") && !json.Valid(stdout.Bytes()) {
			t.Errorf("%q: %s", tt.args, stdout.String())
		}
	}
}
