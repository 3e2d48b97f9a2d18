package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/durward/durward/envoy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
)

// errFindings is a configuration with errors that were printed already.
var errFindings = errors.New("the configuration has errors")

func newCheck() *cobra.Command {
	var path string
	var o checking
	form := "text"
	cmd := &cobra.Command{
		Use:   "check [PATH...]",
		Short: "Look for mistakes in a configuration",
		Long: `Reads a configuration as serve would, and translates it for Envoy, without starting
anything. Each PATH is a configuration of its own, a file or a directory; without one it
is that of --config. Every mistake is told at once, sorted, with its place and a fix;
durward help DWnnn explains it. Text goes to standard error, but for what is said of a
good configuration; the other forms go to standard output. Of that are listed, below its
line, what lets requests pass without a token or a verdict, and who is turned away by
hand: public operations, APIs in shadow mode, and denials that have not ended.

-o json prints one object: findings, a list of { code, severity, file, line, column, width,
path, message, fix } with line 0 where a file as a whole is meant; errors and warnings, how
many there are; configurations, a list of { path, files, apis, revision, public, shadow,
denials } whose revision is empty where the configuration has errors; the last three are
lists of what the text lists. -o github prints annotations for GitHub Actions.

Secret files are looked at where they are; --secrets says that they must be there.
--envoy gives each gateway's translation to a real Envoy, to validate and not to run:
$DURWARD_ENVOY, or the one on PATH, or one that is fetched once. Run it where the files are
that Envoy reads. Exit code 3 if a configuration has errors or is missing; warnings do not
fail. Exit code 6 with --envoy and without an Envoy.`,
		Example: "  durward check\n  durward check -c durward.yaml --secrets\n  durward check --envoy\n  durward check -o github .",
		RunE: func(cmd *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				paths = []string{path}
			}
			return o.run(cmd, paths, form)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&o.envoy, "envoy", false, "ask a real Envoy whether it accepts what it would be told")
	cmd.Flags().BoolVar(&o.secrets, "secrets", false, "a secret file that is missing is an error, as for serve")
	wordFlag(cmd, &form, "output", "o", "form of the findings", "text", "json", "github")
	return cmd
}

// checked is one configuration and what was found in it.
type checked struct {
	path string
	source.Report
	took time.Duration
}

// checking are the flags of check.
type checking struct{ secrets, envoy bool }

func (o checking) run(cmd *cobra.Command, paths []string, form string) error {
	asked, err := o.validator(cmd)
	if err != nil {
		return err
	}
	var all []checked
	var findings []catalog.Finding
	for _, path := range paths {
		began := time.Now()
		c := checked{path: path, Report: source.Check(path, o.secrets)}
		if err := translate(c.Catalogue); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := asked.validate(cmd.Context(), &c.Report); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		c.took = time.Since(began)
		all = append(all, c)
		findings = append(findings, c.Findings...)
	}
	if err := printChecked(cmd, form, all, findings); err != nil {
		return err
	}
	if catalog.HasErrors(findings) {
		return &said{errFindings}
	}
	return nil
}

// translate makes sure that Envoy can be told of a catalogue, if there is one.
func translate(cat *catalog.Catalogue) error {
	if cat == nil {
		return nil
	}
	c := dialable(cat)
	for _, gw := range c.Gateways {
		if _, err := envoy.Translate(c, gw.Name); err != nil {
			return err
		}
	}
	return nil
}

// dialable is cat with ports that Envoy could dial, where the kernel is to choose: serve
// binds one and tells that.
func dialable(cat *catalog.Catalogue) *catalog.Catalogue {
	c := *cat
	for _, l := range []*catalog.Listener{&c.Listeners.Check, &c.Listeners.XDS} {
		if host, port, err := net.SplitHostPort(l.Address); err == nil && port == "0" {
			l.Address = net.JoinHostPort(cmp.Or(host, "127.0.0.1"), "1")
		}
	}
	return &c
}

// notable is what a reviewer of a good configuration should have seen, a line each:
// what lets requests pass, and who is turned away at now.
type notable struct{ public, shadow, denials []string }

func notableIn(cat *catalog.Catalogue, now time.Time) notable {
	n := notable{public: []string{}, shadow: []string{}, denials: []string{}}
	if cat == nil {
		return n
	}
	for _, api := range cat.APIs {
		for _, op := range api.Operations {
			if op.Public {
				n.public = append(n.public, fmt.Sprintf("%s %s %s%s", api.Name, strings.Join(op.Methods, ","), api.FullPath(op), placeText(op.At)))
			}
		}
		if path := api.MetadataPath(); path != "" {
			n.public = append(n.public, fmt.Sprintf("%s GET %s%s", api.Name, path, placeText(api.At)))
		}
		if api.Shadow {
			n.shadow = append(n.shadow, api.Name+placeText(api.At))
		}
	}
	for _, d := range cat.Denials {
		if !d.InForce(now) {
			continue
		}
		until := ""
		if !d.Until.IsZero() {
			until = " until " + d.Until.UTC().Format(time.RFC3339)
		}
		n.denials = append(n.denials, fmt.Sprintf("%s%s, %s%s", d.Whom(), until, d.Reason, placeText(d.At)))
	}
	return n
}

func placeText(at catalog.Position) string {
	if at.Line == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s:%d)", at.File, at.Line)
}

// maxNotable is how many lines of a kind are shown to people.
const maxNotable = 20

// text returns n for people, with a line for each and an indent.
func (n notable) text() string {
	var b strings.Builder
	for _, kind := range []struct {
		name  string
		lines []string
	}{{"public", n.public}, {"shadow", n.shadow}, {"denied", n.denials}} {
		for _, line := range kind.lines[:min(maxNotable, len(kind.lines))] {
			fmt.Fprintf(&b, "  %s: %s\n", kind.name, line)
		}
		if more := len(kind.lines) - maxNotable; more > 0 {
			fmt.Fprintf(&b, "  %s: and %d more\n", kind.name, more)
		}
	}
	return b.String()
}
