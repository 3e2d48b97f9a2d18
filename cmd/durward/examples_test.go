package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stage is what is there already when an example is typed.
type stage int

const (
	// nothing, a configuration, or everything running.
	bare stage = iota
	configured
	running
)

// example is a line that help shows, and how it goes.
type example struct {
	line string
	on   stage
	// before is a line of shell that is typed first.
	before string
	// says is a part of what it writes, to either stream.
	says string
	// stays is for a line that goes on until Ctrl-C, asks for one that a browser answers.
	stays, asks bool
}

// examples are in an order in which those on the running stage make sense.
var examples = []example{
	{line: "durward version", says: "durward "},
	{line: "durward help serve", says: "Usage:\n  durward serve"},
	{line: "durward help DW102", says: "\nFix\n"},
	{line: "durward help scope_missing", says: "\nFix\n"},
	{line: "durward schema > durward.schema.json"},
	{line: "durward init", says: "wrote durward.yaml\n"},
	{line: "durward init -c okta/durward.yaml --issuer https://example.okta.com/oauth2/default", says: "admin console of example.okta.com"},
	{line: "durward demo", says: staying, stays: true},
	{line: "durward demo --exit --gateway 127.0.0.1:0", says: "every step ended as expected"},
	{line: "durward emulate --listen 127.0.0.1:0", says: "users ", stays: true},
	{line: "durward emulate --listen 127.0.0.1:0 --fault introspect:latency=300ms", says: "users ", stays: true},

	{line: "durward check", on: configured, says: "durward.yaml: good; "},
	{line: "durward check -c durward.yaml --secrets", on: configured, says: "durward.yaml: good; "},
	{line: "durward check --envoy", on: configured, says: "durward.yaml: good; "},
	{line: "durward check -o github .", on: configured, says: ".: good; "},
	{line: "durward diff old.yaml durward.yaml", on: configured, before: "cp durward.yaml old.yaml", says: "no difference"},
	{line: "durward diff --fail-on widened old.yaml durward.yaml", on: configured, before: "cp durward.yaml old.yaml", says: "no difference"},
	{line: "durward test", on: configured, says: "durward.yaml: ok; "},
	{line: "durward test -v --run reader", on: configured, says: "pass durward_test.yaml:"},
	{line: "durward test --coverage --threshold 100", on: configured, says: "coverage 100%"},
	{line: "durward test -o junit .", on: configured, says: "<testsuites "},
	{line: "durward emulate -c durward.yaml --backend", on: configured, says: "users ", stays: true},
	{line: "durward serve -c durward.yaml --last-good last-good", on: configured, says: `"msg":"serving"`, stays: true},
	{line: "envoy -c <(durward bootstrap -c durward.yaml)", on: configured, says: "starting main dispatch loop", stays: true},

	{line: "durward status", on: running, says: "KIND "},
	{line: "durward status -o json", on: running, says: `"kind": "api"`},
	{line: "durward explain GET /orders/7 --as mobile --scope orders.read", on: running, says: "ALLOW"},
	{line: "durward login mobile --scope orders.read --no-browser --steps", on: running, says: "code_challenge", asks: true},
	{line: "durward login mobile", on: running, says: "alice@example.com is signed in to mobile", asks: true},
	{line: "durward call mobile GET /orders/7", on: running, says: "allowed 200"},
	{line: `durward call mobile POST /orders -d '{"item":7}'`, on: running, says: "allowed 200"},
	{line: "durward explain POST http://127.0.0.1:10000/orders --token @alice.header", on: running, says: "ALLOW"},
	{line: "durward token @alice.header", on: running, says: "application mobile of organization retail"},
	{line: "durward token --introspect - < alice.header", on: running, says: "application mobile of organization retail"},
	{line: "durward login mobile --dpop --acr-values phr --max-age 300", on: running, says: "alice@example.com is signed in to mobile", asks: true},
	{line: "durward logout mobile", on: running, says: "alice@example.com is signed out of retail/mobile"},
	{line: "durward logout --all", on: running, says: "nobody is signed in here"},
}

// Every line of help that is there to be copied is copied.
func TestExamplesRun(t *testing.T) {
	t.Parallel()
	var shown, known []string
	root := newRoot()
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		for line := range strings.Lines(cmd.Example) {
			shown = append(shown, strings.TrimSpace(line))
		}
		if cmd.Example == "" {
			t.Errorf("%s has no example", cmd.Name())
		}
	}
	for _, e := range examples {
		known = append(known, e.line)
	}
	slices.Sort(shown)
	slices.Sort(known)
	if diff := cmp.Diff(known, shown); diff != "" {
		t.Fatalf("help shows examples that no test runs (-known +shown):\n%s", diff)
	}
	for _, e := range examples {
		if e.on == running {
			continue
		}
		t.Run(e.line, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			if e.on == configured {
				p.writes(t)
			}
			e.run(t, p)
		})
	}
	t.Run("running", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		for _, e := range examples {
			if e.on == running {
				e.run(t, s.place)
			}
			if e.asks {
				s.writeHeader(t)
			}
		}
	})
}

func (e example) run(t *testing.T, p place) {
	t.Helper()
	if strings.HasPrefix(e.line, "durward demo") {
		p.env = append(p.env, anywhereInEnvironment(t.TempDir())...)
	}
	if e.before != "" {
		if code, _, stderr := p.does(t, e.before); code != 0 {
			t.Fatalf("%s: %s", e.before, stderr)
		}
	}
	var ran *process
	switch {
	case e.asks:
		p.askedAlone(t, func(t *testing.T) { ran, _ = p.signsIn(t, e.line) })
	case e.stays:
		ran = p.begin(t, e.line)
		ran.says(t, e.says)
		ran.signalAll(t, syscall.SIGINT)
	default:
		ran = p.begin(t, e.line)
	}
	if ran == nil {
		t.FailNow() // said already
	}
	code, all := ran.exit(t), ran.stdout.String()+ran.stderr.String()
	if code != 0 || !strings.Contains(all, e.says) {
		t.Errorf("%s: exit code %d, without %q:\n%s", e.line, code, e.says, all)
	}
	if _, file, redirected := strings.Cut(e.line, " > "); redirected {
		if text, err := os.ReadFile(filepath.Join(p.dir, file)); err != nil || !json.Valid(text) {
			t.Errorf("%s: %v\n%s", e.line, err, text)
		}
	}
}
