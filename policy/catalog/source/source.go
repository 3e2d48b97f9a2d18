// Package source is the only reader of catalogue files: strict YAML in, a compiled
// catalogue or findings with file, line and column out.
//
// A file is text of a person who may be mistaken, or of somebody who may not wish us
// well; it is bounded in size, depth and width before a parser sees it. YAML is read
// in its plain form only: one document, no anchors, aliases, merge keys or tags, no
// key twice, one spelling per key, and no plain scalar that another YAML reader would
// take for a number, a date or a truth value where a string is meant. A mistake in any
// file refuses the whole configuration.
//
// Besides, it opens the secrets, keys and certificates that a catalogue names for us, for
// Check, CheckFiles, ReadSecret and ReadListener alone: those never disagree on which file is good. The
// certificate files of backends are Envoy's. What looks like a secret in the text of a
// catalogue is never shown in a finding's line, and no finding repeats what a secret or key
// file holds. The package expands no variables and follows no includes.
//
// A server reads again and again: Watch tells it when, and a Reader gives it texts that,
// as far as the system tells (see Reader.Read), nobody is writing to, all of one moment, and
// parses and compiles again only what changed.
package source

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/durward/durward/policy/catalog"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// Load reads a file, or the *.yaml and *.yml files of a directory in the order of
// their names, and compiles what they say together. Hidden files, policy tests (IsTest)
// and sub-directories are left alone; symbolic links to files are followed, since that is how Kubernetes
// mounts them.
//
// Findings come sorted by file, line and column, with their source lines. The
// Catalogue is nil if one of them is an error. An error is returned only where path
// itself cannot be looked at; it wraps fs.ErrNotExist where nothing is there.
func Load(path string) (*catalog.Catalogue, []catalog.Finding, error) {
	files, findings, err := readFiles(path)
	if err != nil {
		return nil, nil, err
	}
	cat, more := compile(new(catalog.Compiler), positionsOf(files), findings)
	return cat, more, nil
}

// Report is everything Check has to say about a configuration.
type Report struct {
	// Catalogue is nil if one of the findings is an error.
	Catalogue *catalog.Catalogue
	// Findings are sorted by file, line and column.
	Findings []catalog.Finding
	// Files are the paths of the catalogue files that were read.
	Files []string
}

// Check is Load for people: a path that cannot be looked at is a finding like any
// other, and so is what CheckFiles finds wrong with the secrets, keys and certificates
// that the catalogue names. needSecrets says that this is the machine that serves. Secrets
// are not kept.
func Check(path string, needSecrets bool) Report {
	files, findings, err := readFiles(path)
	if err != nil {
		f := newFinding(unreadable, path, reasonOf(err))
		f.Fix = "name a file or a directory that exists; durward init writes one to begin with"
		return Report{Findings: []catalog.Finding{f}}
	}
	at := positionsOf(files)
	var r Report
	for _, f := range files {
		r.Files = append(r.Files, f.name)
	}
	r.Catalogue, r.Findings = compile(new(catalog.Compiler), at, findings)
	if r.Catalogue == nil {
		return r
	}
	for _, f := range CheckFiles(r.Catalogue, needSecrets) {
		f.At, _ = at.locate(f.Path)
		r.Findings = append(r.Findings, f)
	}
	r.Findings = at.complete(r.Findings)
	if catalog.HasErrors(r.Findings) {
		r.Catalogue = nil
	}
	return r
}

// Parse compiles one file from memory. name stands in positions, and paths in the text
// are relative to its directory.
func Parse(name string, data []byte) (*catalog.Catalogue, []catalog.Finding) {
	if len(data) > maxFileBytes {
		return nil, []catalog.Finding{tooLarge(name)}
	}
	return compile(new(catalog.Compiler), positionsOf([]file{{name: name, data: data}}), nil)
}

// positionsOf reads files of a catalogue.
func positionsOf(files []file) *positions {
	parts := make([]*part, len(files))
	readParts(files, parts)
	return newPositions(parts...)
}

// readParts reads the files whose parts are nil, on all processors.
func readParts(files []file, parts []*part) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(files)); i = next.Add(1) - 1 {
				if parts[i] == nil {
					parts[i] = readPart(files[i], new(durwardv1.Config))
				}
			}
		})
	}
	workers.Wait()
}

// compile goes from what each file says to the catalogue. Each step works on what the one
// before found good in every file, so that no finding is the mere consequence of another.
// It does not change the parts; their messages are those that the compiler sees.
func compile(compiler *catalog.Compiler, at *positions, findings []catalog.Finding) (*catalog.Catalogue, []catalog.Finding) {
	cfg := new(durwardv1.Config)
	findings = append(findings, splitSections(at.parts)...)
	for _, p := range at.parts {
		findings = append(findings, p.findings...)
		if len(p.findings) == 0 {
			join(cfg, p.message)
		}
	}
	if catalog.HasErrors(findings) {
		return nil, at.complete(findings)
	}
	cat, found := compiler.Compile(cfg, at.locate)
	findings = append(findings, found...)
	if !obeysRules(at.parts) {
		findings = append(findings, violations(cfg, at, found)...)
	}
	findings = at.complete(findings)
	if catalog.HasErrors(findings) {
		return nil, findings
	}
	if err := resolveFiles(cat); err != nil {
		return nil, append(findings, catalog.NewFinding(unreadable, catalog.Position{}, err.Error()))
	}
	return cat, findings
}

// join is proto.Merge that shares the messages of the two instead of copying them. What is
// in both, but the lists, is the same in both.
func join(into *durwardv1.Config, message proto.Message) {
	from, ok := message.(*durwardv1.Config)
	if !ok {
		return
	}
	into.Apis = append(into.Apis, from.GetApis()...)
	into.Grants = append(into.Grants, from.GetGrants()...)
	from.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch name := f.Name(); {
		case name == "apis" || name == "grants": // most of all, and done
		case !f.IsList():
			into.ProtoReflect().Set(f, v)
		default:
			list := into.ProtoReflect().Mutable(f).List()
			for i := range v.List().Len() {
				list.Append(v.List().Get(i))
			}
		}
		return true
	})
}

// splitSections finds what only one file may say in the files after the first that does.
func splitSections(parts []*part) (findings []catalog.Finding) {
	first := make(map[string]place)
	for _, p := range parts {
		for name, at := range p.sections {
			if before, ok := first[name]; ok {
				findings = append(findings, at.finding(p.name, splitSection,
					fmt.Sprintf("%s is already written at %s:%d", name, before.file, before.line)))
			} else if value, ok := p.places[name]; ok {
				first[name] = place{p.name, value}
			}
		}
	}
	return findings
}

// readPart takes one file from text to message.
func readPart(f file, message proto.Message) *part {
	p := &part{
		file: f, message: message, places: make(map[string]span),
		items: make(map[string]int), sections: make(map[string]span),
	}
	body, found := parse(f)
	if len(found) == 0 {
		found = checkSchema(p, body, message.ProtoReflect().Descriptor())
	}
	if len(found) == 0 {
		found = decode(f, message)
	}
	p.findings = found
	p.valid = len(found) == 0 && protovalidate.Validate(message) == nil
	return p
}

// obeysRules reports that the schema's rules hold for all parts together: they hold for
// each, and no list with a rule of its own is in two of them. Otherwise they may.
func obeysRules(parts []*part) bool {
	seen := make(map[string]bool)
	for _, p := range parts {
		if !p.valid {
			return false
		}
		for name := range p.items {
			if seen[name] && ruledLists()[name] {
				return false
			}
			seen[name] = true
		}
	}
	return true
}

// ruledLists are the top-level lists of a configuration on which the schema has a rule.
var ruledLists = sync.OnceValue(func() map[string]bool {
	lists := make(map[string]bool)
	fields := new(durwardv1.Config).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.IsList() && proto.HasExtension(f.Options(), validate.E_Field) {
			lists[string(f.Name())] = true
		}
	}
	return lists
})
