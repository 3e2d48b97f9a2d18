package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/durward/durward/envoy/binary"
)

// place is where a newcomer works: a directory, a state directory, and a shell that
// finds durward and the real Envoy.
type place struct {
	dir, state string
	env        []string
}

// endAtOnce takes the second away that the race detector waits for at a program's end.
const endAtOnce = "GORACE=atexit_sleep_ms=0"

func newPlace(t *testing.T) place {
	t.Helper()
	p := place{dir: t.TempDir(), state: t.TempDir()}
	bin := t.TempDir()
	envoy := findEnvoy(t)
	if err := furnish(bin, envoy); err != nil {
		t.Fatal(err)
	}
	p.env = append(durward().Env,
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "XDG_STATE_HOME="+p.state, binary.EnvPath+"="+envoy,
		"DURWARD_ADMIN=127.0.0.1:0", "NO_COLOR=1", "BROWSER=false", "GOTRACEBACK=all", endAtOnce)
	return p
}

// furnish puts durward, which is this test binary, and Envoy into a directory for PATH.
// Two Envoys that may be restarted hot cannot run on one machine without more flags.
func furnish(bin, envoy string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	wrapper := "#!/bin/sh\nexec '" + envoy + "' --disable-hot-restart \"$@\"\n"
	return errors.Join(
		os.Symlink(self, filepath.Join(bin, "durward")),
		os.WriteFile(filepath.Join(bin, "envoy"), []byte(wrapper), 0o700))
}

// begin starts a line of shell. All that it started ends with the test.
func (p place) begin(t *testing.T, line string) *process {
	t.Helper()
	cmd := exec.Command("bash", "-c", line)
	cmd.Dir, cmd.Env = p.dir, p.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	began := start(t, cmd)
	t.Cleanup(func() {
		select {
		case <-began.ended:
		default:
			began.signalAll(t, syscall.SIGKILL)
		}
	})
	return began
}

// does runs a line of shell to its end.
func (p place) does(t *testing.T, line string) (code int, stdout, stderr string) {
	t.Helper()
	run := p.begin(t, line)
	code = run.exit(t)
	return code, run.stdout.String(), run.stderr.String()
}

// signalAll is what a terminal does on Ctrl-C: the whole group hears of it.
func (p *process) signalAll(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
}

// signsIn runs a line that begins a login, and signs alice in.
func (p place) signsIn(t *testing.T, line string) (login *process, code string) {
	t.Helper()
	login = p.begin(t, line)
	login.says(t, "waiting for the browser")
	address := authorizeURL.FindStringSubmatch(login.stderr.String())
	if address == nil {
		t.Fatalf("no address is printed:\n%s", login.stderr.String())
	}
	_, callback := visit(t, address[1])
	if got := login.exit(t); got != 0 {
		t.Fatalf("%s: exit code %d\n%s", line, got, login.stderr.String())
	}
	return login, callback.Query().Get("code")
}

// writes makes a first configuration on free ports.
func (p place) writes(t *testing.T) {
	t.Helper()
	if code, _, stderr := p.does(t, "durward init"); code != 0 {
		t.Fatalf("init: %d %s", code, stderr)
	}
	if err := elsewhere(filepath.Join(p.dir, "durward.yaml")); err != nil {
		t.Fatal(err)
	}
}

// askedAlone runs a login while nobody else has the callback ports.
func (p place) askedAlone(t *testing.T, login func(*testing.T)) {
	t.Helper()
	t.Run("login", func(t *testing.T) {
		loginPorts(t)
		login(t)
	})
}

// tokens are those of alice's last login.
func (p place) tokens(t *testing.T) (access, refresh string) {
	t.Helper()
	_, secrets := (&desk{state: p.state}).tokens(t)
	return secrets[0], secrets[1]
}

// writeHeader puts the access token into alice.header.
func (p place) writeHeader(t *testing.T) {
	t.Helper()
	access, _ := p.tokens(t)
	if err := os.WriteFile(filepath.Join(p.dir, "alice.header"), []byte("Authorization: Bearer "+access+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shop is a place where everything runs.
type shop struct {
	place
	gateway            string
	okta, serve, envoy *process
}

func newShop(t *testing.T) shop {
	t.Helper()
	s := shop{place: newPlace(t)}
	s.writes(t)
	s.okta = s.begin(t, "durward emulate -c durward.yaml --backend")
	s.okta.says(t, "users ")
	s.serve = s.begin(t, "durward serve")
	s.serve.says(t, `"msg":"serving"`)
	s.envoy = s.begin(t, "envoy -c <(durward bootstrap)")
	var err error
	if s.gateway, err = gatewayOf(filepath.Join(s.dir, "durward.yaml")); err != nil {
		t.Fatalf("%v\n%s%s", err, s.envoy.stderr.String(), s.serve.stderr.String())
	}
	return s
}

// fixedAddress is where something listens in a first configuration.
var fixedAddress = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// elsewhere moves the fixed addresses of a first configuration to free ones.
func elsewhere(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	moved := map[string]string{}
	changed := fixedAddress.ReplaceAllStringFunc(string(text), func(old string) string {
		if moved[old] == "" {
			moved[old] = unused()
		}
		return moved[old]
	})
	return os.WriteFile(file, []byte(changed), 0o600)
}

// nextPort counts below the range from which systems give out ports by themselves, and
// below the callback ports' second.
var nextPort atomic.Int32

func init() { nextPort.Store(10100 + rand.Int32N(7000)) }

// unused is an address that nobody listens on, and that is given to nobody else.
func unused() string {
	for {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(nextPort.Add(1))))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
}

var gatewayURL = regexp.MustCompile(`url: "http://([^"]+)" }`)

// gatewayOf waits until the gateway of a first configuration asks durward, and returns its
// address.
func gatewayOf(file string) (gateway string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	found := gatewayURL.FindStringSubmatch(string(text))
	if found == nil {
		return "", errors.New("the configuration names no gateway")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 3 * time.Second}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var status string
		res, err := client.Get("http://" + found[1] + "/orders/7")
		if err == nil {
			_ = res.Body.Close()
			if status = res.Status; res.StatusCode == http.StatusUnauthorized {
				return found[1], nil
			}
		}
		if time.Now().After(deadline) {
			return "", errors.Join(errors.New("the gateway does not open: "+status), err)
		}
	}
}

// shownOn waits until a file holds what the pattern matches, and returns the group of it.
func shownOn(file string, pattern *regexp.Regexp) (string, error) {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if found := pattern.FindStringSubmatch(string(text)); found != nil {
			return found[len(found)-1], nil
		}
		if time.Now().After(deadline) {
			return "", errors.Join(errors.New(file+" does not show "+pattern.String()+":\n"+strings.TrimSpace(string(text))), err)
		}
	}
}

// anywhereInEnvironment is anywhere, for a command line that may not be changed.
func anywhereInEnvironment(state string) []string {
	env := []string{envName("state") + "=" + state}
	for _, flag := range []string{"gateway", "okta", "backend", "check", "xds", "ops", "admin"} {
		env = append(env, envName(flag)+"=127.0.0.1:0")
	}
	return env
}

var opsAddress = regexp.MustCompile(`"ops":"([^"]+)"`)

// answers asks the operations port of a serve until it answers 200, and returns the body.
func (p *process) answers(t *testing.T, path string) string {
	t.Helper()
	found := opsAddress.FindStringSubmatch(p.stderr.String())
	if found == nil {
		t.Fatalf("serve names no operations port:\n%s", p.stderr.String())
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 3 * time.Second}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		res, err := client.Get("http://" + found[1] + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		switch {
		case err != nil:
			t.Fatal(err)
		case res.StatusCode == http.StatusOK:
			return string(body)
		case time.Now().After(deadline):
			t.Fatalf("%s: %s %s", path, res.Status, body)
		}
	}
}
