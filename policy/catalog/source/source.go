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
package source

import (
	"google.golang.org/protobuf/proto"

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
	cat, more := compile(newPositions(files), findings)
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
	at := newPositions(files)
	var r Report
	for _, f := range files {
		r.Files = append(r.Files, f.name)
	}
	r.Catalogue, r.Findings = compile(at, findings)
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
	return compile(newPositions([]file{{name: name, data: data}}), nil)
}

// compile goes from text to catalogue. Each step works on what the one before found
// good in every file, so that no finding is the mere consequence of another.
func compile(at *positions, findings []catalog.Finding) (*catalog.Catalogue, []catalog.Finding) {
	cfg := new(durwardv1.Config)
	for _, f := range at.files {
		part := new(durwardv1.Config)
		found := readInto(f, at, part)
		findings = append(findings, found...)
		if len(found) == 0 {
			proto.Merge(cfg, part)
		}
	}
	if catalog.HasErrors(findings) {
		return nil, at.complete(findings)
	}
	cat, found := catalog.Compile(cfg, at.locate)
	findings = append(findings, found...)
	findings = append(findings, violations(cfg, at, found)...)
	findings = at.complete(findings)
	if catalog.HasErrors(findings) {
		return nil, findings
	}
	if err := resolveFiles(cat); err != nil {
		return nil, append(findings, catalog.NewFinding(unreadable, catalog.Position{}, err.Error()))
	}
	return cat, findings
}

// readInto takes one file from text to message, adding to at where things stand.
func readInto(f file, at *positions, message proto.Message) []catalog.Finding {
	body, found := parse(f)
	if len(found) > 0 {
		return found
	}
	if found = checkSchema(f, body, at, message.ProtoReflect().Descriptor()); len(found) > 0 {
		return found
	}
	return decode(f, message)
}
