package main

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
	"github.com/durward/durward/policy/policytest"
)

// errTests is a run of policy tests of which some failed, or were missing; that was
// printed already.
var errTests = errors.New("policy tests failed")

// trial are the flags of test.
type trial struct {
	config, pattern string
	run             *regexp.Regexp
	verbose         bool
	coverage        bool
	threshold       int
	form            string
}

const testHelp = `Runs the *_test.yaml files beside a configuration: requests by callers whose tokens are
given by their claims, and what is expected of each decision. It judges as serve would, at
the tests' own time, and sends nothing. Each PATH is a configuration, a file or a directory;
without one it is that of --config.

  version: 1
  now: 2026-01-01T12:00:00Z             # the default; every case is judged at this time
  tokens:
    alice: { application: retail/mobile, uid: 00u1, scopes: [orders.read], email: a@example.com }
    bob: { application: retail/mobile, uid: 00u2, scopes: [openid] }
  cases:
    - name: a reader reads
      as: alice                         # without it no token is sent
      method: GET
      url: /orders/7                    # or a whole URL
      expect: allow                     # or deny, with a reason if you like
      headers: { x-auth-user-id: 00u1, x-auth-groups: null }   # null: it is absent
  matrix:
    - requests: [GET /orders/7, GET /orders/8]
      allow: [alice]
      deny: { bob: scope_missing, "-": token_missing }         # "-" is no token

A token is of an application, or of a client_id, and has claims under their own names; dates
(auth_time, exp, iat) may be times from now (-10m), and expires_in says how long it is good.
bound: true is a DPoP token that comes with a good proof; a token without uid is a machine's.
A case may have a source_ip, for rules. An API in shadow mode turns nobody away: write
expect: shadow, or shadow: {...} in a matrix, with the reason that it would have.

A case that fails is shown with the steps of its decision and where the configuration asks
them. --coverage says how much of grant x operation x outcome the cases that pass have
shown, and lists what no case allows or denies. -o junit prints JUnit XML, -o github
annotations for GitHub Actions.

Exit code 4 if a case fails or there is none, or --threshold is missed; 3 if a file cannot
be read, though the others are run.`

func newTest() *cobra.Command {
	o := trial{form: "text"}
	cmd := &cobra.Command{
		Use:     "test [PATH...]",
		Short:   "Run the policy tests beside a configuration",
		Long:    testHelp,
		Example: "  durward test\n  durward test -v --run reader\n  durward test --coverage --threshold 100\n  durward test -o junit .",
		RunE:    func(cmd *cobra.Command, paths []string) error { return o.start(cmd, paths) },
	}
	configFlag(cmd, &o.config)
	f := cmd.Flags()
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show every case, and how long its decision took")
	f.StringVar(&o.pattern, "run", "", "run the cases whose names match this regular expression alone")
	f.BoolVar(&o.coverage, "coverage", false, "say how much of grant x operation x outcome is tested")
	f.IntVar(&o.threshold, "threshold", 0, "least coverage in percent, below which the run fails")
	wordFlag(cmd, &o.form, "output", "o", "form of the results", "text", "junit", "github")
	return cmd
}

// tested is one configuration and what came of its tests.
type tested struct {
	path string
	// catalogue is nil where it has findings.
	catalogue *catalog.Catalogue
	findings  []catalog.Finding
	files     []testedFile
	coverage  *policytest.Coverage
	// cases counts those that --run left out too.
	cases int
	took  time.Duration
}

// testedFile is one file of tests.
type testedFile struct {
	path     string
	findings []catalog.Finding
	results  []policytest.Result
}

func (o trial) start(cmd *cobra.Command, paths []string) (err error) {
	if len(paths) == 0 {
		paths = []string{o.config}
	}
	if o.run, err = regexp.Compile(o.pattern); err != nil {
		return &usageError{fmt.Errorf("--run: %w", err), cmd.CommandPath()}
	}
	if o.threshold < 0 || o.threshold > 100 {
		return &usageError{errors.New("--threshold is between 0 and 100"), cmd.CommandPath()}
	}
	if i := slices.IndexFunc(paths, source.IsTest); i >= 0 {
		return &usageError{fmt.Errorf("%s holds tests: name the configuration beside it, and choose tests with --run", paths[i]), cmd.CommandPath()}
	}
	o.coverage = o.coverage || o.threshold > 0
	var all []tested
	for _, path := range paths {
		all = append(all, o.try(path))
	}
	if err := o.print(cmd, all); err != nil {
		return err
	}
	return o.judge(all)
}

// try runs the tests of one configuration. What cannot be read does not keep the rest from
// being read.
func (o trial) try(path string) tested {
	began := time.Now()
	t := tested{path: path}
	var err error
	if t.catalogue, t.findings, err = source.Load(path); err != nil {
		t.findings = []catalog.Finding{catalog.NewFinding("DW010", catalog.Position{File: path}, unreadable(err))}
		return t
	}
	names, err := source.Tests(path)
	if err != nil {
		t.findings = append(t.findings, catalog.NewFinding("DW010", catalog.Position{File: path}, unreadable(err)))
	}
	if t.catalogue != nil {
		t.findings = nil // warnings are for check to show
		t.coverage = policytest.NewCoverage(t.catalogue)
	}
	for _, name := range names {
		cases, findings := policytest.Load(name)
		t.cases += len(cases)
		t.files = append(t.files, testedFile{path: name, findings: findings, results: o.runAll(t, cases)})
	}
	t.took = time.Since(began)
	return t
}

func (o trial) runAll(t tested, cases []policytest.Case) (results []policytest.Result) {
	if t.catalogue == nil {
		return nil
	}
	for _, c := range cases {
		if !o.run.MatchString(c.Name) {
			continue
		}
		r := c.Run(t.catalogue)
		t.coverage.Add(r)
		results = append(results, r)
	}
	return results
}

func unreadable(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return "this cannot be read: " + err.Error()
}

// judge returns how the run ends: with what cannot be read first, since nobody knows what
// it would have said.
func (o trial) judge(all []tested) error {
	passed, failed, good := 0, 0, true
	for _, t := range all {
		if len(t.allFindings()) > 0 {
			return &said{errFindings}
		}
		p, f := t.count()
		passed, failed = passed+p, failed+f
		good = good && t.cases > 0 && (t.coverage.Percent() >= o.threshold)
	}
	if failed > 0 || passed == 0 || !good {
		return &said{errTests}
	}
	return nil
}

func (t tested) allFindings() []catalog.Finding {
	all := slices.Clone(t.findings)
	for _, f := range t.files {
		all = append(all, f.findings...)
	}
	return all
}

func (t tested) count() (passed, failed int) {
	for _, f := range t.files {
		for _, r := range f.results {
			if len(r.Wrong) == 0 {
				passed++
			} else {
				failed++
			}
		}
	}
	return passed, failed
}
