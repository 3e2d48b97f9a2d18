package main

import (
	"errors"
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
)

// place is where a newcomer works: a directory, a state directory, and a shell that
// finds durward and the real Envoy.
type place struct {
	dir, state string
	env        []string
}

func newPlace(t *testing.T) place {
	t.Helper()
	p := place{dir: t.TempDir(), state: t.TempDir()}
	bin := t.TempDir()
	if err := furnish(bin, findEnvoy(t)); err != nil {
		t.Fatal(err)
	}
	p.env = append(durward().Env,
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "XDG_STATE_HOME="+p.state,
		"DURWARD_ADMIN=127.0.0.1:0", "NO_COLOR=1", "BROWSER=false")
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
		os.WriteFile(filepath.Join(bin, "envoy"), []byte(wrapper), 0o700)) //nolint:gosec // it is a program
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

// shop is a place where everything runs.
type shop struct {
	place
	gateway            string
	okta, serve, envoy *process
}

func newShop(t *testing.T) shop {
	t.Helper()
	s := shop{place: newPlace(t)}
	if code, _, stderr := s.does(t, "durward init"); code != 0 {
		t.Fatalf("init: %d %s", code, stderr)
	}
	if err := elsewhere(filepath.Join(s.dir, "durward.yaml")); err != nil {
		t.Fatal(err)
	}
	s.okta = s.begin(t, "durward emulate -c durward.yaml --backend")
	s.okta.says(t, "users ")
	s.serve = s.begin(t, "durward serve")
	s.serve.says(t, `"msg":"serving"`)
	s.envoy = s.begin(t, "envoy -c <(durward bootstrap)")
	var err error
	if s.gateway, err = opened(filepath.Join(s.dir, "durward.yaml")); err != nil {
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

// opened waits until the gateway of a first configuration asks durward, and returns its
// address.
func opened(file string) (gateway string, err error) {
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
