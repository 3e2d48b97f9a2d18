package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bootstrap --secrets-dir writes what Envoy finds in secrets_dir, and says where there is
// nothing to write.
func TestBootstrapSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "durward.yaml")
	const text = `version: 1
gateways: [ { name: edge, listen: "127.0.0.1:0", url: "http://127.0.0.1:10000" } ]
listeners:
  xds:
    address: "127.0.0.1:18000"
    tls:
      { cert_file: port, key_file: port-key, client_ca_file: client-ca, allowed_sans: [envoy.internal],
        envoy: { cert_file: /e/cert.pem, key_file: /e/key.pem, ca_file: /e/ca.pem, server_name: durward.internal%s } }
`
	for _, tt := range []struct{ extra, want string }{{"", "secrets_dir"}, {", secrets_dir: /e/secrets", ""}} {
		if err := os.WriteFile(file, fmt.Appendf(nil, text, tt.extra), 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := runs(t, dir, nil, "bootstrap", "--secrets-dir", dir)
		if (code == 0) != (tt.want == "") || !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: %d %s", tt.extra, code, stderr)
		}
		if _, err := os.Stat(filepath.Join(dir, "xds-certificate.json")); (err == nil) != (code == 0) || strings.Contains(stdout, "/e/cert.pem") {
			t.Errorf("%q: %v\n%s", tt.extra, err, stdout)
		}
	}
}
