package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/cmd/durward/scaffold"
	"github.com/durward/durward/policy/catalog/source"
	"github.com/durward/durward/policy/contract"
)

// readmeLines are the lines of shell that the README shows, in its order. Those of the
// tests below run each but the one that would run them.
var readmeLines = struct{ demo, test, session, org []string }{
	demo: []string{"go run ./cmd/durward demo"},
	test: []string{"go test ./..."},
	session: []string{
		"go install ./cmd/durward",
		"durward init",
		"durward emulate -c durward.yaml --backend",
		"durward serve",
		"envoy -c <(durward bootstrap)",
		"durward login mobile --scope orders.read",
		"durward call mobile GET /orders/7",
		"durward call mobile POST /orders",
		"durward explain POST /orders --as mobile --scope orders.read",
		"durward test",
		"durward status",
		"durward call mobile GET /invoices/7",
	},
	org: []string{
		"durward init -c okta/durward.yaml --issuer https://example.okta.com/oauth2/default",
		"durward check -c okta/durward.yaml",
		"durward serve -c okta/durward.yaml",
	},
}

func readReadme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fenced returns the blocks of a language.
func fenced(text, language string) (blocks []string) {
	for _, found := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, found[1])
	}
	return blocks
}

// No line can be added to the README that no test runs.
func TestReadmeLines(t *testing.T) {
	t.Parallel()
	text := readReadme(t)
	var shown, known []string
	for _, block := range fenced(text, "sh") {
		shown = append(shown, strings.Split(strings.TrimSuffix(block, "\n"), "\n")...)
	}
	for _, lines := range [][]string{readmeLines.demo, readmeLines.test, readmeLines.session, readmeLines.org} {
		known = append(known, lines...)
	}
	if diff := cmp.Diff(known, shown); diff != "" {
		t.Errorf("the README shows other lines than the tests run (-run +shown):\n%s", diff)
	}
	fences := regexp.MustCompile("(?m)^```(\\w*)$").FindAllStringSubmatch(text, -1)
	for i := 0; i < len(fences); i += 2 {
		if language := fences[i][1]; language != "sh" && language != "text" && language != "yaml" {
			t.Errorf("a block is in %q, which no test reads", language)
		}
	}
	if n := strings.Count(text, "\n"); n > 170 {
		t.Errorf("the README has %d lines", n)
	}
}

var updateReadme = flag.Bool("update-readme", false, "write the README's table of checks anew")

// checksTable is what the README says is checked: the table that decisions are held to.
func checksTable() string {
	var b strings.Builder
	b.WriteString("| Each request must have, in this order | else |\n|---|---|\n")
	for _, c := range grouped(contract.Checks()) {
		var statuses []string
		byStatus := make(map[string][]string)
		for _, r := range c.Reasons {
			if r.Denial().Status >= 500 {
				continue // an outage says nothing about the request
			}
			status := fmt.Sprint(r.Denial().Status)
			if byStatus[status] == nil {
				statuses = append(statuses, status)
			}
			byStatus[status] = append(byStatus[status], "`"+string(r)+"`")
		}
		var all []string
		for _, status := range statuses {
			reasons := byStatus[status]
			if len(reasons) > 3 {
				reasons = append(reasons[:0:0], fmt.Sprintf("and one of %d reasons", len(reasons)))
			}
			all = append(all, status+" "+strings.Join(reasons, " "))
		}
		fmt.Fprintf(&b, "| %s | %s |\n", c.Asks, strings.Join(all, ", "))
	}
	return b.String()
}

// grouped joins checks that deny with the same reasons, one after another.
func grouped(checks []contract.Check) (groups []contract.Check) {
	for _, c := range checks {
		if last := len(groups) - 1; last >= 0 && slices.Equal(groups[last].Reasons, c.Reasons) {
			groups[last].Asks += "; " + c.Asks
			continue
		}
		groups = append(groups, c)
	}
	return groups
}

// The README's table of what is checked is the code's.
func TestReadmeChecks(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- checks -->\n", "<!-- /checks -->\n"
	before, rest, found := strings.Cut(readReadme(t), begin)
	shown, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatal("the README has no table of checks")
	}
	if *updateReadme {
		text := before + begin + checksTable() + end + after
		if err := os.WriteFile(filepath.Join(root, "README.md"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(checksTable(), shown); diff != "" {
		t.Errorf("go test ./cmd/durward -run ReadmeChecks -update-readme writes it anew (-code +README):\n%s", diff)
	}
}

// What a link names is there.
func TestReadmeLinks(t *testing.T) {
	t.Parallel()
	links := regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(readReadme(t), -1)
	if len(links) == 0 {
		t.Error("the README has no links")
	}
	for _, link := range links {
		target, _, _ := strings.Cut(link[1], "#")
		if strings.Contains(target, "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(target))); err != nil {
			t.Error(err)
		}
	}
}

// The README's catalogue is the one that init writes, but for what init adds to it: the
// default listeners, and applications to be refused.
func TestReadmeCatalogue(t *testing.T) {
	t.Parallel()
	blocks := fenced(readReadme(t), "yaml")
	if len(blocks) != 2 { // the second is TestReadmeSession's
		t.Fatalf("the README has %d blocks of YAML", len(blocks))
	}
	if n := strings.Count(blocks[0], "\n"); n > 30 {
		t.Errorf("the catalogue has %d lines", n)
	}
	shown, findings := source.Parse("durward.yaml", []byte(blocks[0]))
	if shown == nil || len(findings) > 0 {
		t.Fatalf("the README's catalogue has findings: %v", findings)
	}
	v := scaffold.Local()
	v.Partner, v.Warehouse = "", ""
	text, err := scaffold.Catalogue(v)
	if err != nil {
		t.Fatal(err)
	}
	written, findings := source.Parse("durward.yaml", text)
	if written == nil || len(findings) > 0 {
		t.Fatalf("init's catalogue has findings: %v", findings)
	}
	if diff := cmp.Diff(written.Listeners, shown.Listeners); diff != "" {
		t.Errorf("listeners (-init +README):\n%s", diff)
	}
	keys := func(text []byte) (all map[string]any) {
		if err := yaml.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		delete(all, "listeners")
		return all
	}
	if diff := cmp.Diff(keys(text), keys([]byte(blocks[0]))); diff != "" {
		t.Errorf("-init +README:\n%s", diff)
	}
}

// atRoot is a place whose shell stands in the repository, as one that read the README.
func atRoot(t *testing.T) place {
	t.Helper()
	p := newPlace(t)
	p.dir = root
	return p
}

// What the README says that the demo prints, it prints.
func TestReadmeDemo(t *testing.T) {
	t.Parallel()
	p := atRoot(t)
	// What takes long is done before the clock runs.
	if code, _, stderr := p.does(t, "go build -o /dev/null ./cmd/durward"); code != 0 {
		t.Fatalf("go build: %d %s", code, stderr)
	}
	state := t.TempDir()
	p.env = append(p.env, anywhereInEnvironment(state)...)
	run := p.begin(t, readmeLines.demo[0])
	run.says(t, staying)
	run.signalAll(t, syscall.SIGINT)
	run.exit(t)
	// On Ctrl-C `go run` ends with 1 by itself; of another end of the program it tells.
	if all := run.stdout.String() + run.stderr.String(); !strings.HasSuffix(run.stdout.String(), "\nstopping\n") || strings.Contains(all, "exit status") {
		t.Errorf("Ctrl-C ends it like this:\n%s", all)
	}
	allGone(t, state)

	lines := strings.Split(run.stdout.String(), "\n")
	columns := regexp.MustCompile(` {2,}`)
	var outcomes int
	for _, block := range fenced(readReadme(t), "text") {
		if !strings.Contains(block, "✓") {
			continue
		}
		for line := range strings.Lines(block) {
			outcomes++
			cells := columns.Split(strings.TrimSpace(line), -1)
			// What is left out between two columns may be anything.
			for i, cell := range cells {
				cells[i] = regexp.QuoteMeta(cell)
			}
			said := regexp.MustCompile(`^ +` + strings.Join(cells, ` {2,}(?:.* {2,})?`) + `$`)
			found := false
			for _, printed := range lines {
				found = found || said.MatchString(strings.TrimRight(printed, " "))
			}
			if !found {
				t.Errorf("the demo does not print %q", line)
			}
		}
	}
	if outcomes < 5 {
		t.Errorf("the README shows %d lines of the demo", outcomes)
	}
}

// TestReadmeSession is the reader's: every line in its order, each that stays in a
// terminal of its own.
func TestReadmeSession(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	lines := readmeLines.session
	bin := filepath.Join(p.state, "bin")
	install := atRoot(t)
	install.env = append(install.env, "GOBIN="+bin)
	if code, _, stderr := install.does(t, lines[0]); code != 0 {
		t.Fatalf("%s: %d %s", lines[0], code, stderr)
	}
	opened := filepath.Join(p.state, "opened")
	browser := filepath.Join(p.state, "browser")
	script := "#!/bin/sh\nprintf %s \"$1\" >" + opened + ".part && mv " + opened + ".part " + opened + "\n"
	if err := os.WriteFile(browser, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	path := "PATH=" + bin + string(os.PathListSeparator)
	for _, v := range p.env {
		if rest, found := strings.CutPrefix(v, "PATH="); found {
			path = "PATH=" + bin + string(os.PathListSeparator) + rest
		}
	}
	p.env = append(p.env, path, "BROWSER="+browser)
	if _, stdout, _ := p.does(t, "command -v durward"); stdout != filepath.Join(bin, "durward")+"\n" {
		t.Fatalf("the shell runs %s", stdout)
	}
	p.wants(t, lines[1], 0, "wrote durward.yaml")
	file := filepath.Join(p.dir, "durward.yaml")
	if err := elsewhere(file); err != nil {
		t.Fatal(err)
	}
	okta := p.begin(t, lines[2])
	okta.says(t, "users ")
	durward := p.begin(t, lines[3])
	durward.says(t, `"msg":"serving"`)
	envoy := p.begin(t, lines[4])
	if _, err := gatewayOf(file); err != nil {
		t.Fatalf("%v\n%s%s", err, envoy.stderr.String(), durward.stderr.String())
	}
	t.Run("login", func(t *testing.T) {
		loginPorts(t)
		login := p.begin(t, lines[5])
		address, err := shownOn(opened, regexp.MustCompile(`^http://\S+$`))
		if err != nil {
			t.Fatalf("%v\n%s", err, login.stderr.String())
		}
		signIn(t, address)
		if code := login.exit(t); code != 0 || !strings.HasPrefix(login.stdout.String(), "alice@example.com is signed in to mobile; ") {
			t.Fatalf("exit code %d\n%s%s", code, login.stdout.String(), login.stderr.String())
		}
	})
	p.wants(t, lines[6], 0, "✓ allowed 200  GET /orders/7  answered by backend")
	p.wants(t, lines[7], exitDenied, "✗ denied 403 scope_missing  POST /orders  answered by durward")
	p.wants(t, lines[8], exitDenied, "✗ scope      needs one of orders.write, orders.admin; the token has orders.read")
	saved := addToCatalogue(t, file, fenced(readReadme(t), "yaml")[1])
	published := regexp.MustCompile(`(?m)^api +invoices +published `)
	for !published.MatchString(p.wants(t, lines[10], 0, "KIND")) {
		if time.Since(saved) > 10*time.Second {
			t.Fatalf("the edit is not published\n%s", durward.stderr.String())
		}
	}
	p.wants(t, lines[11], 0, "✓ allowed 200  GET /invoices/7  answered by backend")
	t.Logf("%v from the edit to the answer", time.Since(saved))
	for _, stays := range []*process{envoy, durward, okta} {
		stays.signalAll(t, syscall.SIGINT)
		if code := stays.exit(t); code != 0 {
			t.Errorf("exit code %d on Ctrl-C\n%s", code, stays.stderr.String())
		}
	}
}

// addToCatalogue does what the README says: it writes the entries of each key of the
// addition below those that the file has under that key, and saves. The backend is where
// the file's is.
func addToCatalogue(t *testing.T, file, addition string) (saved time.Time) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	backend := regexp.MustCompile(`backend: \{ url: "?([^" ]+)`)
	addition = strings.ReplaceAll(addition, backend.FindStringSubmatch(addition)[1], string(backend.FindSubmatch(text)[1]))
	lists := regexp.MustCompile(`(?m)^(\w+:\n)((?: .*\n)+)`)
	for _, list := range lists.FindAllStringSubmatch(addition, -1) {
		has := regexp.MustCompile(`(?m)^` + list[1] + `(?: .*\n)+`).FindIndex(text)
		if has == nil {
			t.Fatalf("%s has no list %q", file, list[1])
		}
		text = slices.Insert(text, has[1], []byte(list[2])...)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

// wants runs a line, which ends with the exit code and says something.
func (p place) wants(t *testing.T, line string, code int, says string) (all string) {
	t.Helper()
	got, stdout, stderr := p.does(t, line)
	all = stdout + stderr
	if got != code || !strings.Contains(all, says) {
		t.Errorf("%s: exit code %d, without %q:\n%s", line, got, says, all)
	}
	return all
}

// TestReadmeOrg is somebody with an Okta of their own, which does not answer here.
func TestReadmeOrg(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	lines := readmeLines.org
	p.wants(t, lines[0], 0, "In Okta's admin console of example.okta.com")
	missing := p.wants(t, lines[1], exitConfig, "2 errors")
	for _, what := range []string{"error DW308: ", "client_ids: [\"\"]", "client_id: \"\"", "fix: "} {
		if !strings.Contains(missing, what) {
			t.Errorf("check does not say %q:\n%s", what, missing)
		}
	}
	file := filepath.Join(p.dir, "okta", "durward.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer(`client_ids: [""]`, "client_ids: [0oaNATIVE]", `client_id: ""`, "client_id: 0oaSERVICE").Replace(string(text))
	if err := os.WriteFile(file, []byte(filled), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(p.dir, "okta", "okta-secret")
	if at, err := os.Stat(secret); err != nil || at.Mode() != 0o600 {
		t.Fatalf("%v %v", at, err)
	}
	if err := os.WriteFile(secret, []byte("a-secret-of-okta"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.wants(t, lines[1]+" --secrets", 0, "okta/durward.yaml: good; ")

	// No test asks a server that is not on this machine.
	dead := strings.Replace(filled, "https://example.okta.com/", "https://127.0.0.1:1/", 1)
	if err := os.WriteFile(file, []byte(dead), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := elsewhere(file); err != nil {
		t.Fatal(err)
	}
	serve := p.begin(t, lines[2])
	serve.says(t, `"msg":"serving"`)
	serve.says(t, `"msg":"authorization server does not answer`)
	serve.answers(t, "/readyz")
	serve.signalAll(t, syscall.SIGTERM)
	if code := serve.exit(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, serve.stderr.String())
	}
	if n := strings.Count(serve.stderr.String(), `"level":"WARN"`); n != 1 || strings.Contains(serve.stderr.String(), `"level":"ERROR"`) {
		t.Errorf("a dead Okta makes %d warnings:\n%s", n, serve.stderr.String())
	}
}
