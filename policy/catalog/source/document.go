package source

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/policy/catalog"
)

// Document is one file that says something about a catalogue and is no part of it. It
// knows where each of its values stands.
type Document struct{ at *positions }

// ReadDocument reads the file at path into a message whose first field is version, as
// strictly as a catalogue. A file that cannot be read is a finding like any other. Where a
// finding is an error, message is of no use.
func ReadDocument(path string, message proto.Message) (Document, []catalog.Finding) {
	f, err := readFile(path, file{})
	switch {
	case errors.Is(err, errTooLarge):
		return Document{newPositions()}, []catalog.Finding{tooLarge(path)}
	case err != nil:
		return Document{newPositions()}, []catalog.Finding{newFinding(unreadable, path, reasonOf(err))}
	}
	return ParseDocument(path, f.data, message)
}

// ParseDocument is ReadDocument of a file from memory. name stands in positions.
func ParseDocument(name string, data []byte, message proto.Message) (Document, []catalog.Finding) {
	if len(data) > maxFileBytes {
		return Document{newPositions()}, []catalog.Finding{tooLarge(name)}
	}
	part := readPart(file{name: name, data: data}, message)
	at, findings := newPositions(part), part.findings
	if len(findings) == 0 && !part.valid {
		findings = violations(message, at, nil)
	}
	return Document{at}, at.complete(findings)
}

// At returns where the value of a path is written, as in cases[0].headers.x-auth-api, or
// where the nearest value around it is.
func (d Document) At(path string) catalog.Position {
	position, _ := d.at.locate(path)
	return position
}

// Complete gives findings of further mistakes, each with its Path, their source lines, and
// sorts them.
func (d Document) Complete(findings []catalog.Finding) []catalog.Finding {
	return d.at.complete(findings)
}
