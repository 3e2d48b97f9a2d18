package catalog

import (
	"fmt"
	"maps"
	"slices"
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
	return new(Compiler).Compile(cfg, locate)
}

// compile is one run, whose findings are not sorted. last is an earlier one without errors,
// or nil.
func compile(cfg *durwardv1.Config, locate func(path string) (Position, bool), last *compiler) *compiler {
	c := &compiler{
		cfg: cfg, locate: locate, last: last,
		cat: &Catalogue{
			CheckTimeout: durationOr(cfg.GetCheckTimeout(), defaultCheckTimeout),
			LogUser:      "hash",
			clients:      make(map[string]*Application),
		},
		servers:       make(map[string]*AuthorizationServer),
		policies:      make(map[string]*TokenPolicy),
		organizations: make(map[string]*Organization),
		declared:      map[string]map[declaration]declared{kindAPI: make(map[declaration]declared, len(cfg.GetApis()))},
		applications:  make(map[application]*Application),
		owners:        make(map[string]*Application),
		listening:     make(map[endpoint]*Gateway),
		foldedClients: make(map[string]*Application),
		frontends:     make(map[frontend]*API, len(cfg.GetApis())),
		named:         make(map[string]*draft, len(cfg.GetApis())),
	}
	c.base()
	c.members()
	c.denials()
	c.declareAPIs()
	c.metadataPlaces()
	c.grants()
	c.audiences()
	c.publish()
	c.cat.Hash = c.hash()
	c.cat.Revision = c.cat.Hash[:12]
	return c
}

// compiler is one run of Compile.
type compiler struct {
	cfg      *durwardv1.Config
	locate   func(path string) (Position, bool)
	cat      *Catalogue
	findings []Finding
	// last is the run before, of which the base is the same; else nil.
	last *compiler
	// What base, members and denials found, and the hashes of what they read.
	baseFindings, memberFindings, denialFindings []Finding
	baseDigest, memberDigest, denialDigest       digest
	// foreignText says that a text that is not UTF-8 was found.
	foreignText bool
	// sameMembers says that the organizations are those of last.
	sameMembers bool
	// drafts are of cfg's APIs, named those that have a name of their own. accesses are of
	// cfg's grants.
	drafts   []draft
	named    map[string]*draft
	accesses []access

	servers       map[string]*AuthorizationServer
	policies      map[string]*TokenPolicy
	organizations map[string]*Organization
	declared      map[string]map[declaration]declared // by kind
	applications  map[application]*Application
	owners        map[string]*Application
	listening     map[endpoint]*Gateway
	suggestions   int
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

// log compiles log.
func (c *compiler) log() {
	const path = "log.user"
	if user := c.cfg.GetLog().GetUser(); c.written(path, user != "") {
		c.oneOf(path, user, "hash", "clear", "none")
		c.cat.LogUser = user
	}
}

// oneOf refuses a word that is not of a closed set. The schema has the same rule; where
// nobody checked that, no word may be taken for another.
func (c *compiler) oneOf(path, word string, words ...string) {
	if !slices.Contains(words, word) {
		key, _, _ := strings.Cut(path[strings.LastIndexByte(path, '.')+1:], "[")
		f := c.find(brokenRule, path, "%s %q is unknown", key, word)
		f.Fix = Suggest(word, words)
	}
}

// Kinds of things that others refer to.
const (
	kindOrganization = "organization"
	kindApplication  = "application"
	kindAPI          = "API"
)

// declaration names a thing that others refer to. Names are folded: two that differ in
// case only are one mistake, and whoever reads them cannot tell which is meant.
type declaration struct {
	owner *Organization // of an application; nil for all else
	name  string
}

// declared is where a thing is declared, and under which spelling.
type declared struct {
	name string
	at   Position
}

// declare judges the name of a thing at path, and reports whether things can refer to
// it by that name. A malformed name is one finding, not one for each reference too.
func (c *compiler) declare(path, kind string, owner *Organization, name string) bool {
	return c.declareAt(c.at(path), kind, owner, name, func() string { return path + ".name" })
}

// declareAt is declare of a thing at a position, whose name is at path.
func (c *compiler) declareAt(at Position, kind string, owner *Organization, name string, path func() string) bool {
	key := declaration{owner, strings.ToLower(name)}
	if c.declared[kind] == nil {
		c.declared[kind] = make(map[declaration]declared)
	}
	first, taken := c.declared[kind][key]
	switch {
	case name == "":
		c.find(badName, path(), "%s has no name", kind)
		return false
	case taken && first.name == name:
		c.find(duplicateName, path(), "%s %q is already declared%s", kind, name, in(first.at))
		return false
	case taken:
		c.find(duplicateName, path(), "%s %q differs in case only from %q%s", kind, name, first.name, in(first.at))
		return false
	case !validName(name):
		c.find(badName, path(), "%s cannot be named %q", kind, name)
	}
	c.declared[kind][key] = declared{name, at}
	return true
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

// maxSuggestions is how many dangling references are compared with what is declared. With
// more of them it is not the spelling that is wrong.
const maxSuggestions = 100

// dangling reports a reference to nothing. owner says whose thing it would be, or is nil.
func (c *compiler) dangling(path, kind string, owner *Organization, name string) {
	of := ""
	if owner != nil {
		of = fmt.Sprintf(" of organization %q", owner.Name)
	}
	if name == "" {
		c.find(danglingReference, path, "the %s%s is not named", kind, of)
		return
	}
	f := c.find(danglingReference, path, "%s %q%s is not declared", kind, name, of)
	if c.suggestions++; c.suggestions > maxSuggestions {
		return
	}
	places := make(map[string]Position)
	for key, d := range c.declared[kind] {
		if key.owner == owner {
			places[d.name] = d.at
		}
	}
	existing := slices.Sorted(maps.Keys(places))
	switch best := closest(name, existing); {
	case best != "" && places[best].Line > 0:
		f.Fix = fmt.Sprintf("did you mean %q (%s:%d)?", best, places[best].File, places[best].Line)
	case len(existing) > 0:
		f.Fix = Suggest(name, existing)
	default:
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
