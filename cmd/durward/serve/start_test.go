package serve

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRefusesSecrets(t *testing.T) {
	t.Parallel()
	_, c := newOrg(t)
	for name, tt := range map[string]struct {
		make func(path string) error
		told string
	}{
		"missing":        {func(string) error { return nil }, "no such file"},
		"empty":          {writing("", 0o600), "empty"},
		"a line's end":   {writing("\r\n", 0o600), "empty"},
		"two lines":      {writing("hunter1\nhunter2\n", 0o600), "more than one line"},
		"a blank line":   {writing("one\n\n", 0o600), "more than one line"},
		"binary":         {writing("hunter1\x00hunter2", 0o600), "more than one line"},
		"too long":       {writing(strings.Repeat("s", 4097), 0o600), "longer than 4096 bytes"},
		"world-writable": {writing("one", 0o602), "can be written by others (mode 0602)"},
		"group-writable": {writing("one", 0o620), "can be written by others (mode 0620)"},
		"directory":      {func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file"},
		"pipe":           {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := c
			c.dir = t.TempDir()
			c.secretFile = "the-secret"
			path := filepath.Join(c.dir, c.secretFile)
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			c.write(t)
			err := refused(t, c)
			var config *ConfigError
			if !errors.As(err, &config) || len(config.Findings) != 1 || config.Findings[0].Code != "DW309" {
				t.Fatalf("error %v, want a *ConfigError with one DW309", err)
			}
			for _, want := range []string{path, tt.told, "durward.yaml:8:"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter") {
				t.Errorf("error %v repeats what is in the file", err)
			}
		})
	}
}

func writing(text string, mode os.FileMode) func(string) error {
	return func(path string) error {
		return errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode))
	}
}

func TestLoadSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "durward.yaml")
	_, err := Start(t.Context(), path, nil)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

// The message names the key that moves the port, for each of them.
func TestBusyPort(t *testing.T) {
	t.Parallel()
	_, c := newOrg(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	address := taken.Addr().String()
	for name, port := range map[string]*string{"check": &c.check, "xds": &c.xds, "ops": &c.ops, "admin": &c.admin} {
		free := *port
		*port = address
		c.write(t)
		err := refused(t, c)
		var busy *BusyError
		if !errors.As(err, &busy) || !errors.Is(err, syscall.EADDRINUSE) || busy.Name != name || busy.Address != address {
			t.Errorf("%s: error %v, want a *BusyError", name, err)
		} else if !strings.Contains(err.Error(), "listeners."+name+".address") || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: error %v names no key", name, err)
		}
		*port = free
	}
}

// socketDir is short: a socket's path has at most 104 bytes.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dw") //nolint:usetesting // a test's own is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestUnixSockets(t *testing.T) {
	t.Parallel()
	okta, c := newOrg(t)
	dir := socketDir(t)
	c.check, c.xds = "unix:"+filepath.Join(dir, "check"), "unix:"+filepath.Join(dir, "xds")
	c.write(t)
	killed(t, filepath.Join(dir, "check"))

	s, _ := begin(t, c)
	if l := s.Catalogue().Listeners; l.Check.Address != c.check || l.XDS.Address != c.xds {
		t.Errorf("bound %+v", l)
	}
	if got := ask(t, dial(t, c.check), "orders", "/orders/7", mint(t, okta)); got != "allow" {
		t.Errorf("a check over the socket: %s", got)
	}

	// A second one does not take a live socket away.
	var busy *BusyError
	if err := refused(t, c); !errors.As(err, &busy) || busy.Name != "check" {
		t.Errorf("live socket: error %v, want a *BusyError", err)
	}
	if got := ask(t, dial(t, c.check), "orders", "/orders/7", mint(t, okta)); got != "allow" {
		t.Errorf("afterwards: %s", got)
	}

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("sockets are left behind: %v %v", left, err)
	}
}

// killed leaves a socket as a killed process does.
func killed(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// Listen removes nothing but a socket that is certainly dead.
func TestListenRemovesOnlyDeadSockets(t *testing.T) {
	t.Parallel()
	dir := socketDir(t)
	path := filepath.Join(dir, "socket")
	exists := func() bool { _, err := os.Lstat(path); return err == nil }

	writeFile(t, path, "precious", 0o600)
	if _, err := Listen(t.Context(), "check", "unix:"+path, 0o600); err == nil || !strings.Contains(err.Error(), path) || !exists() {
		t.Errorf("a file: error %v, and it exists: %t", err, exists())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}

	live, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = live.Close() })
	ended, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	if _, err := Listen(ended, "check", "unix:"+path, 0o600); err == nil || !exists() {
		t.Errorf("a live socket, and no time to try it: error %v, and it exists: %t", err, exists())
	}
}
