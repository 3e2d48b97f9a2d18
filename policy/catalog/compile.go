package catalog

import (
	"fmt"
	"strings"
	"time"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

const defaultCheckTimeout = 2 * time.Second

// Compile checks a configuration and resolves its names. cfg is one file or the merge
// of several; the schema's rules on single fields are the caller's to check, and what
// they forbid is refused here too wherever it would open something.
//
// locate returns the position of a path like grants[0].api; where that is not
// written, the position of its nearest written ancestor, and false. With a nil locate
// positions are zero and every list that is not empty counts as written.
//
// All findings of the run come back, sorted by position. One of them being an Error,
// the Catalogue is nil. Compile reads no file: that secrets exist is not checked.
func Compile(cfg *durwardv1.Config, locate func(path string) (Position, bool)) (*Catalogue, []Finding) {
	c := &compiler{
		cfg:    cfg,
		locate: locate,
		cat: &Catalogue{
			CheckTimeout: durationOr(cfg.GetCheckTimeout(), defaultCheckTimeout),
			apis:         make(map[string]*API),
			clients:      make(map[string]*Application),
		},
		servers:       make(map[string]*AuthorizationServer),
		policies:      make(map[string]*TokenPolicy),
		organizations: make(map[string]*Organization),
		foldedClients: make(map[string]*Application),
		frontends:     make(map[frontend]*API),
	}
	var err error
	if c.cat.Revision, err = revision(cfg); err != nil {
		c.find(badText, "", "a value is not UTF-8")
	}
	c.listeners()
	c.gateways()
	c.authorizationServers()
	c.tokenPolicies()
	c.declareOrganizations()
	c.declareAPIs()
	c.grants()
	c.audiences()
	SortFindings(c.findings)
	if HasErrors(c.findings) {
		return nil, c.findings
	}
	return c.cat, c.findings
}

// compiler is one run of Compile.
type compiler struct {
	cfg      *durwardv1.Config
	locate   func(path string) (Position, bool)
	cat      *Catalogue
	findings []Finding

	servers       map[string]*AuthorizationServer
	policies      map[string]*TokenPolicy
	organizations map[string]*Organization
	foldedClients map[string]*Application
	frontends     map[frontend]*API
}

// find adds a finding at path and returns it, for a better fix than the table's. The
// pointer is good until the next find.
func (c *compiler) find(code, path, format string, args ...any) *Finding {
	f := NewFinding(code, c.at(path), fmt.Sprintf(format, args...))
	f.Path = path
	c.findings = append(c.findings, f)
	return &c.findings[len(c.findings)-1]
}

func (c *compiler) at(path string) Position {
	if c.locate == nil {
		return Position{}
	}
	at, _ := c.locate(path)
	return at
}

// written reports whether the configuration holds path, where the value alone does
// not tell.
func (c *compiler) written(path string, set bool) bool {
	if c.locate == nil {
		return set
	}
	_, ok := c.locate(path)
	return ok
}

// name judges the name of a thing at path, and reports whether things can refer to it
// by that name. A malformed name is one finding, not one for each reference too.
func (c *compiler) name(path, kind, name string, taken bool, by Position) bool {
	path += ".name"
	switch {
	case name == "":
		c.find(badName, path, "%s has no name", kind)
	case taken:
		c.find(duplicateName, path, "%s %q is already declared%s", kind, name, in(by))
	case !validName(name):
		c.find(badName, path, "%s cannot be named %q", kind, name)
	}
	return name != "" && !taken
}

// validName is the schema's pattern for names. "-" is not one: it stands for no API
// between Envoy and us.
func validName(name string) bool {
	if name == "" || len(name) > 63 || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	}) < 0
}

// dangling reports a reference to nothing. of says whose thing it is, or is empty.
func (c *compiler) dangling(path, kind, name, of string, existing []string) {
	if name == "" {
		c.find(danglingReference, path, "the %s%s is not named", kind, of)
		return
	}
	f := c.find(danglingReference, path, "%s %q%s is not declared", kind, name, of)
	if s := Suggest(name, existing); s != "" {
		f.Fix = s
	} else {
		f.Fix = "declare it: there is none yet"
	}
}

// in says where something stands, for the end of a message.
func in(at Position) string {
	if at.Line == 0 {
		return ""
	}
	return fmt.Sprintf(" at %s:%d", at.File, at.Line)
}
