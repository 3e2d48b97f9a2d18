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
// The package reads catalogue files and nothing else: secret and certificate files are
// named by a catalogue, but opened elsewhere. It expands no variables and follows no
// includes.
package source

import (
	"errors"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/policy/catalog"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// Load reads a file, or the *.yaml and *.yml files of a directory in the order of
// their names, and compiles what they say together. Hidden files and sub-directories
// are left alone; symbolic links to files are followed, since that is how Kubernetes
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
	cat, more := compile(files, findings)
	return cat, more, nil
}

// Parse compiles one file from memory. name stands in positions, and paths in the text
// are relative to its directory.
func Parse(name string, data []byte) (*catalog.Catalogue, []catalog.Finding) {
	if len(data) > maxFileBytes {
		return nil, []catalog.Finding{tooLarge(name)}
	}
	return compile([]file{{name: name, data: data}}, nil)
}

// compile goes from text to catalogue. Each step works on what the one before found
// good in every file, so that no finding is the mere consequence of another.
func compile(files []file, findings []catalog.Finding) (*catalog.Catalogue, []catalog.Finding) {
	at := newPositions(files)
	cfg := new(durwardv1.Config)
	for _, f := range files {
		part, found := read(f, at)
		findings = append(findings, found...)
		if part != nil {
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
	if err := resolveSecrets(cat); err != nil {
		return nil, append(findings, catalog.NewFinding(unreadable, catalog.Position{}, err.Error()))
	}
	return cat, findings
}

// read takes one file from text to message, adding to at where things stand.
func read(f file, at *positions) (*durwardv1.Config, []catalog.Finding) {
	body, found := parse(f)
	if len(found) > 0 {
		return nil, found
	}
	if found = checkSchema(f, body, at); len(found) > 0 {
		return nil, found
	}
	return decode(f)
}

// resolveSecrets makes the paths of secret files absolute: they are relative to the
// file that names them. It comes after the revision was computed, which the place of
// a configuration in the file system does not change.
func resolveSecrets(cat *catalog.Catalogue) error {
	for _, s := range cat.Servers {
		secret := &s.Introspection.SecretFile
		if *secret == "" {
			continue
		}
		if !filepath.IsAbs(*secret) {
			*secret = filepath.Join(filepath.Dir(s.At.File), *secret)
		}
		absolute, err := filepath.Abs(*secret)
		if err != nil {
			return errors.New("the working directory is unknown, and a secret file relative to it")
		}
		*secret = absolute
	}
	return nil
}
