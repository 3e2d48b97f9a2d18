package source_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
)

// TestSecretFiles reads secrets as serve does, and looks at the same ones as check does
// with and without --secrets.
func TestSecretFiles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		// make prepares what stands at path.
		make func(t *testing.T, path string)
		// code is that of the finding, empty if there is none. mild says that check
		// only warns of it, firm that it does so even where the secret is needed.
		code       string
		mild, firm bool
	}{
		{"good", func(t *testing.T, path string) { write(t, path, []byte("canary\n")) }, "", false, false},
		{"no final newline", func(t *testing.T, path string) { write(t, path, []byte("canary")) }, "", false, false},
		{"DOS newline", func(t *testing.T, path string) { write(t, path, []byte("canary\r\n")) }, "", false, false},
		{"absent", func(*testing.T, string) {}, "DW309", true, false},
		{"link to nothing", func(t *testing.T, path string) { link(t, "nowhere", path) }, "DW309", true, false},
		{"empty", func(t *testing.T, path string) { write(t, path, []byte("\n")) }, "DW309", false, false},
		{"two lines", func(t *testing.T, path string) { write(t, path, []byte("canary\ncanary\n")) }, "DW309", false, false},
		{"NUL", func(t *testing.T, path string) { write(t, path, []byte("canary\x00")) }, "DW309", false, false},
		{"too long", func(t *testing.T, path string) { write(t, path, []byte(strings.Repeat("canary", 1000))) }, "DW309", false, false},
		{"directory", func(t *testing.T, path string) { mkdir(t, path, 0o700) }, "DW309", false, false},
		{"pipe", func(t *testing.T, path string) {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "DW309", false, false},
		{"others write", func(t *testing.T, path string) { write(t, path, []byte("canary")); chmod(t, path, 0o602) }, "DW309", false, false},
		{"the group writes", func(t *testing.T, path string) { write(t, path, []byte("canary")); chmod(t, path, 0o660) }, "DW309", false, false},
		{"others read", func(t *testing.T, path string) { write(t, path, []byte("canary")); chmod(t, path, 0o644) }, "DW313", true, true},
		{"everybody's directory", func(t *testing.T, path string) {
			write(t, path, []byte("canary"))
			chmod(t, filepath.Dir(path), 0o777)
		}, "DW309", false, false},
		{"a link into everybody's directory", func(t *testing.T, path string) {
			outside := t.TempDir()
			write(t, filepath.Join(outside, "s"), []byte("canary"))
			chmod(t, outside, 0o777)
			link(t, filepath.Join(outside, "s"), path)
		}, "DW309", false, false},
		{"as Kubernetes mounts it", func(t *testing.T, path string) {
			dir := filepath.Dir(path)
			mkdir(t, filepath.Join(dir, "..2026"), 0o755)
			write(t, filepath.Join(dir, "..2026", "s"), []byte("canary"))
			link(t, "..2026", filepath.Join(dir, "..data"))
			link(t, "..data/s", path)
			if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
		}, "", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			config := filepath.Join(t.TempDir(), "durward.yaml")
			path := filepath.Join(t.TempDir(), "secret")
			text := strings.Replace(string(validFiles(t, "valid")[0].Data), "/run/secrets/okta", path, 1)
			write(t, config, []byte(text))
			tt.make(t, path)

			cat, _, err := source.Load(config)
			if err != nil {
				t.Fatal(err)
			}
			secret, findings := source.ReadSecret(cat.Servers[0])
			usable := tt.code == "" || tt.firm
			if (secret == "canary") != usable || (secret == "") == usable || catalog.HasErrors(findings) == usable {
				t.Errorf("ReadSecret: %q, %v", secret, findings)
			}
			needed, relaxed := source.Check(config, true), source.Check(config, false)
			if (needed.Catalogue != nil) != usable || (relaxed.Catalogue != nil) != (usable || tt.mild) {
				t.Errorf("Check: %v; where the secret is not needed: %v", needed.Findings, relaxed.Findings)
			}
			for _, all := range [][]catalog.Finding{findings, needed.Findings, relaxed.Findings} {
				if tt.code == "" && len(all) > 0 || tt.code != "" && (len(all) != 1 || all[0].Code != tt.code) {
					t.Errorf("findings %v; want %s", all, tt.code)
				}
				for _, f := range all {
					if f.At.File != config || f.At.Line != 7 || strings.Contains(f.Text(nil), "canary") {
						t.Errorf("finding at %v:\n%s", f.At, f.Text(nil))
					}
				}
			}
		})
	}
}

// TestKeyFiles holds what becomes of keys and certificates where they are not needed, and
// that their paths count from the file that names them.
func TestKeyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "durward.yaml")
	text := strings.Replace(string(validFiles(t, "valid")[0].Data), "client_secret_file: /run/secrets/okta }", `auth_method: private_key_jwt, private_key_file: client }
    ca_file: ../`+filepath.Base(dir)+"/ca", 1)
	text = strings.Replace(text, "version: 1", "version: 1\nlisteners: { check: { address: 0.0.0.0:9001, tls: { cert_file: cert, key_file: key, client_ca_file: ca, allowed_sans: [envoy], envoy: { cert_file: /e/c, key_file: /e/k, ca_file: /e/ca, server_name: durward } } } }", 1)
	write(t, config, []byte(text))

	absent := source.Check(config, false)
	if absent.Catalogue == nil || len(absent.Findings) != 5 {
		t.Fatalf("findings %v", absent.Findings)
	}
	for _, f := range absent.Findings {
		if f.Severity != catalog.Warning || f.At.Line == 0 || !strings.Contains(f.Message, dir) {
			t.Errorf("finding %v", f)
		}
	}
	needed := source.Check(config, true)
	if needed.Catalogue != nil || len(needed.Findings) != 5 {
		t.Errorf("where they are needed: %v", needed.Findings)
	}
	if text, found := source.ReadSecret(absent.Catalogue.Servers[0]); text != "" || !catalog.HasErrors(found) {
		t.Errorf("ReadSecret of nothing: %q, %v", text, found)
	}

	for name, word := range map[string]string{"client": "<JWK>", "ca": "<P256-CERT>", "cert": "<P256-CERT>", "key": "<P256>"} {
		write(t, filepath.Join(dir, name), append(unescape([]byte(word)), '\n'))
	}
	good := source.Check(config, true)
	if good.Catalogue == nil || len(good.Findings) != 0 {
		t.Fatalf("findings %v", good.Findings)
	}
	if found := source.CheckFiles(good.Catalogue, true); len(found) != 0 {
		t.Errorf("CheckFiles: %v", found)
	}
	key, found := source.ReadSecret(good.Catalogue.Servers[0])
	if key != string(unescape([]byte("<JWK>"))) || len(found) != 0 {
		t.Errorf("ReadSecret: %d bytes, %v", len(key), found)
	}
	tls := good.Catalogue.Listeners.Check.TLS
	for got, want := range map[string]string{
		good.Catalogue.Servers[0].Introspection.KeyFile: "client", good.Catalogue.Servers[0].CAFile: "ca",
		tls.CertFile: "cert", tls.KeyFile: "key", tls.ClientCAFile: "ca",
	} {
		if got != filepath.Join(dir, want) {
			t.Errorf("%s is not in %s", got, dir)
		}
	}

	chmod(t, filepath.Join(dir, "ca"), 0o666)
	write(t, filepath.Join(dir, "client"), []byte("canary"))
	write(t, filepath.Join(dir, "key"), unescape([]byte("<RSA>")))
	bad := source.Check(config, false)
	var codes []string
	for _, f := range bad.Findings {
		codes = append(codes, f.Code)
		if strings.Contains(f.Text(nil), "canary") {
			t.Errorf("the key shows: %v", f)
		}
	}
	if want := []string{"DW318", "DW318", "DW317", "DW318"}; bad.Catalogue != nil || !slices.Equal(codes, want) {
		t.Errorf("findings %v; want %v", bad.Findings, want)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Mkdir(path, mode); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// TestCheckNothing has a path that is not there as a finding.
func TestCheckNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "absent.yaml")
	r := source.Check(path, false)
	if r.Catalogue != nil || len(r.Findings) != 1 || r.Findings[0].Code != "DW010" || r.Findings[0].At.File != path || !strings.Contains(r.Findings[0].Message, "no such file") {
		t.Errorf("Check of nothing: %+v", r)
	}
}

// TestSecretsDoNotShow breaks a catalogue with secrets in it in every place, and holds
// that no finding repeats one. One that is shorter than Okta's is known by its key only,
// so that key stays whole.
func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	for _, canary := range []string{"S3cretCanary", strings.Repeat("S3cretCanary", 4)} {
		for name, secrets := range map[string]string{
			"block":          "client_secret: CANARY",
			"quoted":         "client_secret: \"CANARY\"",
			"single quotes":  "'client-secret': 'CANARY'",
			"flow":           "x: { clientSecret: CANARY, b: c }",
			"below":          "client_secret:\n  CANARY",
			"literal":        "client_secret: |\n  CANARY\n  CANARY",
			"folded":         "password: >-\n    CANARY",
			"flow below":     "x: { password:\n  CANARY,\n  b: c }",
			"other spelling": "OKTA_CLIENT_SECRET: CANARY",
		} {
			secrets = strings.ReplaceAll(strings.ReplaceAll(secrets, "\n", "\n    "), "CANARY", canary)
			text := "version: 1\nauthorization_servers:\n  - name: a\n    " + secrets + "\n    audience: api://a\n"
			from := strings.Index(text, secrets)
			if len(canary) < 40 {
				from = strings.Index(text, canary) - 1
			}
			breakAndLook(t, name, text, canary, from)
		}
	}
	line := strings.Repeat("canary/+", 8)
	for name, key := range map[string]string{
		"key":         "private_key_file: |\n      -----BEGIN PRIVATE KEY-----\n      CANARY\n      CANARY\n",
		"quoted key":  "private_key_file: \"-----BEGIN PRIVATE KEY-----\n      CANARY\n      CANARY\n      -----END PRIVATE KEY-----\"",
		"one line":    "private_key_file: '-----BEGIN PRIVATE KEY-----CANARY'",
		"key in flow": "private_key_file: { CANARY: CANARY }",
	} {
		text := "version: 1\nauthorization_servers:\n  - name: a\n    introspection:\n      " + strings.ReplaceAll(key, "CANARY", line) + "\n    audience: api://a\n"
		breakAndLook(t, name, text, line, strings.Index(text, line)-1)
	}
	_, findings := source.Parse("a.yaml", []byte("version: 1\nurl: https://user:S3cretCanary@a.example.com\n"))
	if len(findings) != 1 || strings.Contains(findings[0].Text(nil), "Canary") {
		t.Errorf("findings %v", findings)
	}
}

// breakAndLook puts what breaks YAML into every place of text but within the secret.
func breakAndLook(t *testing.T, name, text, canary string, from int) {
	t.Helper()
	first, last := strings.Index(text, canary), strings.LastIndex(text, canary)+len(canary)
	for _, wedge := range []string{"", "\"", "'", "\t", "}", ": ", "&a ", "\n", "|"} {
		for at := from; at < last+8; at++ {
			if at > first && at < last {
				continue
			}
			_, findings := source.Parse("a.yaml", []byte(text[:at]+wedge+text[at:]))
			for _, f := range findings {
				if shown := f.Text(nil); strings.Contains(shown, canary) {
					t.Fatalf("%s with %q at %d shows its secret:\n%s", name, wedge, at, shown)
				}
			}
		}
	}
}
