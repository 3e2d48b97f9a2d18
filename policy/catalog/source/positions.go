package source

import (
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/durward/durward/policy/catalog"
)

// span is where something is written in a file: line and column from 1, in runes.
type span struct{ line, column, width int }

func (s span) position(file string) catalog.Position {
	return catalog.Position{File: file, Line: s.line, Column: s.column}
}

func (s span) finding(file, code, message string) catalog.Finding {
	f := catalog.NewFinding(code, s.position(file), message)
	f.Width = max(1, s.width)
	return f
}

func spanOfToken(t *token.Token) span {
	if t == nil || t.Position == nil {
		return span{1, 1, 1}
	}
	text, _, _ := strings.Cut(strings.TrimSpace(t.Origin), "\n")
	width := utf8.RuneCountInString(strings.TrimSpace(text))
	return span{max(1, t.Position.Line), max(1, t.Position.Column), max(1, width)}
}

// spanOf is where a node begins: a block mapping at its first key.
func spanOf(node ast.Node) span {
	if m, ok := asMapping(node); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return spanOf(m.Values[0].Key)
	}
	return spanOfToken(node.GetToken())
}

func asMapping(node ast.Node) (*ast.MappingNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n, true
	case *ast.MappingValueNode:
		return &ast.MappingNode{BaseNode: n.BaseNode, Start: n.Start, Values: []*ast.MappingValueNode{n}}, true
	}
	return nil, false
}

// place is a span in one of the files.
type place struct {
	file string
	span
}

// positions knows where each path of the merged configuration is written.
type positions struct {
	files  []file
	places map[string]place
	// items counts the items of each top-level list in the files so far: the lists
	// are joined in the order of the files.
	items map[string]int
}

func newPositions(files []file) *positions {
	return &positions{files: files, places: make(map[string]place), items: make(map[string]int)}
}

// locate returns the position of path, or of its nearest written ancestor and false.
func (p *positions) locate(path string) (catalog.Position, bool) {
	at, ok := p.find(path)
	return at.position(at.file), ok
}

func (p *positions) find(path string) (place, bool) {
	for name := path; name != ""; name = name[:max(0, strings.LastIndexAny(name, ".["))] {
		if at, ok := p.places[name]; ok {
			return at, name == path
		}
	}
	if len(p.files) == 0 {
		return place{}, false
	}
	return place{p.files[0].name, span{1, 1, 1}}, false
}

// complete gives the findings their source lines and widths, and sorts them.
func (p *positions) complete(findings []catalog.Finding) []catalog.Finding {
	lines := make(map[string][]string)
	for _, f := range p.files {
		lines[f.name] = nil
	}
	for i := range findings {
		f := &findings[i]
		if f.Path != "" {
			at, _ := p.find(f.Path)
			f.Width = max(1, at.width)
		}
		f.Line = p.line(lines, f.At)
		f.Message, f.Fix = clip(f.Message), clip(f.Fix)
	}
	catalog.SortFindings(findings)
	return findings
}

// line looks a source line up; lines keeps the files that were split for it.
func (p *positions) line(lines map[string][]string, at catalog.Position) string {
	split, known := lines[at.File]
	if !known {
		return ""
	}
	if split == nil {
		for _, f := range p.files {
			if f.name == at.File {
				split = redact(strings.Split(string(f.data), "\n"))
				lines[at.File] = split
			}
		}
	}
	if at.Line < 1 || at.Line > len(split) {
		return ""
	}
	return strings.TrimSuffix(split[at.Line-1], "\r")
}

// maxWords bounds what a finding says: it may repeat what the file holds.
const maxWords = 400

func clip(text string) string {
	if len(text) <= maxWords {
		return text
	}
	return strings.ToValidUTF8(text[:maxWords], "") + "…"
}
