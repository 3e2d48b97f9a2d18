package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestNewcomer runs the sessions of testdata/script: somebody who knows nothing but what
// durward prints.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	envoy := findEnvoy(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			tb, ok := e.T().(testing.TB)
			if !ok {
				return errors.New("the script has no test")
			}
			e.Values[theTest] = tb
			bin := filepath.Join(e.WorkDir, ".bin")
			if err := os.Mkdir(bin, 0o700); err != nil {
				return err
			}
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, ".state"))
			e.Setenv("NO_COLOR", "1")
			e.Setenv("DURWARD_ADMIN", "127.0.0.1:0")
			e.Vars = append(e.Vars, beDurward+"=1", endAtOnce)
			return furnish(bin, envoy)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"elsewhere": movesPorts,
			"exits":     exits,
			"spoil":     spoils,
			"mend":      mends,
			"shows":     waitsFor,
			"tells":     waitsForStatus,
			"opens":     waitsForGateway,
			"ports":     keepsPorts,
			"signin":    postsForm,
			"printed":   remembers,
		},
	})
}

// theTest is the key of the script's own test.
const theTest = "test"

func testOf(ts *testscript.TestScript) testing.TB { return ts.Value(theTest).(testing.TB) }

func arguments(ts *testscript.TestScript, neg bool, args []string, n int, usage string) {
	if neg || len(args) < n {
		ts.Fatalf("usage: %s", usage)
	}
}

// movesPorts: elsewhere FILE moves the ports of a configuration to free ones.
func movesPorts(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "elsewhere FILE")
	ts.Check(elsewhere(ts.MkAbs(args[0])))
}

// exits: exits CODE PROGRAM ARG... runs a program that ends with the exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "exits CODE PROGRAM ARG...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// spoils: spoil FILE OLD NEW makes a mistake at the only place of OLD; \n in NEW is a
// line break.
func spoils(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 3, "spoil FILE OLD NEW")
	text := ts.ReadFile(args[0])
	if n := strings.Count(text, args[1]); n != 1 {
		ts.Fatalf("%s holds %q %d times", args[0], args[1], n)
	}
	text = strings.Replace(text, args[1], strings.ReplaceAll(args[2], `\n`, "\n"), 1)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// finding is one of check's: where, how wide, and what to do.
var finding = regexp.MustCompile(`(?m)^(\S+):(\d+):(\d+): error (DW\d+): (.*)\n.*\n[ |]*(\^~*)\n  fix: (.*?)(?:  \(durward help DW\d+\))?$`)

// mends: mend does what the fix of the last command's only finding says, and nothing else.
func mends(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 0, "mend")
	found := finding.FindAllStringSubmatch(ts.ReadFile("stderr"), -1)
	if len(found) != 1 {
		ts.Fatalf("there are %d findings to mend", len(found))
	}
	file, message, fix := found[0][1], found[0][5], found[0][7]
	line, err := strconv.Atoi(found[0][2])
	ts.Check(err)
	column, err := strconv.Atoi(found[0][3])
	ts.Check(err)
	lines := strings.Split(ts.ReadFile(file), "\n")
	before, wrong, after := lines[line-1][:column-1], lines[line-1][column-1:][:len(found[0][6])], lines[line-1][column-1+len(found[0][6]):]
	meant := regexp.MustCompile(`^did you mean "([^"]+)"`).FindStringSubmatch(fix)
	write := regexp.MustCompile(`^write (\S+)$`).FindStringSubmatch(fix)
	mode := regexp.MustCompile(`\(chmod (\d+)\)`).FindStringSubmatch(fix)
	switch {
	case meant != nil:
		lines[line-1] = before + meant[1] + after
	case write != nil:
		quote := strings.Repeat(`"`, strings.Count(wrong, `"`)/2)
		lines[line-1] = before + quote + write[1] + quote + after
	case strings.HasPrefix(fix, "remove one of the two"):
		lines = append(lines[:line-1], lines[line:]...)
	case mode != nil:
		named := regexp.MustCompile(`^client_secret_file: (\S+) can be written by others`).FindStringSubmatch(message)
		if named == nil {
			ts.Fatalf("the finding names no file: %s", message)
		}
		ts.Check(ts.Exec("chmod", mode[1], named[1]))
		return
	default:
		ts.Fatalf("a newcomer does not know how to do this: %s", fix)
	}
	ts.Check(os.WriteFile(ts.MkAbs(file), []byte(strings.Join(lines, "\n")), 0o600))
}

// waitsFor: shows FILE PATTERN waits until something that runs has written it.
func waitsFor(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 2, "shows FILE PATTERN")
	_, err := shownOn(ts.MkAbs(args[0]), regexp.MustCompile(args[1]))
	ts.Check(err)
}

// waitsForStatus: tells PATTERN waits until durward status prints it.
func waitsForStatus(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "tells PATTERN")
	pattern := regexp.MustCompile("(?m)" + args[0])
	deadline := time.Now().Add(20 * time.Second)
	for {
		ts.Check(ts.Exec("durward", "status"))
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("status does not show %s:\n%s", pattern, ts.ReadFile("stdout"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// waitsForGateway: opens FILE waits for the gateway of a configuration.
func waitsForGateway(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "opens FILE")
	_, err := gatewayOf(ts.MkAbs(args[0]))
	ts.Check(err)
}

// keepsPorts: ports keeps the callback ports for the rest of the script.
func keepsPorts(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 0, "ports")
	loginPorts(testOf(ts))
}

// postsForm: signin FILE signs alice in at the address that login writes into FILE.
func postsForm(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 1, "signin FILE")
	address, err := shownOn(ts.MkAbs(args[0]), authorizeURL)
	ts.Check(err)
	if page := signIn(testOf(ts), address); !strings.Contains(page, "You may close this tab.") {
		ts.Fatalf("the callback page is:\n%s", page)
	}
}

// remembers: printed NAME stdout|stderr PATTERN puts what the last command printed, the
// group of the pattern, into a variable.
func remembers(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, args, 3, "printed NAME stdout|stderr PATTERN")
	found := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(found) != 2 {
		ts.Fatalf("%s has no %s", args[1], args[2])
	}
	ts.Setenv(args[0], found[1])
}
