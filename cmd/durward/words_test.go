package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func edited(t *testing.T, old, replacement string) string {
	t.Helper()
	file := somewhere().write(t, "secret")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), old, replacement, 1)
	if changed == string(text) {
		t.Fatalf("the configuration holds no %q", old)
	}
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What goes wrong is said once, on standard error, with the exit code of its kind.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	taken := takenAddress(t)
	good := somewhere().write(t, "secret")
	broken := edited(t, "apis:", "apis: ]")
	wrong := edited(t, "token_policy: okta-users", "token_policy: okta-user")
	several := edited(t, "gateways: [ ", `gateways: [ { name: side, listen: "127.0.0.1:0", url: "http://127.0.0.1:10001" }, `)
	noSecret := edited(t, "client_secret_file: secret", "client_secret_file: absent")
	undialled := edited(t, "127.0.0.1:18000", "127.0.0.1:0")
	busy := edited(t, "127.0.0.1:9001", taken)
	demo := func(flag string) []string {
		return append(append([]string{"demo"}, anywhere(t.TempDir())...), "--"+flag, taken)
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		// says are parts of standard error.
		says []string
	}{
		"unknown verb":     {[]string{"server"}, 2, []string{`durward: "server" is no command`, `"serve"`, "see durward --help"}},
		"unknown flag":     {[]string{"serve", "--port", "1"}, 2, []string{"unknown flag: --port", "see durward serve --help"}},
		"unknown letter":   {[]string{"check", "-x"}, 2, []string{"'x'", "see durward check --help"}},
		"extra argument":   {[]string{"serve", good}, 2, []string{good, "see durward serve --help"}},
		"no value":         {[]string{"bootstrap", "-c"}, 2, []string{"needs an argument", "see durward bootstrap --help"}},
		"bad value":        {[]string{"demo", "--exit=perhaps"}, 2, []string{`"perhaps"`, "see durward demo --help"}},
		"unknown gateway":  {[]string{"bootstrap", "-c", good, "--gateway", "front"}, 2, []string{`"front"`, "edge", "see durward bootstrap --help"}},
		"several gateways": {[]string{"bootstrap", "-c", several}, 2, []string{"--gateway", "side, edge", "see durward bootstrap --help"}},

		"check without file":     {[]string{"check"}, 3, []string{"durward.yaml", "no such file"}},
		"serve without file":     {[]string{"serve", "-c", "absent.yaml"}, 3, []string{"absent.yaml", "no such file"}},
		"bootstrap without file": {[]string{"bootstrap", "-c", "absent.yaml"}, 3, []string{"absent.yaml", "no such file"}},
		"check broken YAML":      {[]string{"check", "-c", broken}, 3, []string{broken + ":11:7: error DW001: ", "11 | apis: ]\n", "^", "fix: ", "1 error, 0 warnings in 1 file ("}},
		"serve broken YAML":      {[]string{"serve", "-c", broken}, 3, []string{broken + ":11:7: error DW001: ", "11 | apis: ]\n", "^", "fix: "}},
		"bootstrap broken YAML":  {[]string{"bootstrap", "-c", broken}, 3, []string{broken + ":11:7: error DW001: "}},
		"check dangling name":    {[]string{"check", "-c", wrong}, 3, []string{wrong + ":15:", "error DW102: ", `"okta-user"`, "^~~", "fix: ", "okta-users"}},
		"serve dangling name":    {[]string{"serve", "-c", wrong}, 3, []string{wrong + ":15:", "error DW102: "}},
		"serve without secret":   {[]string{"serve", "-c", noSecret}, 3, []string{"error DW309: ", filepath.Join(filepath.Dir(noSecret), "absent"), "fix: "}},

		"serve busy port":   {[]string{"serve", "-c", busy}, 1, []string{taken, "listeners.check.address"}},
		"emulate busy port": {[]string{"emulate", "--listen", taken}, 1, []string{taken, "--listen"}},
		"demo busy gateway": {demo("gateway"), 1, []string{taken, "--gateway"}},
		"demo busy okta":    {demo("okta"), 1, []string{taken, "--okta"}},
		"demo busy backend": {demo("backend"), 1, []string{taken, "--backend"}},
		"demo busy check":   {demo("check"), 1, []string{taken, "--check"}},
		"demo busy xds":     {demo("xds"), 1, []string{taken, "--xds"}},
		"demo busy ops":     {demo("ops"), 1, []string{taken, "--ops"}},
		"demo busy admin":   {demo("admin"), 1, []string{taken, "--admin"}},
		"xDS on port 0":     {[]string{"bootstrap", "-c", undialled}, 1, []string{"listeners.xds", "port 0"}},

		"demo with a missing Envoy": {
			append([]string{"demo", "--envoy", "/nowhere/envoy"}, anywhere(t.TempDir())...), 6, []string{"/nowhere/envoy"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := runs(t, t.TempDir(), nil, tt.args...)
			if code != tt.code || stdout != "" {
				t.Errorf("exit code %d, want %d; standard output %q", code, tt.code, stdout)
			}
			for _, want := range tt.says {
				if strings.Count(stderr, want) == 0 {
					t.Errorf("standard error has no %q:\n%s", want, stderr)
				}
			}
			message, _, _ := strings.Cut(stderr, "\n")
			if strings.Count(stderr, message) != 1 || strings.Contains(stderr, "goroutine") || strings.Contains(stderr, "Usage:") {
				t.Errorf("not one clear message:\n%s", stderr)
			}
		})
	}
}

// Without any Envoy, the three ways to get one are told.
func TestNoEnvoy(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	env := []string{"PATH=" + empty, "HOME=" + empty, "XDG_CACHE_HOME=" + filepath.Join(empty, "cache"), "DURWARD_ENVOY="}
	code, stdout, stderr := runs(t, empty, env, append([]string{"demo", "--exit"}, anywhere(filepath.Join(empty, "state"))...)...)
	if code != 6 || stdout != "" {
		t.Errorf("exit code %d, standard output %q", code, stdout)
	}
	for _, want := range []string{"durward: no usable Envoy", "$DURWARD_ENVOY", "PATH", "python3"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error has no %q:\n%s", want, stderr)
		}
	}
	code, _, stderr = runs(t, empty, append(env, "DURWARD_ENVOY=/nowhere/envoy"), append([]string{"demo"}, anywhere(empty)...)...)
	if code != 6 || !strings.Contains(stderr, "/nowhere/envoy") {
		t.Errorf("exit code %d:\n%s", code, stderr)
	}
}

func TestCheckAndBootstrap(t *testing.T) {
	t.Parallel()
	file := somewhere().write(t, "secret")
	code, stdout, stderr := runs(t, t.TempDir(), nil, "check", "-c", file)
	if code != 0 || !strings.HasPrefix(stdout, file+": good; revision ") || stderr != "" {
		t.Errorf("check: %d %q %q", code, stdout, stderr)
	}

	code, stdout, stderr = runs(t, filepath.Dir(file), nil, "bootstrap", "--node-id", "edge-7", "--admin", "127.0.0.1:0")
	if code != 0 || stderr != "" {
		t.Fatalf("bootstrap: %d %s", code, stderr)
	}
	type address struct {
		Socket struct {
			Address string `json:"address"`
			Port    int    `json:"port_value"`
		} `json:"socket_address"`
	}
	var got struct {
		Node  struct{ ID, Cluster string }
		Admin struct{ Address address }
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("bootstrap is no JSON: %v", err)
	}
	if got.Node.ID != "edge-7" || got.Node.Cluster != "edge" || got.Admin.Address.Socket.Address != "127.0.0.1" {
		t.Errorf("bootstrap says %+v", got)
	}
	// The rest of it comes over the one connection it names.
	if strings.Count(stdout, `"port_value": 18000`) != 1 || strings.Contains(stdout, "9001") || !strings.Contains(stdout, `"DELTA_GRPC"`) {
		t.Errorf("bootstrap:\n%s", stdout)
	}
	if _, again, _ := runs(t, filepath.Dir(file), nil, "bootstrap", "--node-id", "edge-7", "--admin", "127.0.0.1:0"); again != stdout {
		t.Error("bootstrap differs from run to run")
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	code, stdout, _ := runs(t, t.TempDir(), nil)
	if code != 0 {
		t.Errorf("durward alone: %d", code)
	}
	for _, verb := range []string{"demo", "serve", "bootstrap", "check", "emulate", "version"} {
		if _, _, err := newRoot().Find([]string{verb}); err != nil {
			t.Error(err)
		}
	}
	for _, cmd := range newRoot().Commands() {
		verb := cmd.Name()
		if !strings.Contains(stdout, "\n  "+verb+" ") {
			t.Errorf("help does not list %s:\n%s", verb, stdout)
		}
		if cmd.Short == "" || !strings.Contains(cmd.Example, "durward "+verb) {
			t.Errorf("%s: short %q, example %q", verb, cmd.Short, cmd.Example)
		}
		// Examples are copied: every flag in them must exist.
		for line := range strings.Lines(cmd.Example) {
			_, args, found := strings.Cut(strings.TrimRight(line, ")\n"), "durward "+verb)
			fresh, _, err := newRoot().Find([]string{verb})
			if err == nil && found {
				err = fresh.ParseFlags(strings.Fields(args))
			}
			if err != nil {
				t.Errorf("%s: example %q: %v", verb, line, err)
			}
		}
	}
	if code, stdout, _ := runs(t, t.TempDir(), nil, "version"); code != 0 || !strings.HasPrefix(stdout, "durward ") || !strings.Contains(stdout, "envoy 1.") {
		t.Errorf("version: %d %q", code, stdout)
	}
}

func TestEmulate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "okta-secret")
	p := start(t, durward("emulate", "--listen", "127.0.0.1:0", "--secret-file", file))
	p.says(t, "users ")
	if !strings.Contains(p.stdout.String(), "issuer         http://127.0.0.1:") {
		t.Errorf("it says:\n%s", p.stdout.String())
	}
	secret, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := os.Stat(file); err != nil || at.Mode().Perm() != 0o600 || len(secret) < 20 {
		t.Errorf("the secret's file: %v %v", at, err)
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if all := p.stdout.String() + p.stderr.String(); strings.Contains(all, strings.TrimSpace(string(secret))) {
		t.Error("it tells the secret")
	}
}

func TestMadeByGoRun(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0123456789abcdef", 4)
	for path, want := range map[string]bool{
		"/tmp/go-build1075334506/b001/exe/durward":       true,
		"/root/.cache/go-build/21/" + sum + "-d/durward": true,
		"/ci/cache/21/" + sum + "-d/durward":             true,
		"/usr/local/bin/durward":                         false,
		"/home/me/durward/durward":                       false,
		"/srv/" + sum + "/durward":                       false,
	} {
		if got := madeByGoRun(path); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
}
